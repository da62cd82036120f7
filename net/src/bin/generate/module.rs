//! Puts a module together: head, views, structs to be written; and the list of all modules.

use std::fmt::Write;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, thread};

use crate::schema::{self, Api, Side, Struct};
use crate::{body, view};

/// A file of `net/src/wire/messages`.
pub(crate) struct Generated {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// All schemas of a directory, by API key.
pub(crate) fn read_schemas(directory: &Path) -> io::Result<Vec<Api>> {
    let mut apis = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "schema") {
            let module = path.file_stem().unwrap_or_default().to_string_lossy();
            let api = schema::parse(&module, &fs::read_to_string(&path)?);
            apis.push(api.map_err(|e| io::Error::other(format!("{}: {e}", path.display())))?);
        }
    }
    apis.sort_by_key(|api| api.key);
    Ok(apis)
}

pub(crate) fn generate(directory: &Path) -> io::Result<Vec<Generated>> {
    let apis = read_schemas(directory)?;
    let mut files = Vec::new();
    for api in &apis {
        let text = format(&module(api).map_err(io::Error::other)?)?;
        files.push(Generated { name: format!("{}.rs", api.module), text });
    }
    let list = format(&list(&apis).map_err(io::Error::other)?)?;
    files.push(Generated { name: "mod.rs".to_owned(), text: list });
    Ok(files)
}

fn module(api: &Api) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "//! {}, API key {}.", api.name, api.key)?;
    writeln!(out, "//!")?;
    for line in &api.doc {
        writeln!(out, "//! {line}")?;
    }
    writeln!(out, "//!\n//! Generated from `net/schema/{}.schema`; edit that.\n", api.module)?;
    let mut inner = String::new();
    facts(api, &mut inner)?;
    for of in outer_first(api) {
        view::emit(api, of, &mut inner)?;
    }
    for of in outer_first(api) {
        body::emit(api, of, &mut inner)?;
    }
    imports(&inner, &mut out)?;
    out.push('\n');
    out.push_str(&inner);
    Ok(out)
}

/// The request, what stands in it, the answer, what stands in it, what stands in both.
fn outer_first(api: &Api) -> impl Iterator<Item = &Struct> {
    let sides = [Side::Request, Side::Response, Side::Shared];
    sides.into_iter().flat_map(|side| api.structs.iter().rev().filter(move |of| of.side == side))
}

fn imports(text: &str, out: &mut String) -> std::fmt::Result {
    if text.contains("Cow<") {
        writeln!(out, "use std::borrow::Cow;")?;
    }
    writeln!(out, "use std::ops::RangeInclusive;\n")?;
    let used = |names: &[(&str, &'static str)]| {
        let used = names.iter().filter(|(word, _)| text.contains(word)).map(|(_, name)| *name);
        used.collect::<Vec<_>>().join(", ")
    };
    let array = used(&[("Array<", "Array"), ("", "Element")]);
    let rest = used(&[("limits::", "limits"), ("Uuid", "Uuid")]);
    writeln!(out, "use crate::wire::api_key::ApiKey;\nuse crate::wire::array::{{{array}}};")?;
    writeln!(out, "use crate::wire::body::{{self, RequestBody, ResponseBody}};")?;
    if text.contains("Format") {
        writeln!(out, "use crate::wire::format::Format;")?;
    }
    writeln!(out, "use crate::wire::reader::{{Malformed, Reader}};")?;
    if text.contains("RecordsRef") {
        writeln!(out, "use crate::wire::records::RecordsRef;")?;
    }
    writeln!(out, "use crate::wire::writer::{{Encode, Writer}};")?;
    if !rest.is_empty() {
        writeln!(out, "use crate::wire::{{{rest}}};")?;
    }
    Ok(())
}

fn facts(api: &Api, out: &mut String) -> std::fmt::Result {
    let flexible = match api.flexible_from {
        i16::MAX => "i16::MAX".to_owned(),
        from => from.to_string(),
    };
    writeln!(
        out,
        "pub const API_KEY: i16 = {};
        /// What can be read and written.
        pub const VERSIONS: RangeInclusive<i16> = {}..={};
        /// The lowest version to list.
        pub const LISTED_FROM: i16 = {};
        /// The first version with compact lengths and tagged fields.
        pub const FLEXIBLE_FROM: i16 = {flexible};\n",
        api.key, api.versions.from, api.versions.to, api.listed_from
    )
}

fn list(apis: &[Api]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "//! The messages, a module per API. Generated from `net/schema`; edit that.\n")?;
    let mut modules: Vec<&str> = apis.iter().map(|api| api.module.as_str()).collect();
    modules.sort_unstable();
    for module in modules {
        writeln!(out, "pub mod {module};")?;
    }
    writeln!(out, "\nuse super::api_key::ApiKey;\nuse super::body::ApiFacts;\n")?;
    writeln!(out, "/// Every API that has messages, by key.\npub const APIS: &[ApiFacts] = &[")?;
    for Api { name, module, .. } in apis {
        writeln!(
            out,
            "ApiFacts {{ key: ApiKey::{name}, versions: {module}::VERSIONS,
            listed_from: {module}::LISTED_FROM, flexible_from: {module}::FLEXIBLE_FROM }},"
        )?;
    }
    writeln!(out, "];\n\n/// What the schema says of an API, if it has one.")?;
    writeln!(out, "pub fn facts(key: ApiKey) -> Option<&'static ApiFacts> {{")?;
    writeln!(out, "APIS.binary_search_by_key(&key, |facts| facts.key).ok().map(|i| &APIS[i])\n}}")?;
    Ok(out)
}

/// Through rustfmt with the repository's settings, so that the committed files are as `cargo fmt` leaves them.
fn format(text: &str) -> io::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (input, text) = (child.stdin.take(), text.to_owned());
    let feeder = thread::spawn(move || input.map_or(Ok(()), |mut input| input.write_all(text.as_bytes())));
    let output = child.wait_with_output()?;
    feeder.join().map_err(|_| io::Error::other("the feeder panicked"))??;
    if !output.status.success() {
        return Err(io::Error::other("rustfmt refused what was generated"));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
