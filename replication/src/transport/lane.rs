//! A lane: frames in order, each way, whatever carries them.
//!
//! Lanes of a link do not wait for each other; frames of a lane do.

use bytes::Bytes;

use super::{LinkError, memory, quic};

#[derive(Debug)]
pub struct Lane {
    pub sender: LaneSender,
    pub receiver: LaneReceiver,
}

/// Dropped, it finishes the lane.
#[derive(Debug)]
pub enum LaneSender {
    Quic(quic::LaneSender),
    Memory(memory::LaneSender),
}

impl LaneSender {
    /// Sends one frame made of `parts`, copied. Returns when all of it is on its way; waits while the peer does not
    /// read. Not to be dropped: a lane that got half a frame takes no other.
    pub async fn send(&mut self, parts: &[&[u8]]) -> Result<(), LinkError> {
        match self {
            Self::Quic(sender) => sender.send(parts).await,
            Self::Memory(sender) => sender.send(parts.concat().into()).await,
        }
    }

    /// As `send`, with `parts` held until they are acknowledged instead of copied.
    pub async fn send_bytes(&mut self, head: &[u8], parts: Vec<Bytes>) -> Result<(), LinkError> {
        match self {
            Self::Quic(sender) => sender.send_bytes(head, parts).await,
            Self::Memory(sender) => sender.send([head, &parts.concat()].concat().into()).await,
        }
    }

    /// Of lanes with something to send, those of the highest priority go first.
    pub fn set_priority(&self, priority: i32) {
        if let Self::Quic(sender) = self {
            sender.set_priority(priority);
        }
    }

    /// No frame will follow: the other side reads the end after all that was sent.
    pub fn finish(&mut self) {
        match self {
            Self::Quic(sender) => sender.finish(),
            Self::Memory(sender) => sender.finish(),
        }
    }
}

/// Dropped, it tells the other side to send no more.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the small one is of tests alone")]
pub enum LaneReceiver {
    Quic(quic::LaneReceiver),
    Memory(memory::LaneReceiver),
}

impl LaneReceiver {
    /// The next frame, or `None` when the other side has finished. A frame of more than `bytes_max` bytes is an error
    /// that ends the lane's way here. May be dropped without losing anything.
    pub async fn receive(&mut self, bytes_max: usize) -> Result<Option<Bytes>, LinkError> {
        match self {
            Self::Quic(receiver) => receiver.receive(bytes_max).await,
            Self::Memory(receiver) => receiver.receive(bytes_max).await,
        }
    }
}
