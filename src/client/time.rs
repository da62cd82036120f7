//! Points and spans of time as people write them, in ISO 8601, without a library for it: the calendar of whole days is
//! that of Howard Hinnant's `days_from_civil`.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970, written as `YYYY-MM-DDTHH:MM[:SS[.mmm]][Z|+HH:MM]`. Without a zone it is UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datetime(pub i64);

impl FromStr for Datetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        datetime(text)
            .map(Self)
            .ok_or_else(|| "write it as 2026-01-31T12:00:00.000, with Z or +02:00 at its end".to_owned())
    }
}

fn datetime(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let (time, zone_ms) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], zone_ms(&time[at..])?),
        None => (time, 0),
    };
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second_ms = parts.next().map_or(Some(0), second_ms)?;
    if hour > 23 || minute > 59 {
        return None;
    }
    Some(
        days_from_civil(year, month, day) * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second_ms
            - zone_ms,
    )
}

fn second_ms(text: &str) -> Option<i64> {
    let (second, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let second = digits(second, 2).filter(|&s| s < 60)?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms = format!("{fraction:0<3}")[..3].parse::<i64>().ok()?;
    Some(second * 1000 + ms)
}

/// `Z`, `+HH:MM`, `+HHMM` or `+HH`, with either sign.
fn zone_ms(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let plain = text[1..].replace(':', "");
    let (hours, minutes) = match plain.len() {
        2 => (digits(&plain, 2)?, 0),
        4 => (digits(&plain[..2], 2)?, digits(&plain[2..], 2)?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then(|| sign * (hours * HOUR_MS + minutes * MINUTE_MS))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let plain = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years begin in March here, so that the leap day is their last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Milliseconds, written as `PnDTnHnMnS`, as Java's Duration reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub i64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        span(text).map(Self).ok_or_else(|| "write it as PnDTnHnMnS, such as PT30M or P1DT12H".to_owned())
    }
}

fn span(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let rest = text.strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let total = units(days, &[('D', DAY_MS)])?;
    total.checked_add(units(time, &[('H', HOUR_MS), ('M', MINUTE_MS), ('S', 1000)])?)
}

/// Numbers each with a unit, the units in this order and each at most once. Only seconds may have a fraction.
fn units(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total: i64 = 0;
    for &(unit, ms) in units {
        let Some((number, rest)) = text.split_once(unit) else { continue };
        let value = if unit == 'S' && number.contains('.') {
            let (whole, fraction) = number.split_once('.')?;
            let plain = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            if !plain(whole) || !plain(fraction) {
                return None;
            }
            whole
                .parse::<i64>()
                .ok()?
                .checked_mul(1000)?
                .checked_add(format!("{fraction:0<3}")[..3].parse().ok()?)?
        } else {
            let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| number.parse::<i64>().ok())??.checked_mul(ms)?
        };
        total = total.checked_add(value)?;
        text = rest;
    }
    text.is_empty().then_some(total)
}

/// How long, for people: two units at most.
pub fn human(ms: i64) -> String {
    match ms {
        ..0 => format!("-{}", human(ms.saturating_neg())),
        0..1000 => format!("{ms}ms"),
        1000..10_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        10_000..MINUTE_MS => format!("{}s", ms / 1000),
        MINUTE_MS..HOUR_MS => format!("{}m {:02}s", ms / MINUTE_MS, ms % MINUTE_MS / 1000),
        HOUR_MS..DAY_MS => format!("{}h {:02}m", ms / HOUR_MS, ms % HOUR_MS / MINUTE_MS),
        _ => format!("{}d {:02}h", ms / DAY_MS, ms % DAY_MS / HOUR_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes_are_read() {
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(text.parse::<Datetime>().ok().map(|d| d.0), expected, "{text}");
        }
        check("1970-01-01T00:00:00.000", Some(0));
        check("2023-11-14T22:13:20.000", Some(1_700_000_000_000));
        check("2023-11-14T22:13:20Z", Some(1_700_000_000_000));
        check("2023-11-15T00:13:20.5+02:00", Some(1_700_000_000_500));
        check("2023-11-14T17:13:20-0500", Some(1_700_000_000_000));
        check("2023-11-14T22:13", Some(1_700_000_000_000 - 20_000));
        check("2000-02-29T00:00:00", Some(951_782_400_000));
        check("1969-12-31T23:59:59.999", Some(-1));
        check("2100-02-29T00:00:00", None);
        for bad in
            ["", "2023-11-14", "2023-13-01T00:00", "2023-11-14T24:00", "2023-11-14T22:60", "23-11-14T22:13"]
        {
            check(bad, None);
        }
        for bad in ["2023-11-14T22:13:60", "2023-11-14T22:13:20+2", "2023-11-14T22:13:20.x", "a-b-cTd:e"] {
            check(bad, None);
        }
    }

    #[test]
    fn spans_are_read() {
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(text.parse::<Span>().ok().map(|d| d.0), expected, "{text}");
        }
        check("PT30M", Some(1_800_000));
        check("P1DT12H", Some(129_600_000));
        check("P2D", Some(172_800_000));
        check("PT1H2M3S", Some(3_723_000));
        check("PT0S", Some(0));
        check("pt1.25s", Some(1250));
        for bad in [
            "",
            "P",
            "PT",
            "P1DT",
            "30M",
            "PT30",
            "PT1M1H",
            "P1H",
            "PT-1S",
            "PT1.5M",
            "PT9223372036854775807H",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn durations_are_told_in_two_units() {
        fn check(ms: i64, expected: &str) {
            assert_eq!(human(ms), expected);
        }
        check(0, "0ms");
        check(999, "999ms");
        check(1250, "1.2s");
        check(59_999, "59s");
        check(61_000, "1m 01s");
        check(2 * HOUR_MS + 3 * MINUTE_MS, "2h 03m");
        check(3 * DAY_MS + 4 * HOUR_MS, "3d 04h");
        check(-1000, "-1.0s");
        check(i64::MIN, "-106751991167d 07h");
    }
}
