//! How a record is printed: kcat's format strings, parsed once.

use std::{
    io::{self, Write},
    str::FromStr,
};

use super::records::Message;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format(Vec<Token>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Text(Vec<u8>),
    Value,
    ValueLength,
    Key,
    KeyLength,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let (taken, token) = match byte {
                b'%' => directive(after)?,
                b'\\' => escape(after)?,
                _ => (0, Token::Text(vec![byte])),
            };
            rest = &after[taken..];
            match token {
                Token::Text(text) => plain.extend(text),
                token => {
                    flush(&mut plain, &mut tokens);
                    tokens.push(token);
                }
            }
        }
        flush(&mut plain, &mut tokens);
        Ok(Self(tokens))
    }
}

fn flush(plain: &mut Vec<u8>, tokens: &mut Vec<Token>) {
    if !plain.is_empty() {
        tokens.push(Token::Text(std::mem::take(plain)));
    }
}

/// What stands behind a percent sign, and how many bytes that takes.
fn directive(after: &[u8]) -> Result<(usize, Token), String> {
    let token = match after.first() {
        Some(b's') => Token::Value,
        Some(b'S') => Token::ValueLength,
        Some(b'k') => Token::Key,
        Some(b'K') => Token::KeyLength,
        Some(b't') => Token::Topic,
        Some(b'p') => Token::Partition,
        Some(b'o') => Token::Offset,
        Some(b'T') => Token::Timestamp,
        Some(b'h') => Token::Headers,
        Some(b'%') => Token::Text(b"%".to_vec()),
        Some(&other) => {
            return Err(format!("%{} is none of %s %S %k %K %t %p %o %T %h %%", char::from(other)));
        }
        None => return Err("a % at the end says nothing; write %% for a percent sign".to_owned()),
    };
    Ok((1, token))
}

/// What stands behind a backslash; an unknown one is kept as it is.
fn escape(after: &[u8]) -> Result<(usize, Token), String> {
    let text = |byte| Token::Text(vec![byte]);
    Ok(match after.first() {
        Some(b'n') => (1, text(b'\n')),
        Some(b'r') => (1, text(b'\r')),
        Some(b't') => (1, text(b'\t')),
        Some(b'0') => (1, text(0)),
        Some(b'\\') => (1, text(b'\\')),
        Some(b'x') => {
            let digits = after.get(1..3).and_then(|d| str::from_utf8(d).ok());
            let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
            (3, text(byte.ok_or("\\x needs two hexadecimal digits")?))
        }
        _ => (0, text(b'\\')),
    })
}

impl Format {
    /// The value and a line end, with the key before it if `key_delimiter` says what stands between.
    pub fn lines(key_delimiter: Option<&str>) -> Self {
        let key = key_delimiter.map(|d| [Token::Key, Token::Text(d.as_bytes().to_vec())]);
        let value = [Token::Value, Token::Text(b"\n".to_vec())];
        Self(key.into_iter().flatten().chain(value).collect())
    }

    pub fn print(&self, topic: &str, message: &Message<'_>, out: &mut impl Write) -> io::Result<()> {
        let record = &message.record;
        let length = |field: Option<&[u8]>| field.map_or(-1, |f| f.len() as i64);
        for token in &self.0 {
            match token {
                Token::Text(text) => out.write_all(text)?,
                Token::Value => out.write_all(record.value.unwrap_or_default())?,
                Token::ValueLength => write!(out, "{}", length(record.value))?,
                Token::Key => out.write_all(record.key.unwrap_or_default())?,
                Token::KeyLength => write!(out, "{}", length(record.key))?,
                Token::Topic => out.write_all(topic.as_bytes())?,
                Token::Partition => write!(out, "{}", message.partition)?,
                Token::Offset => write!(out, "{}", message.offset)?,
                Token::Timestamp => write!(out, "{}", message.timestamp)?,
                Token::Headers => print_headers(message, out)?,
            }
        }
        Ok(())
    }
}

/// `name=value,name=value`; a null value is NULL.
fn print_headers(message: &Message<'_>, out: &mut impl Write) -> io::Result<()> {
    for (i, (name, value)) in message.record.headers.iter().enumerate() {
        out.write_all(if i == 0 { b"" } else { b"," })?;
        out.write_all(name)?;
        out.write_all(b"=")?;
        out.write_all(value.unwrap_or(b"NULL"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::batch::record::{Records, write_record};

    use super::*;

    fn printed(format: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let mut payload = vec![];
        write_record(&mut payload, 0, 0, key, value, &[(b"a", Some(b"1")), (b"b", None)]);
        let record = Records::new(&payload, 1).next().unwrap().unwrap();
        let message = Message { partition: 3, offset: 42, timestamp: 1000, record };
        let mut out = vec![];
        format.parse::<Format>().unwrap().print("logs", &message, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_directive_prints() {
        fn check(format: &str, expected: &str) {
            assert_eq!(printed(format, Some(b"key"), Some(b"value")), expected, "{format}");
        }
        check("%s\\n", "value\n");
        check("%t/%p/%o/%T %k=%s", "logs/3/42/1000 key=value");
        check("%K %S", "3 5");
        check("%h", "a=1,b=NULL");
        check("100%% \\x41\\t\\r\\\\ \\q", "100% A\t\r\\ \\q");
        check("", "");
        check("no directive: \u{e9}", "no directive: \u{e9}");
    }

    #[test]
    fn null_is_shown_by_its_length() {
        assert_eq!(printed("%k|%s|%K|%S", None, None), "||-1|-1");
        assert_eq!(printed("%K|%S", Some(b""), Some(b"")), "0|0");
    }

    #[test]
    fn a_wrong_format_is_refused() {
        for bad in ["%", "%q", "%s%", "\\x", "\\x4", "\\xzz"] {
            assert!(bad.parse::<Format>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_are_the_short_forms() {
        assert_eq!(Format::lines(None), "%s\\n".parse().unwrap());
        assert_eq!(Format::lines(Some(": ")), "%k: %s\\n".parse().unwrap());
    }
}
