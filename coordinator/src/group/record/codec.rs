//! Bytes of Kafka's versioned structs: big-endian numbers, strings with a two-byte length in the old form and with a
//! varint of length + 1 in the flexible one. Reading never allocates by a length that was only declared.

/// What a record of the log cannot be read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("the record ends within a field")]
    Short,
    #[error("a length is negative or above what the format allows")]
    Length,
    #[error("a string is not UTF-8")]
    Text,
    #[error("a field that must not be null is null")]
    Null,
    #[error("the value has version {0}, which is not known")]
    Version(i16),
}

/// The old form or the one with varint lengths and tagged fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Old,
    Flexible,
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    form: Form,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], form: Form) -> Self {
        Self { rest: bytes, form }
    }

    /// The two-byte version in front of a key or a value, and what follows it.
    pub(super) fn versioned(bytes: &'a [u8]) -> Result<(i16, &'a [u8]), BadRecord> {
        let (version, rest) = bytes.split_first_chunk::<2>().ok_or(BadRecord::Short)?;
        Ok((i16::from_be_bytes(*version), rest))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], BadRecord> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(BadRecord::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>().ok_or(BadRecord::Short)?;
        self.rest = rest;
        Ok(*chunk)
    }

    pub(super) fn i8(&mut self) -> Result<i8, BadRecord> {
        self.chunk().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, BadRecord> {
        self.chunk().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, BadRecord> {
        self.chunk().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, BadRecord> {
        self.chunk().map(i64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<[u8; 16], BadRecord> {
        self.chunk()
    }

    fn varint(&mut self) -> Result<u32, BadRecord> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.chunk()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| BadRecord::Length);
            }
        }
        Err(BadRecord::Length)
    }

    /// A length, or none for null. `wide`: four bytes in the old form, as bytes and arrays have them.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, BadRecord> {
        let declared = match (self.form, wide) {
            (Form::Flexible, _) => i64::from(self.varint()?) - 1,
            (Form::Old, true) => i64::from(self.i32()?),
            (Form::Old, false) => i64::from(self.i16()?),
        };
        match declared {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| BadRecord::Length),
        }
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<String>, BadRecord> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        let text = str::from_utf8(self.take(length)?).map_err(|_| BadRecord::Text)?;
        Ok(Some(text.to_owned()))
    }

    pub(super) fn string(&mut self) -> Result<String, BadRecord> {
        self.nullable_string()?.ok_or(BadRecord::Null)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, BadRecord> {
        let length = self.length(true)?.ok_or(BadRecord::Null)?;
        self.take(length).map(<[u8]>::to_vec)
    }

    pub(super) fn array<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<Vec<T>, BadRecord> {
        self.nullable_array(element)?.ok_or(BadRecord::Null)
    }

    /// Each element takes at least one byte, so a declared count above what is left ends at the end of the bytes.
    pub(super) fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<Option<Vec<T>>, BadRecord> {
        let Some(count) = self.length(true)? else { return Ok(None) };
        if count > self.rest.len() {
            return Err(BadRecord::Short);
        }
        let mut elements = vec![];
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// The tagged fields at the end of a struct; `field` sees each with a reader of its own and may leave it unread.
    pub(super) fn tagged(
        &mut self,
        mut field: impl FnMut(u32, &mut Self) -> Result<(), BadRecord>,
    ) -> Result<(), BadRecord> {
        if self.form == Form::Old {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let bytes = self.take(size)?;
            field(tag, &mut Self::new(bytes, Form::Flexible))?;
        }
        Ok(())
    }

    pub(super) fn untagged(&mut self) -> Result<(), BadRecord> {
        self.tagged(|_, _| Ok(()))
    }
}

pub(super) struct Writer {
    bytes: Vec<u8>,
    form: Form,
}

impl Writer {
    /// Begins with the version, as keys and values do.
    pub(super) fn new(version: i16, form: Form) -> Self {
        Self { bytes: version.to_be_bytes().to_vec(), form }
    }

    fn fragment() -> Self {
        Self { bytes: vec![], form: Form::Flexible }
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn uuid(&mut self, value: [u8; 16]) {
        self.bytes.extend(value);
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// The door refuses texts above what two bytes can count, so nothing too long comes here.
    fn length(&mut self, length: Option<usize>, wide: bool) {
        let fits = "a length that the door has checked";
        match (self.form, length) {
            (Form::Flexible, None) => self.varint(0),
            (Form::Flexible, Some(n)) => self.varint(u32::try_from(n + 1).expect(fits)),
            (Form::Old, n) if wide => self.i32(n.map_or(-1, |n| i32::try_from(n).expect(fits))),
            (Form::Old, n) => self.i16(n.map_or(-1, |n| i16::try_from(n).expect(fits))),
        }
    }

    pub(super) fn nullable_string(&mut self, value: Option<&str>) {
        self.length(value.map(str::len), false);
        self.bytes.extend(value.unwrap_or("").as_bytes());
    }

    pub(super) fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.length(Some(value.len()), true);
        self.bytes.extend(value);
    }

    pub(super) fn array<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.length(Some(elements.len()), true);
        elements.iter().for_each(|e| element(self, e));
    }

    /// The one tagged field that any of these structs has, with tag 0; none if it holds its default.
    pub(super) fn tagged(&mut self, field: Option<impl FnOnce(&mut Self)>) {
        if self.form == Form::Old {
            return;
        }
        let Some(write) = field else { return self.varint(0) };
        let mut fragment = Self::fragment();
        write(&mut fragment);
        self.varint(1);
        self.varint(0);
        self.varint(u32::try_from(fragment.bytes.len()).expect("below 4 GiB"));
        self.bytes.extend(fragment.bytes);
    }

    pub(super) fn untagged(&mut self) {
        self.tagged(None::<fn(&mut Self)>);
    }
}
