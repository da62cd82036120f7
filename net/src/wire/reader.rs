//! Takes Kafka's primitives off a borrowed buffer. Every length is checked against the bytes that are left before
//! anything else is done with it, and nothing is ever allocated.

use model::varint;

use super::Uuid;
use super::array::{Array, Element};
use super::format::Format;

/// The bytes are no message of that API and version. Counted from the start of what was handed to `decode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message at byte {at}")]
pub struct Malformed {
    pub at: usize,
}

/// A tag and a size, a byte each: no tagged field is smaller.
const TAGGED_FIELD_BYTES_MIN: usize = 2;

/// A cursor over one message body.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends, counted from the start of the whole input.
    end: usize,
    format: Format,
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(input: &'a [u8], format: Format) -> Self {
        Self { rest: input, end: input.len(), format }
    }

    #[inline]
    pub fn version(&self) -> i16 {
        self.format.version
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// From here on lengths are compact and structs end in tagged fields: a header changes its form on the way.
    pub(super) fn set_flexible(&mut self) {
        self.format.flexible = true;
    }

    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// All that was not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Refuses trailing bytes.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.malformed()) }
    }

    #[inline]
    fn at(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline]
    pub(super) fn malformed(&self) -> Malformed {
        Malformed { at: self.at() }
    }

    #[inline]
    pub fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.malformed())?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.int8()? != 0)
    }

    #[inline]
    pub fn int8(&mut self) -> Result<i8, Malformed> {
        Ok(i8::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn int16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.take_array()?))
    }

    pub fn uint16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn int32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn int64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.take_array()?))
    }

    pub fn float64(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_be_bytes(self.take_array()?))
    }

    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, Malformed> {
        self.take_array()
    }

    #[inline]
    fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        // Nearly all lengths, counts and tags fit seven bits.
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u32::from(*byte))
            }
            _ => {
                let (value, rest) = varint::read_u32(self.rest).ok_or(self.malformed())?;
                self.rest = rest;
                Ok(value)
            }
        }
    }

    #[inline]
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        let refused = self.malformed();
        self.nullable_string()?.ok_or(refused)
    }

    #[inline]
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let bytes = if self.format.flexible { self.compact_length()? } else { self.length16()? };
        bytes.map(|bytes| self.text(bytes)).transpose()
    }

    #[inline]
    fn text(&mut self, bytes: usize) -> Result<&'a str, Malformed> {
        let start = self.at();
        let text = self.take(bytes)?;
        str::from_utf8(text).map_err(|e| Malformed { at: start + e.valid_up_to() })
    }

    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let refused = self.malformed();
        self.nullable_bytes()?.ok_or(refused)
    }

    /// Byte strings, and record data, which looks the same. The slice lies inside the buffer that is read.
    #[inline]
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        self.length()?.map(|bytes| self.take(bytes)).transpose()
    }

    /// Validates the whole array, then returns a view of it.
    #[inline]
    pub fn array<T: Element<'a>>(&mut self, count_max: usize) -> Result<Array<'a, T>, Malformed> {
        let refused = self.malformed();
        self.nullable_array(count_max)?.ok_or(refused)
    }

    #[inline]
    pub fn nullable_array<T: Element<'a>>(
        &mut self,
        count_max: usize,
    ) -> Result<Option<Array<'a, T>>, Malformed> {
        let refused = self.malformed();
        let Some(count) = self.length()? else { return Ok(None) };
        let smallest = T::bytes_min(self.format).max(1);
        if count > count_max || count.saturating_mul(smallest) > self.remaining() {
            return Err(refused);
        }
        let from = self.rest;
        T::skip(self, count)?;
        Ok(Some(Array::new(&from[..from.len() - self.rest.len()], count, self.format)))
    }

    /// A struct that may be null starts with a byte: negative means null.
    pub fn nullable_struct<T: Element<'a>>(&mut self) -> Result<Option<T>, Malformed> {
        if self.int8()? < 0 { Ok(None) } else { T::read(self).map(Some) }
    }

    /// Skips the tagged fields that end a struct in a flexible version.
    #[inline]
    pub fn unknown_fields(&mut self) -> Result<(), Malformed> {
        if !self.format.flexible {
            return Ok(());
        }
        // Nearly always there are none.
        if let [0, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(());
        }
        *self = self.past_unknown_fields()?;
        Ok(())
    }

    /// By value, so that a reader in a loop need not live in memory for the sake of the rare case.
    #[cold]
    fn past_unknown_fields(mut self) -> Result<Self, Malformed> {
        self.tagged_fields(|_, _| Ok(false))?;
        Ok(self)
    }

    /// Hands each tagged field to `known`, which reads it to its end and returns true, or returns false to skip it.
    /// Tags rise strictly, so none comes twice.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, Malformed>,
    ) -> Result<(), Malformed> {
        if !self.format.flexible {
            return Ok(());
        }
        let refused = self.malformed();
        let count = self.unsigned_varint()? as usize;
        if count > self.remaining() / TAGGED_FIELD_BYTES_MIN {
            return Err(refused);
        }
        let mut last = None;
        for _ in 0..count {
            let refused = self.malformed();
            let tag = self.unsigned_varint()?;
            if last >= Some(tag) {
                return Err(refused);
            }
            last = Some(tag);
            let mut field = self.split()?;
            if known(tag, &mut field)? {
                field.finish()?;
            }
        }
        Ok(())
    }

    /// The next field by its size, as a reader of its own.
    fn split(&mut self) -> Result<Self, Malformed> {
        let bytes = self.unsigned_varint()? as usize;
        let rest = self.take(bytes)?;
        Ok(Self { rest, end: self.at(), format: self.format })
    }

    #[inline]
    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        if self.format.flexible { self.compact_length() } else { self.length32() }
    }

    /// One more than the length; zero is null.
    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|bytes| bytes as usize))
    }

    #[inline]
    fn length16(&mut self) -> Result<Option<usize>, Malformed> {
        let refused = self.malformed();
        match self.int16()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| refused),
        }
    }

    #[inline]
    fn length32(&mut self) -> Result<Option<usize>, Malformed> {
        let refused = self.malformed();
        match self.int32()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPACT: Format = Format { version: 0, flexible: true };

    fn reader(input: &[u8]) -> Reader<'_> {
        Reader::new(input, Format::PLAIN)
    }

    fn compact(input: &[u8]) -> Reader<'_> {
        Reader::new(input, COMPACT)
    }

    #[test]
    fn null_is_not_empty() {
        assert_eq!(compact(&[0]).nullable_string(), Ok(None));
        assert_eq!(compact(&[1]).nullable_string(), Ok(Some("")));
        assert_eq!(reader(&[255, 255]).nullable_string(), Ok(None));
        assert_eq!(reader(&[0, 0]).nullable_string(), Ok(Some("")));
        assert_eq!(reader(&[255; 4]).nullable_bytes(), Ok(None));
        assert_eq!(reader(&[0; 4]).nullable_bytes(), Ok(Some(&[][..])));
    }

    #[test]
    fn null_is_refused_where_a_value_must_be() {
        assert_eq!(compact(&[0]).string(), Err(Malformed { at: 0 }));
        assert_eq!(reader(&[255, 255]).string(), Err(Malformed { at: 0 }));
        assert_eq!(reader(&[255; 4]).array::<i32>(9).unwrap_err(), Malformed { at: 0 });
    }

    #[test]
    fn only_minus_one_is_null() {
        assert_eq!(reader(&[255, 254]).nullable_string(), Err(Malformed { at: 0 }));
        assert_eq!(reader(&[128, 0, 0, 0]).nullable_bytes(), Err(Malformed { at: 0 }));
    }

    #[test]
    fn text_must_be_utf_8() {
        assert_eq!(compact(&[3, b'a', 0xff]).string(), Err(Malformed { at: 2 }));
    }

    #[test]
    fn a_count_is_bounded_by_the_bytes_left_and_by_its_maximum() {
        let two = [0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8];
        assert_eq!(reader(&two).array::<i32>(2).map(|a| a.len()), Ok(2));
        assert_eq!(reader(&two).array::<i32>(1).unwrap_err(), Malformed { at: 0 });
        assert_eq!(reader(&two[..11]).array::<i32>(2).unwrap_err(), Malformed { at: 0 });
        assert_eq!(compact(&[0xff, 0xff, 0xff, 0xff, 0x0f]).array::<i8>(usize::MAX).unwrap_err().at, 0);
    }

    #[test]
    fn tags_rise_and_come_once() {
        let skip = |input: &[u8]| compact(input).unknown_fields();
        assert_eq!(skip(&[2, 1, 0, 2, 1, 9]), Ok(()));
        assert_eq!(skip(&[2, 1, 0, 1, 0]), Err(Malformed { at: 3 }));
        assert_eq!(skip(&[2, 2, 0, 1, 0]), Err(Malformed { at: 3 }));
        assert_eq!(skip(&[1, 0, 2, 9]), Err(Malformed { at: 3 }));
        assert_eq!(skip(&[200, 1, 0, 0]), Err(Malformed { at: 0 }));
    }

    #[test]
    fn a_known_tag_is_read_to_its_end() {
        let read = |input: &[u8]| {
            compact(input).tagged_fields(|_, field| {
                field.int8()?;
                Ok(true)
            })
        };
        assert_eq!(read(&[1, 0, 1, 9]), Ok(()));
        assert_eq!(read(&[1, 0, 2, 9, 9]), Err(Malformed { at: 4 }));
        assert_eq!(read(&[1, 0, 0, 9]), Err(Malformed { at: 3 }));
    }
}
