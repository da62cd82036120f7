//! The text form of a configuration: `server.properties`, as Java reads it.

/// The pairs of a properties text, in order. Nothing is wrong in this notation: whatever stands on a line is a pair.
///
/// ```text
///   # comment, also with !
///   key = value        separated by =, by : or by blanks
///   key = long \
///         value        a backslash at the end joins the next line
///   key = a\=b\u00e4   a backslash takes the next character as it is, or names one
/// ```
pub fn parse_properties(text: &str) -> Vec<(String, String)> {
    let mut pairs = vec![];
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_in_backslash(&logical) {
            logical.pop();
            match lines.next() {
                Some(next) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        pairs.push(split_pair(&logical));
    }
    pairs
}

/// An odd number of backslashes: an even number is so many escaped ones.
fn ends_in_backslash(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

fn split_pair(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let separates = !escaped && (c == '=' || c == ':' || c.is_ascii_whitespace());
        escaped = !escaped && c == '\\';
        separates
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    (unescape(key), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unicode(&mut chars)),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// Four hexadecimal digits; anything else is the replacement character.
fn unicode(chars: &mut std::str::Chars<'_>) -> char {
    let digits = chars.as_str().get(..4).unwrap_or_default();
    match u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit())) {
        Some(code) => {
            *chars = chars.as_str()[4..].chars();
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        None => char::REPLACEMENT_CHARACTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(parse_properties(text), expected, "{text:?}");
    }

    #[test]
    fn pairs_are_read_as_java_reads_them() {
        check(
            "# a\n! b\n\n  node.id=1\nlisteners = PLAINTEXT://:9092",
            &[("node.id", "1"), ("listeners", "PLAINTEXT://:9092")],
        );
        check("a:1\nb 2\nc\nd=\ne = =3", &[("a", "1"), ("b", "2"), ("c", ""), ("d", ""), ("e", "=3")]);
        check("a=1,\\\n   2,\\\n   3\nb=4", &[("a", "1,2,3"), ("b", "4")]);
        check("a=x\\\\\nb=1", &[("a", "x\\"), ("b", "1")]);
        check("a\\=b=c\\u00e4\\t\\q", &[("a=b", "cä\tq")]);
        check("a=\\u12\r\nb=1\r\n", &[("a", "\u{fffd}12"), ("b", "1")]);
        check("a=1\\", &[("a", "1")]);
    }
}
