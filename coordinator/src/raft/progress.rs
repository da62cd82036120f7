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
    /// When it last said how far it is, and where the leader's log ended then.
    answered: Option<(Millis, Offset)>,
    /// When it last had everything.
    pub caught_up: Option<Millis>,
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
            answered: None,
            caught_up: None,
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

    /// It said how far it is while the leader's log ended at `end`. Who has by now what there was the last time had caught
    /// up then: of a log that grows all the time nobody ever has everything.
    pub(super) fn has_answered(&mut self, end: Offset, now: Millis) {
        let before = self.answered.replace((now, end));
        if self.matched >= end {
            self.caught_up = Some(now);
        } else if let Some((then, end)) = before
            && self.matched >= end
        {
            self.caught_up = self.caught_up.max(Some(then));
        }
    }

    pub(super) fn answered_at(&self) -> Option<Millis> {
        self.answered.map(|(at, _)| at)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_what_there_was_had_caught_up_then() {
        let mut progress = Progress::new(Offset(0), Millis(1));
        assert_eq!((progress.answered_at(), progress.caught_up), (None, None));
        let mut answer = |at, matched, end| {
            progress.appended(Offset(matched), Millis(at));
            progress.has_answered(Offset(end), Millis(at));
            (progress.answered_at(), progress.caught_up)
        };
        assert_eq!(answer(10, 3, 5), (Some(Millis(10)), None));
        assert_eq!(answer(20, 4, 7), (Some(Millis(20)), None), "5 was the end before");
        assert_eq!(answer(30, 8, 9), (Some(Millis(30)), Some(Millis(20))));
        assert_eq!(answer(40, 9, 9), (Some(Millis(40)), Some(Millis(40))));
        assert_eq!(answer(50, 9, 12), (Some(Millis(50)), Some(Millis(40))));
    }
}
