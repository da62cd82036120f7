//! Columns for people, JSON for machines: the two forms in which tools answer.

use std::fmt::Write as _;

/// Columns as wide as their widest entry, two blanks apart.
pub fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    let heads = heads.iter().map(|h| (*h).to_owned()).collect();
    for row in [heads].into_iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What is not known.
pub const UNKNOWN: &str = "-";

pub fn or_unknown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// A size for people.
pub fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count.abs() < 1000 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64 / 1000.0, 0);
    while value.abs() >= 999.95 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A value of JSON.
#[derive(Clone, PartialEq, Debug)]
pub enum Json {
    Null,
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

impl Json {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<bool> for Json {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Json {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => quoted(text, f),
            Self::List(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if n > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (n, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if n > 0 { "," } else { "" })?;
                    quoted(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["a", "1"], ["long name", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&["NAME", "N"], rows.to_vec()), "NAME       N\na          1\nlong name  22\n");
    }

    #[test]
    fn sizes_are_told_with_their_unit() {
        fn check(count: i64, expected: &str) {
            assert_eq!(bytes(count), expected);
        }
        check(0, "0 B");
        check(999, "999 B");
        check(2048, "2.0 kB");
        check(999_949, "999.9 kB");
        check(999_951, "1.0 MB");
        check(5_300_000_000, "5.3 GB");
        check(i64::MAX, "9223.4 PB");
    }

    #[test]
    fn json_is_written() {
        let value = Json::Object(vec![
            ("a", Json::List(vec![Json::Number(-1), Json::Null])),
            ("b", Json::text("\"\\\n\u{e9}")),
        ]);
        assert_eq!(value.to_string(), r#"{"a":[-1,null],"b":"\"\\\u000aé"}"#);
    }
}
