//! Emits the borrowed views and how they are read.

use std::fmt::Write;

use crate::schema::{Api, Field, Kind, Struct, Versions};
use crate::types::{bytes_min, condition, uses_version, view_default, view_lifetime, view_type};

pub(crate) fn emit(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let (name, life) = (&of.name, view_lifetime(api, of));
    let is_plain = of.fields.iter().all(|field| field.default.is_none());
    let needs_default = is_default_needed(api, of);
    let derived = if needs_default && is_plain { ", Default" } else { "" };
    writeln!(out, "#[derive(Clone, Copy, Debug{derived})]\npub struct {name}View{life} {{")?;
    for field in &of.fields {
        writeln!(out, "pub {}: {},", field.name, view_type(api, field))?;
    }
    writeln!(out, "}}\n")?;
    if is_top(of) {
        decode(api, of, out)?;
    }
    if needs_default && !is_plain {
        default(of, life, out)?;
    }
    writeln!(out, "impl<'a> Element<'a> for {name}View{life} {{")?;
    if is_element(api, of) {
        size(api, of, out)?;
    }
    read(api, of, out)?;
    writeln!(out, "}}\n")
}

fn is_top(of: &Struct) -> bool {
    matches!(of.name.as_str(), "Request" | "Response")
}

fn decode(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let (name, life) = (&of.name, view_lifetime(api, of));
    let (on_impl, body) = if life.is_empty() { ("", "&[u8]") } else { ("<'a>", "&'a [u8]") };
    writeln!(
        out,
        "impl{on_impl} {name}View{life} {{
            /// Validates a whole body; no walk through the view can fail afterwards.
            pub fn decode(body: {body}, version: i16) -> Result<Self, Malformed> {{
                body::decode(body, version, &VERSIONS, FLEXIBLE_FROM)
            }}
        }}\n"
    )
}

/// Counts are measured against the size of array elements only.
fn is_element(api: &Api, of: &Struct) -> bool {
    let stands_in = |field: &Field| field.is_array && field.kind == Kind::Struct(of.name.clone());
    api.structs.iter().flat_map(|s| &s.fields).any(stands_in)
}

/// Only a struct that stands in another one, and may be missing there, needs a value of its own.
fn is_default_needed(api: &Api, of: &Struct) -> bool {
    let stands_in = |field: &Field| {
        field.kind == Kind::Struct(of.name.clone()) && !field.is_array && field.nullable.is_none()
    };
    api.structs.iter().flat_map(|s| &s.fields).any(stands_in)
}

fn default(of: &Struct, life: &str, out: &mut String) -> std::fmt::Result {
    let life = if life.is_empty() { "" } else { "<'_>" };
    writeln!(out, "impl Default for {}View{life} {{ fn default() -> Self {{ Self {{", of.name)?;
    for field in &of.fields {
        writeln!(out, "{}: {},", field.name, view_default(field))?;
    }
    writeln!(out, "}} }} }}\n")
}

/// Runs of versions with the same size become one arm.
fn size(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let mut runs: Vec<(Versions, usize)> = Vec::new();
    for version in of.versions.from..=of.versions.to {
        let bytes = bytes_min(api, of, version);
        match runs.last_mut() {
            Some((run, same)) if *same == bytes => run.to = version,
            _ => runs.push((Versions { from: version, to: version }, bytes)),
        }
    }
    let (_, last) = runs.pop().expect("a struct occurs in some version");
    if runs.is_empty() {
        return writeln!(out, "fn bytes_min(_: Format) -> usize {{ {last} }}");
    }
    writeln!(out, "fn bytes_min(format: Format) -> usize {{ match format.version {{")?;
    for (Versions { from, to }, bytes) in runs {
        let arm = if from == to { from.to_string() } else { format!("{from}..={to}") };
        writeln!(out, "{arm} => {bytes},")?;
    }
    writeln!(out, "_ => {last},\n}} }}")
}

fn read(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let mut fields = String::new();
    for field in &of.fields {
        let value = match (field.tag, condition(field.versions, of.versions)) {
            (Some(_), _) => view_default(field),
            (None, None) => value(field, "reader"),
            (None, Some(when)) => {
                format!("if {when} {{ {} }} else {{ {} }}", value(field, "reader"), view_default(field))
            }
        };
        writeln!(fields, "{}: {value},", field.name)?;
    }
    let tagged = tagged(api, of)?;
    let reader = if fields.contains("reader") || !tagged.is_empty() { "reader" } else { "_" };
    writeln!(out, "\n#[inline]\nfn read({reader}: &mut Reader<'a>) -> Result<Self, Malformed> {{")?;
    if uses_version(&fields) || uses_version(&tagged) {
        writeln!(out, "let version = reader.version();")?;
    }
    if tagged.is_empty() {
        return writeln!(out, "Ok(Self {{ {fields} }})\n}}");
    }
    let mutable = if tagged.contains("view.") { "mut " } else { "" };
    writeln!(out, "let {mutable}view = Self {{ {fields} }};\n{}\nOk(view)\n}}", tagged.trim_end())
}

fn tagged(api: &Api, of: &Struct) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let mut known = of.fields.iter().filter_map(|field| Some((field.tag?, field))).peekable();
    if of.versions.to < api.flexible_from {
        return Ok(out);
    }
    if known.peek().is_none() {
        return Ok("reader.unknown_fields()?;".to_owned());
    }
    writeln!(out, "reader.tagged_fields(|tag, field| {{ match tag {{")?;
    for (tag, field) in known {
        let mut flexible = of.versions;
        flexible.from = flexible.from.max(api.flexible_from);
        let when = condition(field.versions, flexible).map_or(String::new(), |when| format!(" if {when}"));
        writeln!(out, "{tag}{when} => view.{} = {},", field.name, value(field, "field"))?;
    }
    writeln!(out, "_ => return Ok(false),\n}}\nOk(true) }})?;")?;
    Ok(out)
}

fn value(field: &Field, reader: &str) -> String {
    match field.nullable {
        None => one(field, reader, ""),
        Some(nullable) => match condition(nullable, field.versions) {
            None => one(field, reader, "nullable_"),
            Some(when) => {
                let (null, plain) = (one(field, reader, "nullable_"), one(field, reader, ""));
                format!("if {when} {{ {null} }} else {{ Some({plain}) }}")
            }
        },
    }
}

fn one(field: &Field, reader: &str, nullable: &str) -> String {
    match &field.kind {
        _ if field.is_array => {
            let limit = field.limit.as_deref().unwrap_or("ELEMENTS");
            format!("{reader}.{nullable}array(limits::{limit})?")
        }
        Kind::String => format!("{reader}.{nullable}string()?"),
        Kind::Bytes | Kind::Records => format!("{reader}.{nullable}bytes()?"),
        Kind::Struct(_) if !nullable.is_empty() => format!("{reader}.nullable_struct()?"),
        Kind::Struct(name) => format!("{name}View::read({reader})?"),
        scalar => format!("{reader}.{}()?", scalar.scalar().expect("all else was handled")),
    }
}
