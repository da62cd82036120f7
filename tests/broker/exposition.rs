//! Reads Prometheus' text format, version 0.0.4, and knows its rules: an oracle for what a scrape gives. Strict where
//! Prometheus itself is lenient.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// Kind by name.
    pub(crate) families: BTreeMap<String, String>,
    pub(crate) helps: BTreeMap<String, String>,
    pub(crate) series: BTreeMap<(String, Labels), f64>,
}

impl Exposition {
    /// # Errors
    /// A sentence that names the line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        let mut parsed = Self::default();
        let mut family = String::new();
        for (number, line) in text.lines().enumerate() {
            parsed.line(line, &mut family).map_err(|why| format!("line {}: {why}: {line}", number + 1))?;
        }
        let bare = parsed.helps.keys().find(|name| !parsed.families.contains_key(*name));
        if let Some(bare) = bare {
            return Err(format!("{bare} has HELP and no TYPE"));
        }
        for (name, kind) in &parsed.families {
            if kind == "histogram" {
                parsed.check_histogram(name)?;
            }
        }
        Ok(parsed)
    }

    /// Of the series with exactly these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.series.get(&(name.to_owned(), labels)).copied()
    }

    fn line(&mut self, line: &str, family: &mut String) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("HELP without text")?;
            self.begin(name, family)?;
            self.helps.insert(name.to_owned(), unescape(help, false)?);
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("TYPE without a type")?;
            if name != family {
                return Err(format!("TYPE does not follow the HELP of {name}"));
            }
            if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                return Err(format!("{kind} is no type"));
            }
            return match self.families.insert(name.to_owned(), kind.to_owned()) {
                None => Ok(()),
                Some(_) => Err("TYPE for the second time".to_owned()),
            };
        }
        let (name, labels, value) = sample(line)?;
        let kind = self.families.get(family.as_str()).ok_or("a sample before its TYPE")?;
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        if !suffixes.iter().any(|suffix| name == format!("{family}{suffix}")) {
            return Err(format!("a sample of another family than {family}"));
        }
        match self.series.insert((name, labels), value) {
            None => Ok(()),
            Some(_) => Err("the same series for the second time".to_owned()),
        }
    }

    fn begin(&mut self, name: &str, family: &mut String) -> Result<(), String> {
        if !is_name(name) {
            return Err(format!("{name} is no name"));
        }
        if self.helps.contains_key(name) {
            return Err("the family was there already: it is not in one piece".to_owned());
        }
        *family = name.to_owned();
        Ok(())
    }

    fn check_histogram(&self, name: &str) -> Result<(), String> {
        let of = |suffix: &str| {
            let wanted = format!("{name}{suffix}");
            self.series.iter().filter(move |((name, _), _)| *name == wanted)
        };
        let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((_, labels), &count) in of("_bucket") {
            let mut labels = labels.clone();
            let bound = labels.remove("le").ok_or(format!("a bucket of {name} without le"))?;
            buckets.entry(labels).or_default().push((number(&bound)?, count));
        }
        let counts: BTreeMap<&Labels, f64> =
            of("_count").map(|((_, labels), &count)| (labels, count)).collect();
        let sums: BTreeSet<&Labels> = of("_sum").map(|((_, labels), _)| labels).collect();
        if counts.len() != buckets.len() || sums.len() != buckets.len() {
            return Err(format!("{name}: buckets, sums and counts are not of the same series"));
        }
        for (labels, mut buckets) in buckets {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let last = *buckets.last().ok_or("no bucket")?;
            if !buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
                return Err(format!("{name} {labels:?}: the buckets are not cumulative: {buckets:?}"));
            }
            if last.0 != f64::INFINITY || Some(&last.1) != counts.get(&labels) || !sums.contains(&labels) {
                return Err(format!("{name} {labels:?}: +Inf, _count and _sum do not fit: {last:?}"));
            }
        }
        Ok(())
    }
}

fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err(format!("{name} is no name"));
    }
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            if !is_name(label) || label.contains(':') {
                return Err(format!("{label} is no label"));
            }
            let end = closing_quote(after).ok_or("a label's value without an end")?;
            if labels.insert(label.to_owned(), unescape(&after[..end], true)?).is_some() {
                return Err(format!("{label} twice"));
            }
            rest = &after[end + 1..];
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = rest.strip_prefix(',').ok_or("labels without a comma between")?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    Ok((name.to_owned(), labels, number(value)?))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        _ => text.parse().map_err(|_| format!("{text} is no number")),
    }
}

fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.chars().all(legal) && text.starts_with(|c: char| !c.is_ascii_digit())
}

fn unescape(text: &str, quoted: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quoted => '"',
                other => return Err(format!("{other:?} is not to be escaped")),
            },
            c => c,
        });
    }
    Ok(out)
}
