//! An answer ready for the socket: the frame's own bytes, and the record data that belongs in its holes.

use std::time::Duration;

use rt::{net::OutPart, pages::PageSlice};

use crate::{
    request::Head,
    wire::{RecordsRef, ResponseBody, Writer, write_response},
};

/// Record data of an answer, slot by slot, as the codec names it.
#[derive(Default, Debug)]
pub struct Slots(Vec<Vec<PageSlice>>);

impl Slots {
    /// Puts record data aside and answers what to write in its place.
    pub fn put(&mut self, slices: Vec<PageSlice>) -> RecordsRef {
        let bytes = slices.iter().map(PageSlice::len).sum();
        if bytes == 0 {
            return RecordsRef::EMPTY;
        }
        self.0.push(slices);
        RecordsRef { bytes, slot: self.0.len() - 1 }
    }
}

#[derive(Debug)]
pub struct Response {
    writer: Writer,
    slots: Slots,
    /// How long the client is to wait before its next request.
    throttle: Duration,
}

impl Response {
    pub fn new<B: ResponseBody>(to: impl Into<Head>, body: &B) -> Self {
        let response = Self::with_records(to, body, Slots::default());
        assert!(!response.has_records(), "record data needs slots");
        response
    }

    pub fn with_records<B: ResponseBody>(to: impl Into<Head>, body: &B, slots: Slots) -> Self {
        let Head { version, correlation_id } = to.into();
        let mut writer = Writer::new();
        write_response(body, version, correlation_id, &mut writer);
        Self { writer, slots, throttle: Duration::ZERO }
    }

    /// A whole frame that another broker answered with.
    pub fn of_frame(bytes: Vec<u8>) -> Self {
        Self { writer: Writer::of_frame(bytes), slots: Slots::default(), throttle: Duration::ZERO }
    }

    pub fn throttle(&self) -> Duration {
        self.throttle
    }

    /// Tells the client how long to wait, unless it is to wait longer already. In whole milliseconds.
    pub fn set_throttle(&mut self, throttle: Duration) {
        if throttle > self.throttle {
            self.throttle = throttle;
            let ms = i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX);
            self.writer.set_throttle_time_ms(ms);
        }
    }

    /// What goes to the socket, record data included.
    pub fn total_bytes(&self) -> usize {
        self.writer.total_bytes()
    }

    /// Codes of the errors in it, and how often each.
    pub fn errors(&self) -> &[(i16, u64)] {
        self.writer.errors()
    }

    pub fn has_records(&self) -> bool {
        !self.writer.holes().is_empty()
    }

    /// The frame's bytes, whole if there are no records.
    pub fn bytes(&self) -> &[u8] {
        self.writer.bytes()
    }

    /// The bytes before the first record data, and what follows them in turn.
    pub fn into_parts(self) -> (Vec<u8>, Vec<OutPart>) {
        let (mut bytes, holes) = self.writer.into_parts();
        let Some(first) = holes.first().map(|hole| hole.position) else { return (bytes, Vec::new()) };
        let mut slots = self.slots.0;
        let mut parts = Vec::new();
        for (i, hole) in holes.iter().enumerate() {
            parts.extend(std::mem::take(&mut slots[hole.slot]).into_iter().map(OutPart::Page));
            let end = holes.get(i + 1).map_or(bytes.len(), |next| next.position);
            if end > hole.position {
                parts.push(OutPart::Owned(bytes[hole.position..end].to_vec()));
            }
        }
        bytes.truncate(first);
        (bytes, parts)
    }
}
