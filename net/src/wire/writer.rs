//! Writes Kafka's primitives into a buffer that is used again and again. Record data is left out as holes.

use std::borrow::Cow;

use model::varint;

use super::Uuid;
use super::format::Format;
use super::records::{Hole, RecordsRef};

/// Longest string with a two-byte length.
const STRING_BYTES_MAX: usize = i16::MAX as usize;
/// What an emptied writer keeps of its memory: one large answer is no reason to hold it for ever.
const KEPT_BYTES_MAX: usize = 256 * 1024;
const KEPT_HOLES_MAX: usize = 4096;
/// A frame's length field.
const FRAME_LENGTH_BYTES: usize = 4;

/// What can be written in the writer's format.
pub trait Encode {
    fn write(&self, writer: &mut Writer);
}

/// A buffer with holes. Several frames may stand in it one after another.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    hole_bytes: usize,
    throttle_at: Option<usize>,
    format: Format,
    errors: Vec<(i16, u64)>,
}

/// Where a frame began; give it back to `end_frame`.
#[derive(Debug)]
#[must_use = "a frame has no length until it is ended"]
pub struct FrameStart {
    position: usize,
    hole_bytes: usize,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame that another broker wrote, its length included.
    pub fn of_frame(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Empties the buffer and keeps its memory, within a limit.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.holes.clear();
        self.holes.shrink_to(KEPT_HOLES_MAX);
        self.hole_bytes = 0;
        self.errors.clear();
        self.throttle_at = None;
    }

    /// What was written, without the record data.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// By rising position.
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Bytes that go to the socket, record data included.
    pub fn total_bytes(&self) -> usize {
        self.bytes.len() + self.hole_bytes
    }

    pub fn into_parts(self) -> (Vec<u8>, Vec<Hole>) {
        (self.bytes, self.holes)
    }

    pub fn begin_frame(&mut self) -> FrameStart {
        self.throttle_at = None;
        let start = FrameStart { position: self.bytes.len(), hole_bytes: self.hole_bytes };
        self.bytes.extend([0; FRAME_LENGTH_BYTES]);
        start
    }

    /// Fills in the frame's length, record data included.
    ///
    /// # Panics
    /// If the frame is longer than its length field can say; what goes into a frame is bounded before.
    pub fn end_frame(&mut self, start: FrameStart) {
        let body = start.position + FRAME_LENGTH_BYTES;
        let bytes = self.bytes.len() - body + self.hole_bytes - start.hole_bytes;
        let length = i32::try_from(bytes).expect("a frame is bounded before it is written");
        self.bytes[start.position..body].copy_from_slice(&length.to_be_bytes());
    }

    pub fn version(&self) -> i16 {
        self.format.version
    }

    pub fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    pub fn int8(&mut self, value: i8) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub fn int16(&mut self, value: i16) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// As `int16`, and counts what is an error.
    pub fn error_code(&mut self, code: i16) {
        if code != 0 {
            match self.errors.iter_mut().find(|(known, _)| *known == code) {
                Some((_, count)) => *count += 1,
                None => self.errors.push((code, 1)),
            }
        }
        self.int16(code);
    }

    /// Codes of the errors that were written, and how often each.
    pub fn errors(&self) -> &[(i16, u64)] {
        &self.errors
    }

    pub fn uint16(&mut self, value: u16) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub fn int32(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// An int32 that can still be changed by `set_throttle_time_ms`.
    pub fn throttle_time_ms(&mut self, value: i32) {
        self.throttle_at = Some(self.bytes.len());
        self.int32(value);
    }

    /// Fills in the throttle time of the frame that was written last, if its version has one.
    pub fn set_throttle_time_ms(&mut self, value: i32) {
        if let Some(at) = self.throttle_at {
            self.bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
    }

    pub fn int64(&mut self, value: i64) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub fn float64(&mut self, value: f64) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.bytes.extend(value);
    }

    fn unsigned_varint(&mut self, value: usize) {
        let value = u32::try_from(value).expect("lengths in a frame fit 32 bits");
        varint::write_u32(value, &mut self.bytes);
    }

    /// A string too long for a two-byte length is cut: a shorter text is kinder than no answer.
    pub fn string(&mut self, text: &str) {
        if self.format.flexible {
            self.unsigned_varint(text.len() + 1);
            self.bytes.extend(text.as_bytes());
        } else {
            let text = &text[..text.floor_char_boundary(STRING_BYTES_MAX)];
            self.int16(text.len() as i16);
            self.bytes.extend(text.as_bytes());
        }
    }

    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None if self.format.flexible => self.unsigned_varint(0),
            None => self.int16(-1),
        }
    }

    pub fn bytes_field(&mut self, bytes: &[u8]) {
        self.length(Some(bytes.len()));
        self.bytes.extend(bytes);
    }

    pub fn nullable_bytes_field(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bytes_field(bytes),
            None => self.length(None),
        }
    }

    /// Writes the length and leaves a hole for the record data.
    pub fn records(&mut self, records: RecordsRef) {
        self.length(Some(records.bytes));
        if records.bytes > 0 {
            let position = self.bytes.len();
            self.holes.push(Hole { position, bytes: records.bytes, slot: records.slot });
            self.hole_bytes += records.bytes;
        }
    }

    pub fn nullable_records(&mut self, records: Option<RecordsRef>) {
        match records {
            Some(records) => self.records(records),
            None => self.length(None),
        }
    }

    pub fn array<T: Encode>(&mut self, elements: &[T]) {
        self.length(Some(elements.len()));
        for element in elements {
            element.write(self);
        }
    }

    pub fn nullable_array<T: Encode>(&mut self, elements: Option<&[T]>) {
        match elements {
            Some(elements) => self.array(elements),
            None => self.length(None),
        }
    }

    /// A struct that may be null: a byte says whether it follows.
    pub fn nullable_struct<T: Encode>(&mut self, value: Option<&T>) {
        match value {
            Some(value) => {
                self.int8(1);
                value.write(self);
            }
            None => self.int8(-1),
        }
    }

    /// Opens the tagged fields that end a struct in a flexible version. Exactly `count` calls of `tagged_field` with
    /// rising tags follow.
    pub fn tagged_fields(&mut self, count: usize) {
        if self.format.flexible {
            self.unsigned_varint(count);
        } else {
            assert_eq!(count, 0, "only flexible versions have tagged fields");
        }
    }

    /// The size stands before the field and is known only after it: it is slipped in.
    pub fn tagged_field(&mut self, tag: u32, field: impl FnOnce(&mut Self)) {
        varint::write_u32(tag, &mut self.bytes);
        let (start, holes) = (self.bytes.len(), self.holes.len());
        field(self);
        assert_eq!(self.holes.len(), holes, "record data never stands in a tagged field");
        let end = self.bytes.len();
        self.unsigned_varint(end - start);
        let size_bytes = self.bytes.len() - end;
        self.bytes[start..].rotate_right(size_bytes);
    }

    /// Byte strings, record data, arrays.
    fn length(&mut self, length: Option<usize>) {
        match length {
            Some(length) if self.format.flexible => self.unsigned_varint(length + 1),
            None if self.format.flexible => self.unsigned_varint(0),
            Some(length) => self.int32(i32::try_from(length).expect("lengths in a frame fit 31 bits")),
            None => self.int32(-1),
        }
    }
}

macro_rules! scalar {
    ($($name:ty, $write:ident;)*) => {$(
        impl Encode for $name {
            fn write(&self, writer: &mut Writer) {
                writer.$write(*self);
            }
        }
    )*};
}

scalar! {
    i8, int8;
    i16, int16;
    i32, int32;
    i64, int64;
    Uuid, uuid;
}

impl Encode for Cow<'_, str> {
    fn write(&self, writer: &mut Writer) {
        writer.string(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(flexible: bool, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.set_format(Format { version: 0, flexible });
        write(&mut writer);
        writer.bytes
    }

    #[test]
    fn null_is_not_empty() {
        assert_eq!(written(true, |w| w.nullable_string(None)), [0]);
        assert_eq!(written(true, |w| w.nullable_string(Some(""))), [1]);
        assert_eq!(written(false, |w| w.nullable_string(None)), [255, 255]);
        assert_eq!(written(false, |w| w.nullable_string(Some(""))), [0, 0]);
        assert_eq!(written(true, |w| w.nullable_records(None)), [0]);
        assert_eq!(written(true, |w| w.records(RecordsRef::EMPTY)), [1]);
    }

    #[test]
    fn a_text_longer_than_its_length_field_is_cut_between_characters() {
        let text = "\u{20ac}".repeat(20_000);
        let bytes = written(false, |w| w.string(&text));
        assert_eq!(bytes.len(), 2 + 32_766);
        assert_eq!(written(true, |w| w.string(&text)).len(), 3 + 60_000);
    }

    #[test]
    fn a_tagged_field_is_preceded_by_its_size() {
        let long = "x".repeat(200);
        let bytes = written(true, |w| {
            w.tagged_fields(2);
            w.tagged_field(0, |w| w.int16(7));
            w.tagged_field(1, |w| w.string(&long));
        });
        assert_eq!(bytes[..8], [2, 0, 2, 0, 7, 1, 202, 1]);
        assert_eq!(bytes.len(), 8 + 202);
    }

    #[test]
    fn an_emptied_writer_keeps_some_memory() {
        let mut writer = Writer::new();
        for bytes in [1000, 10 << 20] {
            writer.bytes_field(&vec![0; bytes]);
            writer.clear();
            assert!(writer.bytes().is_empty());
            assert!((bytes.min(KEPT_BYTES_MAX)..=KEPT_BYTES_MAX).contains(&writer.bytes.capacity()));
        }
    }

    #[test]
    fn frames_count_their_holes() {
        let mut writer = Writer::new();
        for slot in 0..2 {
            let start = writer.begin_frame();
            writer.int16(1);
            writer.records(RecordsRef { bytes: 100, slot });
            writer.int8(2);
            writer.end_frame(start);
        }
        assert_eq!(writer.bytes()[..4], [0, 0, 0, 107]);
        assert_eq!(writer.bytes()[11..15], [0, 0, 0, 107]);
        assert_eq!(writer.total_bytes(), 2 * (4 + 107));
        assert_eq!(writer.holes()[0], Hole { position: 10, bytes: 100, slot: 0 });
        assert_eq!(writer.holes()[1], Hole { position: 21, bytes: 100, slot: 1 });
    }
}
