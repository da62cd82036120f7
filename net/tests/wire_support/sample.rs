//! Random messages as bytes, straight from a schema: an encoder of its own, as plain as can be, so that the generated
//! one has something to be compared with.

use super::Random;
use super::schema::{Api, Field, Kind, Side, Struct};

/// A body, and the record data in it in the order in which it is written.
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: Vec<Vec<u8>>,
}

pub(crate) struct Sampler<'a> {
    pub(crate) api: &'a Api,
    pub(crate) version: i16,
    pub(crate) random: Random,
    /// Put tagged fields that nobody knows at the end of structs.
    pub(crate) unknown_tags: bool,
}

const ELEMENTS_MAX: usize = 3;
const UNKNOWN_TAG: u32 = 1000;

impl Sampler<'_> {
    pub(crate) fn message(&mut self, side: Side) -> Sample {
        let name = if side == Side::Request { "Request" } else { "Response" };
        let mut sample = Sample { bytes: Vec::new(), records: Vec::new() };
        self.fields(self.api.find(name), &mut sample);
        sample
    }

    fn is_flexible(&self) -> bool {
        self.version >= self.api.flexible_from
    }

    fn fields(&mut self, of: &Struct, out: &mut Sample) {
        let version = self.version;
        for field in of.fields.iter().filter(|f| f.tag.is_none() && f.versions.contains(version)) {
            self.field(field, out);
        }
        if self.is_flexible() {
            self.tagged(of, out);
        }
    }

    fn tagged(&mut self, of: &Struct, out: &mut Sample) {
        let mut written: Vec<(u32, Vec<u8>)> = Vec::new();
        for field in &of.fields {
            let Some(tag) = field.tag.filter(|_| field.versions.contains(self.version)) else { continue };
            let mut value = Sample { bytes: Vec::new(), records: Vec::new() };
            self.field(field, &mut value);
            if value.bytes != self.default_bytes(field) && !self.random.one_in(3) {
                written.push((tag, value.bytes));
            }
        }
        if self.unknown_tags && self.random.one_in(2) {
            let bytes = self.random.below(5);
            written.push((UNKNOWN_TAG, vec![7; bytes]));
        }
        written.sort_by_key(|(tag, _)| *tag);
        varint(written.len() as u32, &mut out.bytes);
        for (tag, bytes) in written {
            varint(tag, &mut out.bytes);
            varint(bytes.len() as u32, &mut out.bytes);
            out.bytes.extend(bytes);
        }
    }

    /// What a field that holds its default would look like; such a tagged field is left out.
    fn default_bytes(&self, field: &Field) -> Vec<u8> {
        match &field.kind {
            _ if field.nullable.is_some() => vec![0],
            _ if field.is_array => vec![1],
            Kind::Struct(name) => {
                let fields = self.api.find(name).fields.iter().filter(|f| f.versions.contains(self.version));
                let mut bytes: Vec<u8> = fields.flat_map(|field| self.default_bytes(field)).collect();
                bytes.push(0);
                bytes
            }
            Kind::Bool => vec![0],
            Kind::Uuid => vec![0; 16],
            kind => {
                let default = field.default.as_deref().map_or(0, |d| d.parse::<i64>().expect("a number"));
                default.to_be_bytes()[8 - number_bytes(kind)..].to_vec()
            }
        }
    }

    fn field(&mut self, field: &Field, out: &mut Sample) {
        let null = field.nullable.is_some_and(|versions| versions.contains(self.version));
        let is_null = null && self.random.one_in(3);
        if field.is_array {
            let count = self.random.below(ELEMENTS_MAX + 1);
            self.length((!is_null).then_some(count), false, out);
            for _ in 0..if is_null { 0 } else { count } {
                self.value(&field.kind, out);
            }
        } else if is_null {
            match field.kind {
                Kind::Struct(_) => out.bytes.push(0xff),
                _ => self.length(None, field.kind == Kind::String, out),
            }
        } else {
            if null && matches!(field.kind, Kind::Struct(_)) {
                out.bytes.push(1);
            }
            self.value(&field.kind, out);
        }
    }

    fn length(&mut self, length: Option<usize>, is_string: bool, out: &mut Sample) {
        match length {
            _ if self.is_flexible() => varint(length.map_or(0, |l| l as u32 + 1), &mut out.bytes),
            _ if is_string => out.bytes.extend(length.map_or(-1, |l| l as i16).to_be_bytes()),
            _ => out.bytes.extend(length.map_or(-1, |l| l as i32).to_be_bytes()),
        }
    }

    fn value(&mut self, kind: &Kind, out: &mut Sample) {
        match kind {
            Kind::Struct(name) => self.fields(self.api.find(name), out),
            Kind::String => {
                let text = self.text();
                self.length(Some(text.len()), true, out);
                out.bytes.extend(text.as_bytes());
            }
            Kind::Bytes | Kind::Records => {
                let count = self.random.below(40);
                let bytes: Vec<u8> = (0..count).map(|_| self.random.next() as u8).collect();
                self.length(Some(count), false, out);
                out.bytes.extend(&bytes);
                if *kind == Kind::Records {
                    out.records.push(bytes);
                }
            }
            Kind::Bool => out.bytes.push(self.random.below(2) as u8),
            Kind::Float64 => out.bytes.extend((self.random.below(1000) as f64 / 8.0).to_be_bytes()),
            Kind::Uuid => (0..2).for_each(|_| out.bytes.extend(self.random.next().to_be_bytes())),
            number => {
                let any = self.random.next().to_be_bytes();
                out.bytes.extend(&any[..number_bytes(number)]);
            }
        }
    }

    fn text(&mut self) -> String {
        let characters = ['a', 'Z', '7', '.', '-', '"', '\\', '\u{e9}', '\u{20ac}', '\u{1f40d}'];
        let count = if self.random.one_in(20) { 200 } else { self.random.below(9) };
        (0..count).map(|_| characters[self.random.below(characters.len())]).collect()
    }
}

fn number_bytes(kind: &Kind) -> usize {
    match kind {
        Kind::Int8 => 1,
        Kind::Int16 | Kind::Uint16 => 2,
        Kind::Int32 => 4,
        Kind::Int64 => 8,
        other => unreachable!("{other:?} is no number"),
    }
}

fn varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
