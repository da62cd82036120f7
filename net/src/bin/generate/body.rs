//! Emits the structs that are written, and how.

use std::fmt::Write;

use crate::schema::{Api, Field, Kind, Side, Struct};
use crate::types::{
    body_default, body_lifetime, body_type, condition, is_plain_default, scalar_default, uses_version,
    view_lifetime,
};

pub(crate) fn emit(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let (name, life) = (&of.name, body_lifetime(api, of));
    let is_plain = of.fields.iter().all(|field| is_plain_default(of, field));
    let derived = if is_plain { "Clone, Debug, Default, PartialEq" } else { "Clone, Debug, PartialEq" };
    writeln!(out, "#[derive({derived})]\npub struct {name}{life} {{")?;
    for field in &of.fields {
        writeln!(out, "pub {}: {},", field.name, body_type(api, of, field))?;
    }
    writeln!(out, "}}\n")?;
    if !is_plain {
        default(api, of, out)?;
    }
    if name == "Request" || name == "Response" {
        encode(api, of, out)?;
    }
    write(api, of, out)?;
    from_view(api, of, out)
}

fn elided(life: &str) -> &'static str {
    if life.is_empty() { "" } else { "<'_>" }
}

fn default(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let life = elided(body_lifetime(api, of));
    writeln!(out, "impl Default for {}{life} {{ fn default() -> Self {{ Self {{", of.name)?;
    for field in &of.fields {
        writeln!(out, "{}: {},", field.name, body_default(of, field))?;
    }
    writeln!(out, "}} }} }}\n")
}

fn encode(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let (name, life) = (&of.name, elided(body_lifetime(api, of)));
    writeln!(
        out,
        "impl {name}{life} {{
            /// Writes the body without a header.
            ///
            /// # Panics
            /// If the version is not one of `VERSIONS`.
            pub fn encode(&self, version: i16, writer: &mut Writer) {{
                body::encode(self, version, &VERSIONS, FLEXIBLE_FROM, writer);
            }}
        }}

        impl {name}Body for {name}{life} {{
            const KEY: ApiKey = ApiKey::{};
            const VERSIONS: RangeInclusive<i16> = VERSIONS;
            const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
        }}\n",
        api.name
    )
}

fn write(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let mut lines = String::new();
    for field in of.fields.iter().filter(|field| field.tag.is_none()) {
        match condition(field.versions, of.versions) {
            None => writeln!(lines, "{}", value(of, field))?,
            Some(when) => writeln!(lines, "if {when} {{ {} }}", value(of, field))?,
        }
    }
    if of.versions.to >= api.flexible_from {
        tagged(of, &mut lines)?;
    }
    let writer = if lines.is_empty() { "_" } else { "writer" };
    writeln!(out, "impl Encode for {}{} {{", of.name, elided(body_lifetime(api, of)))?;
    writeln!(out, "fn write(&self, {writer}: &mut Writer) {{")?;
    if uses_version(&lines) {
        writeln!(out, "let version = writer.version();")?;
    }
    writeln!(out, "{lines}}} }}\n")
}

/// A tagged field that holds its default is left out.
fn tagged(of: &Struct, out: &mut String) -> std::fmt::Result {
    let tagged: Vec<(u32, &Field)> = of.fields.iter().filter_map(|field| Some((field.tag?, field))).collect();
    for (_, field) in &tagged {
        let when = condition(field.versions, of.versions).map_or(String::new(), |when| format!("{when} && "));
        writeln!(out, "let has_{} = {when}{};", field.name, is_set(field))?;
    }
    let count: Vec<String> = tagged.iter().map(|(_, f)| format!("usize::from(has_{})", f.name)).collect();
    let count = if count.is_empty() { "0".to_owned() } else { count.join(" + ") };
    writeln!(out, "writer.tagged_fields({count});")?;
    for (tag, field) in &tagged {
        let value = value(of, field);
        let value = value.trim_end_matches(';');
        writeln!(out, "if has_{} {{ writer.tagged_field({tag}, |writer| {value}); }}", field.name)?;
    }
    Ok(())
}

fn is_set(field: &Field) -> String {
    let name = &field.name;
    match &field.kind {
        _ if field.nullable.is_some() => format!("self.{name}.is_some()"),
        _ if field.is_array => format!("!self.{name}.is_empty()"),
        Kind::Bool => format!("self.{name}"),
        Kind::String | Kind::Bytes | Kind::Records => format!("!self.{name}.is_empty()"),
        Kind::Struct(of) => format!("self.{name} != {of}::default()"),
        scalar => format!("self.{name} != {}", scalar_default(scalar, field.default.as_deref())),
    }
}

/// The statement that writes a field. Where null is not allowed in a version, null is written as empty.
fn value(of: &Struct, field: &Field) -> String {
    let Some(nullable) = field.nullable else { return plain(of, field, true) };
    match condition(nullable, field.versions) {
        None => or_null(of, field),
        Some(when) => {
            format!("if {when} {{ {} }} else {{ {} }}", or_null(of, field), plain(of, field, false))
        }
    }
}

fn plain(of: &Struct, field: &Field, is_bare: bool) -> String {
    let name = &field.name;
    let borrowed =
        if is_bare { format!("&self.{name}") } else { format!("self.{name}.as_deref().unwrap_or_default()") };
    match &field.kind {
        _ if field.is_array => format!("writer.array({borrowed});"),
        Kind::String => format!("writer.string({borrowed});"),
        Kind::Records if of.side == Side::Response => format!("writer.records(self.{name});"),
        Kind::Bytes | Kind::Records => format!("writer.bytes_field({borrowed});"),
        Kind::Struct(_) => format!("self.{name}.write(writer);"),
        Kind::Int16 if name == "error_code" && of.side == Side::Response => {
            format!("writer.error_code(self.{name});")
        }
        // The writer notes where it stands: it is filled in when the answer is done.
        Kind::Int32 if name == "throttle_time_ms" => format!("writer.throttle_time_ms(self.{name});"),
        scalar => format!("writer.{}(self.{name});", scalar.scalar().expect("all else was handled")),
    }
}

fn or_null(of: &Struct, field: &Field) -> String {
    let name = &field.name;
    match &field.kind {
        _ if field.is_array => format!("writer.nullable_array(self.{name}.as_deref());"),
        Kind::String => format!("writer.nullable_string(self.{name}.as_deref());"),
        Kind::Records if of.side == Side::Response => format!("writer.nullable_records(self.{name});"),
        Kind::Bytes | Kind::Records => format!("writer.nullable_bytes_field(self.{name}.as_deref());"),
        _ => format!("writer.nullable_struct(self.{name}.as_ref());"),
    }
}

/// What was read can be written again, by tests and by those who pass a message on.
fn from_view(api: &Api, of: &Struct, out: &mut String) -> std::fmt::Result {
    let (name, body, view) = (&of.name, body_lifetime(api, of), view_lifetime(api, of));
    let view_life = if body.is_empty() { elided(view) } else { view };
    writeln!(out, "impl{body} From<{name}View{view_life}> for {name}{body} {{")?;
    writeln!(out, "fn from(view: {name}View{view_life}) -> Self {{ Self {{")?;
    for field in &of.fields {
        let name = &field.name;
        let value = match (field.nullable.is_some(), converted(of, field, "x")) {
            (true, Conversion::None) => format!("view.{name}"),
            (true, Conversion::Into) => format!("view.{name}.map(Into::into)"),
            (true, Conversion::Other(value)) => format!("view.{name}.map(|x| {value})"),
            (false, _) => match converted(of, field, &format!("view.{name}")) {
                Conversion::None => format!("view.{name}"),
                Conversion::Into => format!("view.{name}.into()"),
                Conversion::Other(value) => value,
            },
        };
        writeln!(out, "{name}: {value},")?;
    }
    writeln!(out, "}} }} }}\n")
}

enum Conversion {
    None,
    Into,
    Other(String),
}

fn converted(of: &Struct, field: &Field, from: &str) -> Conversion {
    match &field.kind {
        Kind::String | Kind::Struct(_) if field.is_array => {
            Conversion::Other(format!("{from}.iter().map(Into::into).collect()"))
        }
        _ if field.is_array => Conversion::Other(format!("{from}.iter().collect()")),
        Kind::Records if of.side == Side::Response => {
            Conversion::Other(format!("RecordsRef {{ bytes: {from}.len(), slot: 0 }}"))
        }
        Kind::String | Kind::Bytes | Kind::Records | Kind::Struct(_) => Conversion::Into,
        _ => Conversion::None,
    }
}
