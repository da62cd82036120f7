//! Cuts what a socket gives into frames. Pure.
//!
//! Memory follows what has arrived, never what a length promises: the buffer grows to at most `GROWTH` times its
//! content, so a client that declares 100 MB and sends ten bytes costs one small buffer. An idle connection has none.

use bytes::{Bytes, BytesMut};

const LENGTH_BYTES: usize = 4;
/// The least room for what comes next.
const CHUNK_BYTES: usize = 16 << 10;
/// How much larger than its content the buffer of a large frame may get. Each growth copies what is there.
const GROWTH: usize = 4;

/// The length before a frame makes no frame: the connection cannot go on, nobody knows where the next one begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a frame of {0} bytes")]
pub(crate) struct BadFrame(i32);

#[derive(Debug)]
pub(crate) struct Frames {
    /// Always has a value everywhere; `filled` of it came from the socket.
    buffer: BytesMut,
    filled: usize,
    bytes_max: usize,
}

impl Frames {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), filled: 0, bytes_max }
    }

    /// The next whole frame, without its length.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, BadFrame> {
        let Some(bytes) = self.frame_bytes()? else { return Ok(None) };
        if self.filled < LENGTH_BYTES + bytes {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(LENGTH_BYTES + bytes).freeze();
        self.filled -= frame.len();
        Ok(Some(frame.split_off(LENGTH_BYTES)))
    }

    /// Size of the frame on its way, if its length is known.
    pub(crate) fn frame_bytes(&self) -> Result<Option<usize>, BadFrame> {
        let Some(length) = self.buffer[..self.filled].first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = i32::from_be_bytes(*length);
        match usize::try_from(length) {
            Ok(bytes) if bytes > 0 && bytes <= self.bytes_max => Ok(Some(bytes)),
            _ => Err(BadFrame(length)),
        }
    }

    /// Where the next bytes go. Call `received` with how many there were.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.buffer.len() == self.filled {
            let frame = self.frame_bytes().ok().flatten().map_or(0, |bytes| LENGTH_BYTES + bytes);
            let missing = frame.saturating_sub(self.filled);
            let room = missing.min(self.filled * (GROWTH - 1)).max(CHUNK_BYTES);
            self.buffer.resize(self.filled + room, 0);
        }
        &mut self.buffer[self.filled..]
    }

    pub(crate) fn received(&mut self, count: usize) {
        assert!(count <= self.buffer.len() - self.filled, "more than there was space for");
        self.filled += count;
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Gives the memory back. For a connection that is about to wait.
    pub(crate) fn rest(&mut self) {
        if self.filled == 0 {
            self.buffer = BytesMut::new();
        }
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 100 << 20;

    fn feed(frames: &mut Frames, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = frames.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            frames.received(count);
            rest = &rest[count..];
        }
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [&(body.len() as i32).to_be_bytes(), body].concat()
    }

    #[test]
    fn a_length_that_makes_no_frame_is_refused() {
        for length in [0, -1, i32::MIN, i32::MAX, MAX as i32 + 1] {
            let mut frames = Frames::new(MAX);
            feed(&mut frames, &length.to_be_bytes());
            assert_eq!(frames.next_frame(), Err(BadFrame(length)));
        }
    }

    #[test]
    fn a_promised_length_costs_nothing() {
        let mut frames = Frames::new(MAX);
        feed(&mut frames, &(MAX as i32).to_be_bytes());
        assert_eq!(frames.next_frame(), Ok(None));
        frames.space();
        assert!(frames.memory() < 4 * CHUNK_BYTES, "{}", frames.memory());
        let mut sent = 4;
        while sent < 10 << 20 {
            let count = frames.space().len();
            frames.received(count);
            sent += count;
            assert_eq!(frames.next_frame(), Ok(None));
            assert!(frames.memory() <= 2 * GROWTH * sent.max(CHUNK_BYTES), "{} of {sent}", frames.memory());
        }
    }

    #[test]
    fn a_connection_at_rest_has_no_buffer() {
        let mut frames = Frames::new(MAX);
        feed(&mut frames, &framed(&[7; 5 << 20]));
        let frame = frames.next_frame().unwrap().unwrap();
        assert_eq!(frame.len(), 5 << 20);
        frames.rest();
        assert_eq!(frames.memory(), 0);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60_000), 1..12),
            pieces in proptest::collection::vec(1..50_000usize, 1..40),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
            let mut frames = Frames::new(MAX);
            let (mut out, mut at) = (vec![], 0);
            for piece in pieces.iter().cycle() {
                let end = stream.len().min(at + piece);
                feed(&mut frames, &stream[at..end]);
                at = end;
                while let Some(frame) = frames.next_frame().unwrap() {
                    out.push(frame.to_vec());
                }
                if at == stream.len() {
                    break;
                }
            }
            prop_assert_eq!(out, bodies);
            prop_assert!(frames.is_empty());
        }
    }
}
