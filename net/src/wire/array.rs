//! A view of an array that was validated once and is parsed again while it is walked. It owns nothing, so that a
//! declared count never costs memory.

use std::fmt;
use std::marker::PhantomData;

use super::Uuid;
use super::format::Format;
use super::reader::{Malformed, Reader};

/// What can stand in an array.
pub trait Element<'a>: Copy {
    /// Fewest bytes one element takes: what a declared count is measured against.
    fn bytes_min(_: Format) -> usize {
        1
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed>;

    /// Validates `count` elements in a row.
    fn skip(reader: &mut Reader<'a>, count: usize) -> Result<(), Malformed> {
        let mut local = *reader;
        for _ in 0..count {
            Self::read(&mut local)?;
        }
        *reader = local;
        Ok(())
    }
}

macro_rules! fixed {
    ($($name:ty, $read:ident;)*) => {$(
        impl<'a> Element<'a> for $name {
            fn bytes_min(_: Format) -> usize {
                size_of::<Self>()
            }
            fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
                reader.$read()
            }
            fn skip(reader: &mut Reader<'a>, count: usize) -> Result<(), Malformed> {
                reader.take(count.saturating_mul(size_of::<Self>())).map(drop)
            }
        }
    )*};
}

fixed! {
    i8, int8;
    i16, int16;
    i32, int32;
    i64, int64;
    Uuid, uuid;
}

impl<'a> Element<'a> for &'a str {
    fn bytes_min(format: Format) -> usize {
        format.string_bytes_min()
    }
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        reader.string()
    }
}

/// A validated array. Copying it is cheap; each walk parses the elements again.
pub struct Array<'a, T> {
    bytes: &'a [u8],
    count: usize,
    format: Format,
    elements: PhantomData<fn() -> T>,
}

impl<'a, T: Element<'a>> Array<'a, T> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8], count: usize, format: Format) -> Self {
        Self { bytes, count, format, elements: PhantomData }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub fn iter(&self) -> Iter<'a, T> {
        Iter { reader: Reader::new(self.bytes, self.format), left: self.count, elements: PhantomData }
    }
}

impl<T> Clone for Array<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Array<'_, T> {}

impl<T> Default for Array<'_, T> {
    fn default() -> Self {
        Self { bytes: &[], count: 0, format: Format::PLAIN, elements: PhantomData }
    }
}

impl<'a, T: Element<'a> + fmt::Debug> fmt::Debug for Array<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Element<'a>> IntoIterator for Array<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Walks an [`Array`].
pub struct Iter<'a, T> {
    reader: Reader<'a>,
    left: usize,
    elements: PhantomData<fn() -> T>,
}

impl<'a, T: Element<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        Some(T::read(&mut self.reader).expect("the validating pass has read this very element"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for Iter<'a, T> {}
