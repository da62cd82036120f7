//! What a leader knows of one other node's log.

use std::collections::VecDeque;

use model::{Millis, Offset};

use super::message::Round;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// One message at a time, until the place where the logs part is found.
    Probe { waits: bool },
    /// Entries are sent on without waiting for answers.
    Stream,
    /// What it needs is in a snapshot only.
    Snapshot,
}

#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// Equal to the leader's log and durable there, up to here.
    pub matched: Offset,
    /// Where the next message begins.
    pub next: Offset,
    pub pace: Pace,
    /// Where the entries of each unanswered message end.
    in_flight: VecDeque<Offset>,
    /// When something last came of what was sent.
    pub moved: Millis,
    pub heard: Millis,
    /// The last round it has answered.
    pub round: Round,
}

impl Progress {
    pub(super) fn new(next: Offset, now: Millis) -> Self {
        Self {
            matched: Offset::ZERO,
            next,
            pace: Pace::Probe { waits: false },
            in_flight: VecDeque::new(),
            moved: now,
            heard: now,
            round: Round::default(),
        }
    }

    pub(super) fn may_send(&self, in_flight_max: usize) -> bool {
        match self.pace {
            Pace::Probe { waits } => !waits,
            Pace::Stream => self.in_flight.len() < in_flight_max,
            Pace::Snapshot => false,
        }
    }

    /// Entries up to an offset are under way.
    pub(super) fn sent(&mut self, end: Offset, now: Millis) {
        match &mut self.pace {
            Pace::Probe { waits } => *waits = true,
            Pace::Stream => {
                if self.in_flight.is_empty() {
                    self.moved = now;
                }
                self.in_flight.push_back(end);
                self.next = end;
            }
            Pace::Snapshot => unreachable!("nothing is sent before the snapshot is there"),
        }
    }

    pub(super) fn appended(&mut self, matched: Offset, now: Millis) {
        if matched > self.matched {
            (self.matched, self.moved) = (matched, now);
        }
        while self.in_flight.front().is_some_and(|&end| end <= self.matched) {
            self.in_flight.pop_front();
        }
        match self.pace {
            // Less than what was probed for says nothing of it: it may be the answer to an older message.
            Pace::Probe { .. } if matched >= self.next => self.pace = Pace::Stream,
            Pace::Probe { .. } | Pace::Stream | Pace::Snapshot => {}
        }
        self.next = self.next.max(self.matched);
    }

    /// What was under way is taken for lost, and what it was thought to have beyond this place too: that costs
    /// sending it again, while to insist on it would leave a node alone that lost its disk.
    pub(super) fn probe(&mut self, next: Offset) {
        self.in_flight.clear();
        self.matched = self.matched.min(next);
        self.next = next;
        self.pace = Pace::Probe { waits: false };
    }

    /// Sends again what was not answered: a probe at once, a stream when nothing has come of it since `before`.
    pub(super) fn retry(&mut self, before: Millis) {
        match &mut self.pace {
            Pace::Probe { waits } => *waits = false,
            Pace::Stream if !self.in_flight.is_empty() && self.moved < before => self.probe(self.matched),
            Pace::Stream | Pace::Snapshot => {}
        }
    }

    pub(super) fn needs_snapshot(&mut self) {
        self.in_flight.clear();
        self.pace = Pace::Snapshot;
    }
}
