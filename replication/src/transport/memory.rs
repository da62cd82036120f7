//! Lanes without a network, for the simulator and for tests: what is sent waits in a `Wire` until whoever has the other
//! end of it says that it arrives, is late, or is lost with the lane.
//!
//! ```text
//!   sender --> under way (Wire) --> arrived --> receiver        both together never more than the window
//! ```

use std::{cell::RefCell, collections::VecDeque, fmt, rc::Rc};

use bytes::Bytes;
use rt::notify::Notify;

use super::{Lane, LinkError};

/// One direction of a lane, for whoever plays the network.
#[derive(Clone)]
pub struct Wire(Rc<Direction>);

struct Direction {
    state: RefCell<State>,
    /// Wakes the sender, the receiver and the network.
    changed: Notify,
}

struct State {
    /// Bytes that are under way or have arrived, and that nobody has read.
    window_bytes: usize,
    used_bytes: usize,
    under_way: VecDeque<Bytes>,
    arrived: VecDeque<Bytes>,
    /// By the sender: nothing follows what is under way.
    finished: bool,
    /// All of that has arrived too.
    end_arrived: bool,
    /// The receiver is gone.
    stopped: bool,
    /// The lane failed, as each side was told.
    failed_to_sender: Option<LinkError>,
    failed_to_receiver: Option<LinkError>,
}

/// Two ends of one lane, and its directions: from the first end to the second, and back.
pub fn pair(window_bytes: usize) -> (Lane, Lane, [Wire; 2]) {
    let wires = [Wire::new(window_bytes), Wire::new(window_bytes)];
    let end = |out: &Wire, into: &Wire| Lane {
        sender: super::LaneSender::Memory(LaneSender(out.clone())),
        receiver: super::LaneReceiver::Memory(LaneReceiver(into.clone())),
    };
    (end(&wires[0], &wires[1]), end(&wires[1], &wires[0]), wires)
}

impl Wire {
    fn new(window_bytes: usize) -> Self {
        let (under_way, arrived) = Default::default();
        let state = State {
            window_bytes,
            used_bytes: 0,
            under_way,
            arrived,
            finished: false,
            end_arrived: false,
            stopped: false,
            failed_to_sender: None,
            failed_to_receiver: None,
        };
        Self(Rc::new(Direction { state: RefCell::new(state), changed: Notify::new() }))
    }

    /// Waits until something is under way that has not arrived: a frame, or the end. False: nothing ever will be.
    pub async fn under_way(&self) -> bool {
        loop {
            let changed = self.0.changed.wait();
            {
                let state = self.0.state.borrow();
                if state.end_arrived || state.stopped || state.failed_to_receiver.is_some() {
                    return false;
                }
                if !state.under_way.is_empty() || state.finished {
                    return true;
                }
            }
            changed.await;
        }
    }

    /// The frame that has been under way longest arrives as `change` makes it, or else the end.
    pub fn arrive(&self, change: impl FnOnce(Bytes) -> Bytes) {
        let mut state = self.0.state.borrow_mut();
        match state.under_way.pop_front() {
            Some(frame) => {
                let changed = change(frame.clone());
                state.used_bytes = state.used_bytes + changed.len() - frame.len();
                state.arrived.push_back(changed);
            }
            None => state.end_arrived = state.finished,
        }
        drop(state);
        self.0.changed.wake_all();
    }

    /// The sender sees that the lane failed; what is under way stays there.
    pub fn fail_sender(&self, error: LinkError) {
        self.0.state.borrow_mut().failed_to_sender.get_or_insert(error);
        self.0.changed.wake_all();
    }

    /// The receiver sees that the lane failed; what has not been read is lost.
    pub fn fail_receiver(&self, error: LinkError) {
        self.0.state.borrow_mut().failed_to_receiver.get_or_insert(error);
        self.0.changed.wake_all();
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.borrow();
        write!(f, "Wire({} under way, {} arrived)", state.under_way.len(), state.arrived.len())
    }
}

#[derive(Debug)]
pub struct LaneSender(Wire);

impl LaneSender {
    pub(super) async fn send(&mut self, frame: Bytes) -> Result<(), LinkError> {
        let direction = &self.0.0;
        loop {
            let changed = direction.changed.wait();
            {
                let mut state = direction.state.borrow_mut();
                if let Some(error) = &state.failed_to_sender {
                    return Err(error.clone());
                }
                if state.stopped || state.finished {
                    return Err(LinkError::LaneEnded);
                }
                // A frame larger than the window goes alone.
                if state.used_bytes == 0 || state.used_bytes + frame.len() <= state.window_bytes {
                    state.used_bytes += frame.len();
                    state.under_way.push_back(frame);
                    drop(state);
                    direction.changed.wake_all();
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    pub(super) fn finish(&mut self) {
        self.0.0.state.borrow_mut().finished = true;
        self.0.0.changed.wake_all();
    }
}

impl Drop for LaneSender {
    fn drop(&mut self) {
        self.finish();
    }
}

#[derive(Debug)]
pub struct LaneReceiver(Wire);

impl LaneReceiver {
    pub(super) async fn receive(&mut self, bytes_max: usize) -> Result<Option<Bytes>, LinkError> {
        let direction = &self.0.0;
        loop {
            let changed = direction.changed.wait();
            {
                let mut state = direction.state.borrow_mut();
                if let Some(error) = &state.failed_to_receiver {
                    return Err(error.clone());
                }
                if let Some(frame) = state.arrived.pop_front() {
                    state.used_bytes -= frame.len();
                    drop(state);
                    direction.changed.wake_all();
                    let bytes = frame.len();
                    let fits = bytes <= bytes_max;
                    return if fits {
                        Ok(Some(frame))
                    } else {
                        Err(LinkError::FrameTooLarge { bytes, bytes_max })
                    };
                }
                if state.end_arrived {
                    return Ok(None);
                }
            }
            changed.await;
        }
    }
}

impl Drop for LaneReceiver {
    fn drop(&mut self) {
        self.0.0.state.borrow_mut().stopped = true;
        self.0.0.changed.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn frames_arrive_when_the_network_says_so_and_the_end_after_them() {
        let (mut near, mut far, [out, _]) = pair(10);
        poll(near.sender.send(&[b"ab", b"c"])).unwrap().unwrap();
        assert!(poll(far.receiver.receive(9)).is_none(), "under way");
        out.arrive(|frame| frame);
        assert_eq!(poll(far.receiver.receive(9)).unwrap().unwrap().unwrap(), b"abc"[..]);
        drop(near);
        assert!(poll(far.receiver.receive(9)).is_none(), "the end is under way");
        assert_eq!(poll(out.under_way()), Some(true));
        out.arrive(|frame| frame);
        assert_eq!(poll(far.receiver.receive(9)), Some(Ok(None)));
        assert_eq!(poll(out.under_way()), Some(false));
    }

    #[test]
    fn who_takes_nothing_in_is_sent_nothing_more() {
        let (mut near, mut far, [out, _]) = pair(4);
        poll(near.sender.send(&[b"longer than the window"])).unwrap().unwrap();
        out.arrive(|frame| frame);
        assert!(poll(near.sender.send(&[b"b"])).is_none());
        poll(far.receiver.receive(99)).unwrap().unwrap();
        poll(near.sender.send(&[b"b"])).unwrap().unwrap();
    }

    #[test]
    fn each_side_hears_of_a_failure_for_itself() {
        let (mut near, mut far, [out, back]) = pair(10);
        poll(near.sender.send(&[b"a"])).unwrap().unwrap();
        out.arrive(|frame| frame);
        out.fail_receiver(LinkError::ClosedHere);
        assert_eq!(poll(far.receiver.receive(9)), Some(Err(LinkError::ClosedHere)));
        poll(near.sender.send(&[b"b"])).unwrap().unwrap();
        out.fail_sender(LinkError::ClosedHere);
        assert_eq!(poll(near.sender.send(&[b"c"])), Some(Err(LinkError::ClosedHere)));
        drop(near);
        assert_eq!(poll(far.sender.send(&[b"d"])), Some(Err(LinkError::LaneEnded)));
        assert_eq!(poll(back.under_way()), Some(false));
    }
}
