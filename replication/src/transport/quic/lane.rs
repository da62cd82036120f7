//! A lane over a stream: a frame is its length, a big-endian u32, and so many bytes.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt};

use super::failure;
use crate::transport::{self, Lane, error::LinkError};

const LENGTH_BYTES: usize = 4;
/// How many pieces of what has arrived are taken at a time.
const PIECES: usize = 16;
/// What is made ready for a frame whose length has arrived, and nothing else of it.
const READY_BYTES: usize = 4 << 10;
/// Told to a peer whose lane ends within a frame, and to one that announces too long a frame.
const CUT: VarInt = VarInt::from_u32(1);
const TOO_LARGE: VarInt = VarInt::from_u32(2);

/// The two directions of a stream.
pub(super) fn lane(send: SendStream, receive: RecvStream, peer: SocketAddr) -> Lane {
    let receiver = LaneReceiver {
        stream: receive,
        peer,
        pieces: [const { Bytes::new() }; PIECES],
        count: 0,
        next: 0,
        frame: Frame::default(),
        is_refused: false,
    };
    let sender = LaneSender { stream: send, peer, within_frame: false };
    Lane { sender: transport::LaneSender::Quic(sender), receiver: transport::LaneReceiver::Quic(receiver) }
}

/// Dropped, it finishes the lane.
#[derive(Debug)]
pub struct LaneSender {
    stream: SendStream,
    peer: SocketAddr,
    /// A send was dropped or failed half way: no frame can follow.
    within_frame: bool,
}

impl LaneSender {
    /// Sends one frame made of `parts`, copied. Returns when all of it is on its way; waits while the peer does not
    /// read. Not to be dropped: a lane that got half a frame takes no other.
    pub async fn send(&mut self, parts: &[&[u8]]) -> Result<(), LinkError> {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut frame = BytesMut::with_capacity(LENGTH_BYTES + length);
        self.begin(&mut frame, length)?;
        parts.iter().for_each(|part| frame.put_slice(part));
        self.write(&mut [frame.freeze()]).await
    }

    /// As `send`, with `parts` held until they are acknowledged instead of copied.
    pub async fn send_bytes(&mut self, head: &[u8], mut parts: Vec<Bytes>) -> Result<(), LinkError> {
        let length = head.len() + parts.iter().map(Bytes::len).sum::<usize>();
        let mut first = BytesMut::with_capacity(LENGTH_BYTES + head.len());
        self.begin(&mut first, length)?;
        first.put_slice(head);
        parts.insert(0, first.freeze());
        self.write(&mut parts).await
    }

    /// Of lanes with something to send, those of the highest priority go first.
    pub fn set_priority(&self, priority: i32) {
        // Of a lane that is over nobody cares.
        let _ = self.stream.set_priority(priority);
    }

    /// No frame will follow: the other side reads the end after all that was sent.
    pub fn finish(&mut self) {
        // Fails only when the lane is over.
        let _ = if self.within_frame { self.stream.reset(CUT) } else { self.stream.finish() };
    }

    fn begin(&mut self, frame: &mut BytesMut, bytes: usize) -> Result<(), LinkError> {
        if self.within_frame {
            return Err(LinkError::FrameCut);
        }
        let bytes_max = u32::MAX as usize;
        let length = u32::try_from(bytes).map_err(|_| LinkError::FrameTooLarge { bytes, bytes_max })?;
        frame.put_u32(length);
        Ok(())
    }

    async fn write(&mut self, parts: &mut [Bytes]) -> Result<(), LinkError> {
        self.within_frame = true;
        self.stream.write_all_chunks(parts).await.map_err(|e| failure::write(e, self.peer))?;
        self.within_frame = false;
        Ok(())
    }
}

impl Drop for LaneSender {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Dropped, it tells the other side to send no more.
#[derive(Debug)]
pub struct LaneReceiver {
    stream: RecvStream,
    peer: SocketAddr,
    /// What has been taken and not been looked at yet: those from `next` up to `count`.
    pieces: [Bytes; PIECES],
    count: usize,
    next: usize,
    frame: Frame,
    /// Too long a frame was announced: nothing more is taken.
    is_refused: bool,
}

/// The frame that is coming.
#[derive(Debug, Default)]
struct Frame {
    length: [u8; LENGTH_BYTES],
    length_count: usize,
    body: BytesMut,
}

impl LaneReceiver {
    /// The next frame, or `None` when the other side has finished. A frame of more than `bytes_max` bytes is an error
    /// that ends the lane's way here. What a small frame takes in memory may hold up to 64 KiB that arrived with it.
    /// May be dropped without losing anything.
    pub async fn receive(&mut self, bytes_max: usize) -> Result<Option<Bytes>, LinkError> {
        if self.is_refused {
            return Err(LinkError::LaneEnded);
        }
        loop {
            while self.next < self.count {
                let piece = &mut self.pieces[self.next];
                match self.frame.take(piece, bytes_max) {
                    Ok(Some(frame)) => return Ok(Some(frame)),
                    // All of the piece was taken.
                    Ok(None) => self.next += 1,
                    Err(e) => {
                        self.is_refused = true;
                        // Fails only when the lane is over.
                        let _ = self.stream.stop(TOO_LARGE);
                        return Err(e);
                    }
                }
            }
            rt::yield_if_needed().await;
            self.next = 0;
            self.count = 0;
            match self.stream.read_chunks(&mut self.pieces).await {
                Ok(Some(count)) => self.count = count,
                Ok(None) if self.frame.is_begun() => return Err(LinkError::FrameCut),
                Ok(None) => return Ok(None),
                Err(e) => return Err(failure::read(e, self.peer)),
            }
        }
    }
}

impl Frame {
    fn is_begun(&self) -> bool {
        self.length_count > 0
    }

    /// Takes from `piece` what belongs to this frame, and gives it out when it is whole: then it begins anew.
    fn take(&mut self, piece: &mut Bytes, bytes_max: usize) -> Result<Option<Bytes>, LinkError> {
        let missing = (LENGTH_BYTES - self.length_count).min(piece.len());
        self.length[self.length_count..][..missing].copy_from_slice(&piece.split_to(missing));
        self.length_count += missing;
        if self.length_count < LENGTH_BYTES {
            return Ok(None);
        }
        let bytes = u32::from_be_bytes(self.length) as usize;
        if bytes > bytes_max {
            return Err(LinkError::FrameTooLarge { bytes, bytes_max });
        }
        if self.body.is_empty() && piece.len() >= bytes {
            self.length_count = 0;
            return Ok(Some(piece.split_to(bytes)));
        }
        let missing = (bytes - self.body.len()).min(piece.len());
        if self.body.capacity() - self.body.len() < missing {
            // Twice what has arrived, so that a length alone costs nothing.
            let arrived = self.body.len() + missing;
            self.body.reserve(bytes.min((2 * arrived).max(READY_BYTES)) - self.body.len());
        }
        self.body.extend_from_slice(&piece.split_to(missing));
        if self.body.len() < bytes {
            return Ok(None);
        }
        self.length_count = 0;
        Ok(Some(std::mem::take(&mut self.body).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All frames in `wire`, which arrives in pieces of `piece_bytes`.
    fn frames(wire: &[u8], piece_bytes: usize, bytes_max: usize) -> Result<(Vec<Bytes>, bool), LinkError> {
        let (mut frame, mut found) = (Frame::default(), Vec::new());
        for piece in wire.chunks(piece_bytes) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(whole) = frame.take(&mut piece, bytes_max)? {
                found.push(whole);
            }
            assert!(piece.is_empty());
        }
        Ok((found, frame.is_begun()))
    }

    fn wire(bodies: &[&[u8]]) -> Vec<u8> {
        bodies.iter().flat_map(|body| [&(body.len() as u32).to_be_bytes(), *body].concat()).collect()
    }

    #[test]
    fn frames_are_the_same_however_they_arrive() {
        let long: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        let bodies: [&[u8]; 6] = [b"", b"a", b"", &long, b"four", b""];
        let wire = wire(&bodies);
        for piece_bytes in [1, 2, 3, 4, 5, 7, 1000, 8192, 20_004, wire.len()] {
            let (found, begun) = frames(&wire, piece_bytes, long.len()).unwrap();
            assert_eq!(found, bodies, "pieces of {piece_bytes}");
            assert!(!begun);
        }
        for cut in 1..4 {
            assert!(frames(&wire[..cut], 1, 10).unwrap().1);
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_arrives() {
        let too_large = LinkError::FrameTooLarge { bytes: 11, bytes_max: 10 };
        assert_eq!(frames(&[0, 0, 0, 11], 1, 10), Err(too_large));
        assert_eq!(frames(&wire(&[&[7; 10]]), 4, 10).unwrap().0, [[7u8; 10].as_slice()]);
    }

    #[test]
    fn a_length_alone_costs_no_memory() {
        let mut frame = Frame::default();
        let mut piece = Bytes::from_static(&[0x40, 0, 0, 0, 1]);
        assert_eq!(frame.take(&mut piece, usize::MAX), Ok(None));
        assert!(frame.body.capacity() <= READY_BYTES);
        let mut piece = Bytes::from(vec![1; 100_000]);
        assert_eq!(frame.take(&mut piece, usize::MAX), Ok(None));
        assert!(frame.body.capacity() <= 2 * 100_001 + READY_BYTES);
    }
}
