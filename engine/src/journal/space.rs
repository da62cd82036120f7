//! Which part of the journal's ring is free. Pure arithmetic over the frames that are still needed.

use std::collections::VecDeque;

use super::{
    frame::{BLOCK, Link},
    superblock::FRAMES_FROM,
};

/// A frame that still holds the only durable copy of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveFrame {
    pub link: Link,
    pub position: u64,
    pub bytes: u64,
}

/// ```text
///   | superblocks | ... free ... | tail = live frames = head | ... free ... | capacity
///   | superblocks | live = head | ... free ... | tail = live ... | unused end | capacity
/// ```
/// A frame never spans the end: what does not fit goes back to the start, and recovery looks there when the next
/// frame is not where it would otherwise be.
#[derive(Debug)]
pub struct Space {
    head: u64,
    capacity: u64,
    live: VecDeque<LiveFrame>,
}

impl Space {
    pub fn new(capacity: u64) -> Self {
        assert!(capacity >= FRAMES_FROM + BLOCK as u64);
        Self { head: FRAMES_FROM, capacity, live: VecDeque::new() }
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The file has grown: usable from the next time the head comes by.
    pub fn grow_to(&mut self, capacity: u64) {
        assert!(capacity >= self.capacity);
        self.capacity = capacity;
    }

    pub fn live_bytes(&self) -> u64 {
        self.live.iter().map(|f| f.bytes).sum()
    }

    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// The frame that would be the tail if everything up to `sequence` were released.
    pub fn oldest_after(&self, sequence: u64) -> Option<&LiveFrame> {
        self.live.iter().find(|f| f.link.sequence > sequence)
    }

    pub fn head(&self) -> u64 {
        self.head
    }

    /// Where a frame of `bytes` would go, or `None` while it does not fit.
    pub fn place(&self, bytes: u64) -> Option<u64> {
        let Some(tail) = self.live.front().map(|f| f.position) else {
            return (FRAMES_FROM + bytes <= self.capacity).then_some(self.place_when_empty(bytes));
        };
        if self.head > tail {
            if self.head + bytes <= self.capacity {
                return Some(self.head);
            }
            // Strictly below the tail: head == tail must always mean "empty".
            return (FRAMES_FROM + bytes < tail).then_some(FRAMES_FROM);
        }
        (self.head + bytes < tail).then_some(self.head)
    }

    fn place_when_empty(&self, bytes: u64) -> u64 {
        if self.head + bytes <= self.capacity { self.head } else { FRAMES_FROM }
    }

    /// A frame was written where `place` said. Space may have grown or been released meanwhile, never taken.
    pub fn push(&mut self, frame: LiveFrame) {
        let end = frame.position + frame.bytes;
        assert!(end <= self.capacity, "{frame:?} beyond {}", self.capacity);
        assert!(
            self.live.iter().all(|f| end <= f.position || f.position + f.bytes <= frame.position),
            "{frame:?}"
        );
        assert!(self.live.back().is_none_or(|last| last.link.sequence + 1 == frame.link.sequence));
        self.head = end;
        self.live.push_back(frame);
    }

    /// Everything up to and including `sequence` is safe elsewhere.
    pub fn release_through(&mut self, sequence: u64) {
        while self.live.front().is_some_and(|f| f.link.sequence <= sequence) {
            self.live.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a byte map: no live frame is ever overwritten, and an empty journal takes any frame that fits it.
        #[test]
        fn live_frames_are_never_overwritten(steps in proptest::collection::vec((1u64..6, 0u64..4), 1..200)) {
            let mut space = Space::new(FRAMES_FROM + 16 * BLOCK as u64);
            let (mut sequence, mut released) = (0, 0);
            for (blocks, release) in steps {
                let bytes = blocks * BLOCK as u64;
                match space.place(bytes) {
                    Some(position) => {
                        prop_assert!(position >= FRAMES_FROM && position + bytes <= space.capacity());
                        for f in &space.live {
                            prop_assert!(position + bytes <= f.position || position >= f.position + f.bytes);
                        }
                        sequence += 1;
                        space.push(LiveFrame { link: Link { salt: 1, sequence, previous_crc: 0 }, position, bytes });
                    }
                    None => prop_assert!(space.live_count() > 0),
                }
                released = (released + release).min(sequence);
                space.release_through(released);
            }
        }
    }
}
