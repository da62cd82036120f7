//! What a field is in Rust: types, defaults, sizes, conditions on the version.

use crate::schema::{Api, Field, Kind, Side, Struct, Versions};

impl Kind {
    /// The method of reader and writer, for all that is copied.
    pub(crate) fn scalar(&self) -> Option<&'static str> {
        Some(match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Uint16 => "uint16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Uuid => "uuid",
            _ => return None,
        })
    }

    fn scalar_type(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "i8",
            Self::Int16 => "i16",
            Self::Uint16 => "u16",
            Self::Int32 => "i32",
            Self::Int64 => "i64",
            Self::Float64 => "f64",
            Self::Uuid => "Uuid",
            _ => unreachable!("asked for scalars only"),
        }
    }

    fn scalar_bytes(&self) -> usize {
        match self {
            Self::Bool | Self::Int8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 => 4,
            Self::Int64 | Self::Float64 => 8,
            Self::Uuid => 16,
            _ => unreachable!("asked for scalars only"),
        }
    }
}

/// `<'a>` if the view of the struct borrows.
pub(crate) fn view_lifetime(api: &Api, of: &Struct) -> &'static str {
    let borrows = |field: &Field| match &field.kind {
        _ if field.is_array => true,
        Kind::String | Kind::Bytes | Kind::Records => true,
        Kind::Struct(name) => !view_lifetime(api, api.find(name)).is_empty(),
        _ => false,
    };
    if of.fields.iter().any(borrows) { "<'a>" } else { "" }
}

/// `<'a>` if the struct to be written may borrow.
pub(crate) fn body_lifetime(api: &Api, of: &Struct) -> &'static str {
    let borrows = |field: &Field| match &field.kind {
        Kind::String | Kind::Bytes => true,
        Kind::Records => of.side == Side::Request,
        Kind::Struct(name) => !body_lifetime(api, api.find(name)).is_empty(),
        _ => false,
    };
    if of.fields.iter().any(borrows) { "<'a>" } else { "" }
}

pub(crate) fn view_type(api: &Api, field: &Field) -> String {
    let one = match &field.kind {
        Kind::String => "&'a str".to_owned(),
        Kind::Bytes | Kind::Records => "&'a [u8]".to_owned(),
        Kind::Struct(name) => format!("{name}View{}", view_lifetime(api, api.find(name))),
        scalar => scalar.scalar_type().to_owned(),
    };
    let all = if field.is_array { format!("Array<'a, {one}>") } else { one };
    optional(field, all)
}

pub(crate) fn body_type(api: &Api, of: &Struct, field: &Field) -> String {
    let one = match &field.kind {
        Kind::String => "Cow<'a, str>".to_owned(),
        Kind::Records if of.side == Side::Response => "RecordsRef".to_owned(),
        Kind::Bytes | Kind::Records => "Cow<'a, [u8]>".to_owned(),
        Kind::Struct(name) => format!("{name}{}", body_lifetime(api, api.find(name))),
        scalar => scalar.scalar_type().to_owned(),
    };
    let all = if field.is_array { format!("Vec<{one}>") } else { one };
    optional(field, all)
}

fn optional(field: &Field, all: String) -> String {
    if field.nullable.is_some() { format!("Option<{all}>") } else { all }
}

/// What a view holds where the field is not on the wire.
pub(crate) fn view_default(field: &Field) -> String {
    let empty = match &field.kind {
        _ if field.is_array => "Array::default()".to_owned(),
        Kind::Bytes | Kind::Records => "&[]".to_owned(),
        Kind::String => "\"\"".to_owned(),
        Kind::Struct(name) => format!("{name}View::default()"),
        scalar => scalar_default(scalar, field.default.as_deref()),
    };
    optional_default(field, empty)
}

/// What a struct to be written holds where nobody set the field.
pub(crate) fn body_default(of: &Struct, field: &Field) -> String {
    let empty = match &field.kind {
        _ if field.is_array => "Vec::new()".to_owned(),
        Kind::Records if of.side == Side::Response => "RecordsRef::EMPTY".to_owned(),
        Kind::Bytes | Kind::Records => "Cow::Borrowed(&[])".to_owned(),
        Kind::String => "Cow::Borrowed(\"\")".to_owned(),
        Kind::Struct(name) => format!("{name}::default()"),
        scalar => scalar_default(scalar, field.default.as_deref()),
    };
    optional_default(field, empty)
}

fn optional_default(field: &Field, empty: String) -> String {
    match (field.nullable, field.default.as_deref()) {
        (None, _) => empty,
        (Some(_), Some("empty")) => format!("Some({empty})"),
        (Some(_), _) => "None".to_owned(),
    }
}

pub(crate) fn scalar_default(kind: &Kind, default: Option<&str>) -> String {
    match kind {
        Kind::Bool => default.unwrap_or("false").to_owned(),
        Kind::Uuid => "[0; 16]".to_owned(),
        Kind::Float64 => "0.0".to_owned(),
        _ => default.unwrap_or("0").to_owned(),
    }
}

/// Would `#[derive(Default)]` give the field its default?
pub(crate) fn is_plain_default(of: &Struct, field: &Field) -> bool {
    let bare_records = field.kind == Kind::Records && of.side == Side::Response && field.nullable.is_none();
    field.default.is_none() && !bare_records
}

/// The condition under which `inner` holds, given that `outer` does; `None` if it always does.
pub(crate) fn condition(inner: Versions, outer: Versions) -> Option<String> {
    let Versions { from, to } = inner;
    match (from > outer.from, to < outer.to) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {from}")),
        (false, true) => Some(format!("version <= {to}")),
        _ if from == to => Some(format!("version == {from}")),
        (true, true) => Some(format!("({from}..={to}).contains(&version)")),
    }
}

/// Does the code hold a condition on the version?
pub(crate) fn uses_version(code: &str) -> bool {
    [" version >=", " version <=", " version ==", "(&version)"]
        .iter()
        .any(|condition| code.contains(condition))
}

/// The fewest bytes the struct can take in a version.
pub(crate) fn bytes_min(api: &Api, of: &Struct, version: i16) -> usize {
    let flexible = version >= api.flexible_from;
    let fields = of.fields.iter().filter(|f| f.tag.is_none() && f.versions.contains(version));
    fields.map(|field| field_bytes_min(api, field, version, flexible)).sum::<usize>() + usize::from(flexible)
}

fn field_bytes_min(api: &Api, field: &Field, version: i16, flexible: bool) -> usize {
    match &field.kind {
        _ if flexible
            && (field.is_array || matches!(field.kind, Kind::String | Kind::Bytes | Kind::Records)) =>
        {
            1
        }
        _ if field.is_array => 4,
        Kind::String => 2,
        Kind::Bytes | Kind::Records => 4,
        Kind::Struct(_) if field.nullable.is_some_and(|n| n.contains(version)) => 1,
        Kind::Struct(name) => bytes_min(api, api.find(name), version),
        scalar => scalar.scalar_bytes(),
    }
}
