//! Values as text, and the types and rules they must keep. Text is what is stored and shown; types are read from it
//! where they are needed, so a value means the same in a file, a request and a metadata record.

use std::fmt;

/// Longest value of a key. Kafka's own string fields stop here too.
pub const VALUE_BYTES_MAX: usize = 32_767;

/// Kafka's config types, with the numbers DescribeConfigs uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ValueType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// What a value must keep beyond its type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// -1, or at least 1.
    PositiveOrUnlimited,
    /// -1, or 1 to 9.
    GzipLevel,
    /// From 0 to 1.
    Fraction,
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    /// Each element of a list.
    EachOf(&'static [&'static str]),
    /// `*`, or a list of partition:broker.
    ThrottledReplicas,
}

/// Checks `text` against type and rule and gives it in its canonical form, or says what would do.
pub fn canonical(kind: ValueType, rule: Rule, text: &str) -> Result<String, String> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(format!("the value has {} bytes, and at most {VALUE_BYTES_MAX} are allowed", text.len()));
    }
    let trimmed = text.trim();
    let expected = || format!("'{}' is not {}", shorten(trimmed), Expected(kind, rule));
    match kind {
        ValueType::Boolean => parse_bool(trimmed).map(|b| b.to_string()).ok_or_else(expected),
        ValueType::Int | ValueType::Short | ValueType::Long => parse_whole(kind, trimmed)
            .filter(|&n| rule.allows_whole(n))
            .map(|n| n.to_string())
            .ok_or_else(expected),
        ValueType::Double => trimmed
            .parse::<f64>()
            .ok()
            .filter(|d| d.is_finite() && (rule != Rule::Fraction || (0.0..=1.0).contains(d)))
            .map(|_| trimmed.to_owned())
            .ok_or_else(expected),
        ValueType::List => {
            let items = parse_list(trimmed);
            if rule.allows_list(&items) { Ok(items.join(",")) } else { Err(expected()) }
        }
        ValueType::String | ValueType::Class => {
            if rule.allows_text(trimmed) {
                Ok(trimmed.to_owned())
            } else {
                Err(expected())
            }
        }
        // Blanks may be part of a password.
        ValueType::Password => Ok(text.to_owned()),
    }
}

impl Rule {
    fn allows_whole(self, n: i64) -> bool {
        match self {
            Self::AtLeast(min) => n >= min,
            Self::Between(min, max) => (min..=max).contains(&n),
            Self::PositiveOrUnlimited => n == -1 || n >= 1,
            Self::GzipLevel => n == -1 || (1..=9).contains(&n),
            _ => true,
        }
    }

    fn allows_text(self, text: &str) -> bool {
        match self {
            Self::OneOf(choices) => choices.contains(&text),
            Self::OneOfAnyCase(choices) => choices.iter().any(|choice| choice.eq_ignore_ascii_case(text)),
            _ => true,
        }
    }

    fn allows_list(self, items: &[&str]) -> bool {
        match self {
            Self::EachOf(choices) => items.iter().all(|item| choices.contains(item)),
            Self::ThrottledReplicas => items == ["*"] || items.iter().all(|item| is_replica(item)),
            _ => true,
        }
    }
}

fn is_replica(item: &str) -> bool {
    let Some((partition, broker)) = item.split_once(':') else { return false };
    partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn parse_whole(kind: ValueType, text: &str) -> Option<i64> {
    let n: i64 = text.parse().ok()?;
    let (min, max) = bounds(kind);
    (min..=max).contains(&n).then_some(n)
}

fn bounds(kind: ValueType) -> (i64, i64) {
    match kind {
        ValueType::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
        ValueType::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// The elements of a list, without the blanks around them. Empty text is the empty list.
pub fn parse_list(text: &str) -> Vec<&str> {
    let text = text.trim();
    if text.is_empty() { vec![] } else { text.split(',').map(str::trim).collect() }
}

/// The start of a value, for a sentence.
pub(crate) fn shorten(text: &str) -> &str {
    const SHOWN_BYTES_MAX: usize = 80;
    &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
}

/// Reads as the end of "this is not ...".
struct Expected(ValueType, Rule);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, rule) = *self;
        match (kind, rule) {
            (ValueType::Boolean, _) => write!(f, "true or false"),
            (ValueType::Double, Rule::Fraction) => write!(f, "a number from 0 to 1"),
            (ValueType::Double, _) => write!(f, "a number"),
            (_, Rule::AtLeast(min)) => write!(f, "a whole number from {min} to {}", bounds(kind).1),
            (_, Rule::Between(min, max)) => write!(f, "a whole number from {min} to {max}"),
            (_, Rule::PositiveOrUnlimited) => write!(f, "-1 (no limit) or a whole number from 1"),
            (_, Rule::GzipLevel) => write!(f, "-1 or a whole number from 1 to 9"),
            (_, Rule::OneOf(choices) | Rule::OneOfAnyCase(choices)) => {
                write!(f, "one of {}", choices.join(", "))
            }
            (_, Rule::EachOf(choices)) => write!(f, "a list of {}", choices.join(", ")),
            (_, Rule::ThrottledReplicas) => write!(f, "'*' or a list of partition:broker"),
            (ValueType::Int | ValueType::Short | ValueType::Long, _) => {
                let (min, max) = bounds(kind);
                write!(f, "a whole number from {min} to {max}")
            }
            _ => write!(f, "allowed here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Rule::*;
    use ValueType::*;

    #[test]
    fn values_are_checked_and_made_canonical() {
        let check =
            |kind, rule, text, expected| assert_eq!(canonical(kind, rule, text).ok().as_deref(), expected);
        check(Boolean, Any, " TRUE ", Some("true"));
        check(Boolean, Any, "yes", None);
        check(Int, AtLeast(1), " 0012 ", Some("12"));
        check(Int, AtLeast(1), "0", None);
        check(Int, Any, "1e6", None);
        check(Int, Any, "", None);
        check(Int, Any, "2147483648", None);
        check(Short, Any, "32768", None);
        check(Long, Any, "9223372036854775807", Some("9223372036854775807"));
        check(Long, Any, "9223372036854775808", None);
        check(Long, PositiveOrUnlimited, "-1", Some("-1"));
        check(Long, PositiveOrUnlimited, "0", None);
        check(Int, Between(1, 17), "17", Some("17"));
        check(Int, Between(1, 17), "18", None);
        check(Int, GzipLevel, "-1", Some("-1"));
        check(Int, GzipLevel, "0", None);
        check(Double, Fraction, "0.25", Some("0.25"));
        check(Double, Fraction, "1.5", None);
        check(Double, Any, "NaN", None);
        check(List, EachOf(&["compact", "delete"]), " compact , delete", Some("compact,delete"));
        check(List, EachOf(&["compact", "delete"]), "", Some(""));
        check(List, EachOf(&["compact", "delete"]), "delete,nothing", None);
        check(List, ThrottledReplicas, "*", Some("*"));
        check(List, ThrottledReplicas, "0:1, 1:2", Some("0:1,1:2"));
        check(List, ThrottledReplicas, "0:1,*", None);
        check(String, OneOf(&["CreateTime"]), "createtime", None);
        check(String, OneOfAnyCase(&["upgrade"]), "UPGRADE", Some("UPGRADE"));
        check(Password, Any, " secret ", Some(" secret "));
    }

    #[test]
    fn a_refusal_says_what_would_do() {
        let sentence = |kind, rule, text| canonical(kind, rule, text).unwrap_err();
        assert_eq!(sentence(Int, AtLeast(1), "x"), "'x' is not a whole number from 1 to 2147483647");
        assert_eq!(
            sentence(List, EachOf(&["compact", "delete"]), "z"),
            "'z' is not a list of compact, delete"
        );
    }

    #[test]
    fn a_value_of_any_length_is_answered_in_a_sentence() {
        assert!(canonical(String, Any, &"x".repeat(VALUE_BYTES_MAX + 1)).is_err());
        let long = "ä".repeat(1000);
        assert!(canonical(Int, Any, &long).unwrap_err().len() < 200);
    }
}
