//! The two things that decide how a field looks on the wire.

/// Version of the message, and whether that version is flexible: compact lengths and tagged fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Format {
    pub version: i16,
    pub flexible: bool,
}

impl Format {
    /// Plain lengths and no tagged fields, whatever the version.
    pub const PLAIN: Self = Self { version: 0, flexible: false };

    pub const fn new(version: i16, flexible_from: i16) -> Self {
        Self { version, flexible: version >= flexible_from }
    }

    /// Fewest bytes of a string: the length alone.
    pub const fn string_bytes_min(self) -> usize {
        if self.flexible { 1 } else { 2 }
    }

    /// Fewest bytes of byte strings, record data and arrays: the length alone.
    pub const fn length_bytes_min(self) -> usize {
        if self.flexible { 1 } else { 4 }
    }
}
