//! The offsets that say what of a partition may be seen and what is safe, with their order asserted on each change.

use crate::Offset;

/// ```text
///   log start <= last stable <= high watermark <= log end
///                               durable <= log end
/// ```
/// `durable` is ours: everything below it is on stable storage of this broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watermarks {
    pub log_start: Offset,
    pub last_stable: Offset,
    pub high: Offset,
    pub log_end: Offset,
    pub durable: Offset,
}

impl Watermarks {
    pub fn at(offset: Offset) -> Self {
        Self { log_start: offset, last_stable: offset, high: offset, log_end: offset, durable: offset }
    }

    /// Called after every change; a broken order is a bug and must not reach a client.
    pub fn assert_ordered(&self) {
        assert!(self.log_start <= self.last_stable, "{self:?}");
        assert!(self.last_stable <= self.high, "{self:?}");
        assert!(self.high <= self.log_end, "{self:?}");
        assert!(self.durable <= self.log_end, "{self:?}");
    }
}
