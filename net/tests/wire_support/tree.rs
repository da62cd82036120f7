//! What `Debug` shows, as a tree: two implementations with unlike types can be compared field by field through it.

use super::schema::{Api, Field, Kind, Struct};

#[derive(Debug, PartialEq)]
pub(crate) enum Tree {
    Struct(Vec<(String, Tree)>),
    List(Vec<Tree>),
    Atom(String),
}

impl Tree {
    pub(crate) fn parse(shown: &str) -> Self {
        let mut parser = Parser { rest: shown };
        let tree = parser.tree();
        assert_eq!(parser.rest, "", "in {shown}");
        tree
    }

    fn field(&self, name: &str) -> Option<&Self> {
        let Self::Struct(fields) = self else { panic!("no struct: {self:?}") };
        fields.iter().find(|(n, _)| n == name).map(|(_, tree)| tree)
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn tree(&mut self) -> Tree {
        self.space();
        if self.rest.starts_with("b\"") {
            self.rest = &self.rest[1..];
            return bytes(&unescape(self.string()));
        }
        match self.rest.chars().next() {
            Some('"') => Tree::Atom(format!("\"{}\"", self.string())),
            Some('[') => self.list(),
            Some('{') => self.fields(),
            _ => self.word(),
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, text: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Between quotes, escapes left as they are.
    fn string(&mut self) -> &'a str {
        let text = &self.rest[1..];
        let mut escaped = false;
        let end = text.find(|c| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        let end = end.expect("a string ends");
        self.rest = &text[end + 1..];
        &text[..end]
    }

    fn list(&mut self) -> Tree {
        let mut elements = Vec::new();
        assert!(self.eat("["));
        while !self.eat("]") {
            elements.push(self.tree());
            self.eat(",");
        }
        Tree::List(elements)
    }

    fn fields(&mut self) -> Tree {
        let mut fields = Vec::new();
        assert!(self.eat("{"));
        while !self.eat("}") {
            self.space();
            let (name, rest) = self.rest.split_once(':').expect("a field has a name");
            self.rest = rest;
            fields.push((name.trim().to_owned(), self.tree()));
            self.eat(",");
        }
        Tree::Struct(fields)
    }

    /// A number, an id, a struct or a variant. What stands in a variant counts, its name does not.
    fn word(&mut self) -> Tree {
        let end = self.rest.find([' ', ',', '(', ')', ']', '}', '{']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if self.eat("(") {
            let inner = self.tree();
            assert!(self.eat(")"));
            return inner;
        }
        if word.starts_with(|c: char| c.is_ascii_uppercase()) && self.rest.trim_start().starts_with('{') {
            return self.fields();
        }
        uuid(word).unwrap_or_else(|| Tree::Atom(word.to_owned()))
    }
}

fn uuid(word: &str) -> Option<Tree> {
    let digits: String = word.split('-').collect();
    if word.len() != 36 || digits.len() != 32 {
        return None;
    }
    let byte = |i: usize| hexadecimal(&digits.as_bytes()[i..i + 2]);
    Some(bytes(&(0..32).step_by(2).map(byte).collect::<Vec<_>>()))
}

fn hexadecimal(digits: &[u8]) -> u8 {
    let digits = str::from_utf8(digits).expect("digits");
    u8::from_str_radix(digits, 16).expect("digits")
}

fn bytes(bytes: &[u8]) -> Tree {
    Tree::List(bytes.iter().map(|b| Tree::Atom(b.to_string())).collect())
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let (byte, used) = match (first, after) {
            (b'\\', [b'x', digits @ ..]) => (hexadecimal(&digits[..2]), 4),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'0', ..]) => (0, 2),
            (b'\\', [other, ..]) => (*other, 2),
            _ => (*first, 1),
        };
        out.push(byte);
        rest = &rest[used..];
    }
    out
}

/// Names that had to differ: a word of the language.
const OTHER_NAMES: &[(&str, &str)] = &[("matched", "_match")];

/// Fields of versions that Kafka 4.2 does not offer: the other implementation has InitProducerId 6.
const OTHER_FIELDS: &[&str] =
    &["enable_2_pc", "keep_prepared_txn", "ongoing_txn_producer_id", "ongoing_txn_producer_epoch"];
/// Fields of versions that the other implementation does not have yet.
const OUR_FIELDS: &[&str] = &["ack_when_committed"];
/// What the other implementation keeps of tags that it does not know.
const UNKNOWN_TAGS: &str = "unknown_tagged_fields";

/// Compares two messages field by field. A field that may be null and is not on the wire in this version may differ:
/// we say null where the other side may say empty.
pub(crate) fn assert_same(api: &Api, of: &Struct, version: i16, ours: &Tree, theirs: &Tree) {
    for field in of.fields.iter().filter(|field| !is_ours_alone(field)) {
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == field.name).map_or(&*field.name, |(_, n)| n);
        let mine = ours.field(&field.name).expect("our own field");
        let yours = theirs.field(other).unwrap_or_else(|| panic!("no field {other} in {theirs:?}"));
        if field.versions.contains(version) || field.nullable.is_none() {
            assert_same_field(api, field, version, mine, yours);
        }
    }
    let Tree::Struct(fields) = theirs else { panic!("no struct: {theirs:?}") };
    let is_shared = |name: &str| !OTHER_FIELDS.contains(&name) && name != UNKNOWN_TAGS;
    let shared = fields.iter().filter(|(name, _)| is_shared(name)).count();
    let known = of.fields.iter().filter(|field| !is_ours_alone(field)).count();
    assert_eq!(shared, known, "{}: {theirs:?}", of.name);
}

/// A tagged field of a number that Kafka is far from, or one that the other implementation lacks.
fn is_ours_alone(field: &Field) -> bool {
    field.tag.is_some_and(|tag| tag >= 10_000) || OUR_FIELDS.contains(&&*field.name)
}

fn assert_same_field(api: &Api, field: &Field, version: i16, ours: &Tree, theirs: &Tree) {
    match (&field.kind, ours, theirs) {
        (Kind::Struct(name), Tree::List(ours), Tree::List(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{}", field.name);
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert_same(api, api.find(name), version, ours, theirs);
            }
        }
        (Kind::Struct(name), Tree::Struct(_), Tree::Struct(_)) => {
            assert_same(api, api.find(name), version, ours, theirs);
        }
        _ => assert_eq!(ours, theirs, "{}", field.name),
    }
}
