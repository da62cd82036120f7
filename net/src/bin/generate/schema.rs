//! The schema language: what it can say, and its parser. `net/schema/README.md` tells the grammar.

use std::fmt;

/// One API: its facts and all its structs, inner ones before outer ones. `Request` and `Response` are among them.
#[derive(Debug)]
pub(crate) struct Api {
    /// File and module name.
    pub(crate) module: String,
    pub(crate) doc: Vec<String>,
    pub(crate) key: i16,
    pub(crate) name: String,
    pub(crate) versions: Versions,
    pub(crate) listed_from: i16,
    /// `i16::MAX` if no version is flexible.
    pub(crate) flexible_from: i16,
    pub(crate) structs: Vec<Struct>,
}

#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) side: Side,
    /// The versions in which the struct can occur.
    pub(crate) versions: Versions,
    pub(crate) fields: Vec<Field>,
}

/// Which message a struct belongs to: record data is bytes in a request and a hole in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Shared,
    Request,
    Response,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) is_array: bool,
    pub(crate) versions: Versions,
    pub(crate) nullable: Option<Versions>,
    pub(crate) tag: Option<u32>,
    pub(crate) default: Option<String>,
    pub(crate) limit: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
}

/// A closed range; empty if `from > to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) from: i16,
    pub(crate) to: i16,
}

impl Versions {
    pub(crate) fn contains(self, version: i16) -> bool {
        (self.from..=self.to).contains(&version)
    }

    fn clipped(self, around: Self) -> Self {
        Self { from: self.from.max(around.from), to: self.to.min(around.to) }
    }

    /// `3..`, `..12`, `4..12` or `7`, within `around`.
    fn parse(text: &str, around: Self) -> Option<Self> {
        let bound = |text: &str, open: i16| if text.is_empty() { Some(open) } else { text.parse().ok() };
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (bound(from, around.from)?, bound(to, around.to)?),
            None => (text.parse().ok()?, text.parse().ok()?),
        };
        Some(Self { from, to }.clipped(around))
    }
}

impl Api {
    pub(crate) fn find(&self, name: &str) -> &Struct {
        self.structs.iter().find(|s| s.name == name).expect("the parser has resolved every name")
    }
}

/// A line of a schema that says nothing known.
#[derive(Debug)]
pub(crate) struct SchemaError {
    pub(crate) line: usize,
    pub(crate) what: &'static str,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

struct Line<'a> {
    number: usize,
    depth: usize,
    words: Vec<&'a str>,
}

impl Line<'_> {
    fn error(&self, what: &'static str) -> SchemaError {
        SchemaError { line: self.number, what }
    }
}

const INDENT: usize = 4;

/// Parses the schema that stands in `<module>.schema`.
pub(crate) fn parse(module: &str, text: &str) -> Result<Api, SchemaError> {
    let doc = text.lines().map_while(|line| line.strip_prefix("# ").map(str::to_owned)).collect();
    let lines: Vec<Line<'_>> = text.lines().enumerate().filter_map(|(i, line)| split(i + 1, line)).collect();
    let mut api = Api {
        module: module.to_owned(),
        doc,
        key: -1,
        name: String::new(),
        versions: Versions { from: 0, to: -1 },
        listed_from: -1,
        flexible_from: i16::MAX,
        structs: Vec::new(),
    };
    let mut rest = &lines[..];
    while let Some((line, after)) = rest.split_first() {
        let (inner, outer) = after.split_at(after.iter().take_while(|l| l.depth > 0).count());
        top_level(&mut api, line, inner)?;
        rest = outer;
    }
    for name in ["Request", "Response"] {
        if !api.structs.iter().any(|s| s.name == name) {
            return Err(SchemaError { line: 0, what: "a schema has a request and a response" });
        }
    }
    Ok(api)
}

fn split(number: usize, line: &str) -> Option<Line<'_>> {
    let text = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let depth = (text.len() - text.trim_start().len()) / INDENT;
    (!words.is_empty()).then_some(Line { number, depth, words })
}

fn top_level(api: &mut Api, line: &Line<'_>, inner: &[Line<'_>]) -> Result<(), SchemaError> {
    let number = |text: &str| text.parse::<i16>().map_err(|_| line.error("not a number"));
    match line.words[..] {
        ["api", key, name] => {
            api.key = number(key)?;
            api.name = name.to_owned();
        }
        ["versions", range] => {
            let any = Versions { from: 0, to: i16::MAX };
            api.versions = Versions::parse(range, any).ok_or(line.error("not a version range"))?;
            api.listed_from = api.versions.from;
        }
        ["listed", from] => api.listed_from = number(from)?,
        ["flexible", "never"] => {}
        ["flexible", from] => api.flexible_from = number(from)?,
        ["struct", name] => define(api, name, Side::Shared, api.versions, line, inner)?,
        ["request"] => define(api, "Request", Side::Request, api.versions, line, inner)?,
        ["response"] => define(api, "Response", Side::Response, api.versions, line, inner)?,
        _ => return Err(line.error("unknown heading")),
    }
    Ok(())
}

/// Parses the fields below `line`, the structs they define first.
fn define(
    api: &mut Api,
    name: &str,
    side: Side,
    versions: Versions,
    line: &Line<'_>,
    inner: &[Line<'_>],
) -> Result<(), SchemaError> {
    let mut fields = Vec::new();
    let mut rest = inner;
    while let Some((first, after)) = rest.split_first() {
        if first.depth != line.depth + 1 {
            return Err(first.error("wrong indentation"));
        }
        let (nested, others) = after.split_at(after.iter().take_while(|l| l.depth > first.depth).count());
        let field = field(first, versions)?;
        if let Kind::Struct(of) = &field.kind {
            if !nested.is_empty() {
                define(api, of, side, field.versions, first, nested)?;
            } else if !api.structs.iter().any(|s| s.name == *of) {
                return Err(first.error("a struct that is not defined"));
            }
        } else if !nested.is_empty() {
            return Err(first.error("only structs have fields"));
        }
        fields.push(field);
        rest = others;
    }
    if api.structs.iter().any(|s| s.name == name) {
        return Err(line.error("a struct of this name exists"));
    }
    api.structs.push(Struct { name: name.to_owned(), side, versions, fields });
    Ok(())
}

fn field(line: &Line<'_>, around: Versions) -> Result<Field, SchemaError> {
    let [name, kind, ref words @ ..] = line.words[..] else {
        return Err(line.error("a field has a name and a type"));
    };
    let (is_array, kind) = kind.strip_prefix("[]").map_or((false, kind), |kind| (true, kind));
    let kind = Kind::parse(kind).ok_or(line.error("unknown type"))?;
    let mut words = words.iter().copied().peekable();
    let range = |words: &mut std::iter::Peekable<_>, around| {
        let versions = words.peek().and_then(|word: &&str| Versions::parse(word, around));
        if versions.is_some() {
            words.next();
        }
        versions.unwrap_or(around)
    };
    let versions = range(&mut words, around);
    let mut field = Field {
        name: name.to_owned(),
        kind,
        is_array,
        versions,
        nullable: None,
        tag: None,
        default: None,
        limit: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(line.error("a value is missing"));
        match word {
            "null" => field.nullable = Some(range(&mut words, versions)),
            "tag" => field.tag = Some(value()?.parse().map_err(|_| line.error("not a tag"))?),
            "default" => field.default = Some(value()?.to_owned()),
            "max" => field.limit = Some(value()?.to_owned()),
            _ => return Err(line.error("unknown attribute")),
        }
    }
    Ok(field)
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "uuid" => Self::Uuid,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Self::Struct(name.to_owned()),
            _ => return None,
        })
    }
}
