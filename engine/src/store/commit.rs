//! Group commit: what was appended while one commit was in flight becomes the next one. One aligned durable write to
//! the journal, beside it the long runs that go straight to their segments.

use std::{io, rc::Rc};

use model::{Offset, batch::Crc32c};

use super::Store;
use crate::{
    concurrent::{both, for_each_bounded},
    disk::{Disk, Flush, is_full},
    journal::{
        BODY_BYTES_MAX, RunBytes,
        frame::{self, Run, RunKind},
    },
    log::{Durability, Pending, SharedLog, write_out::Goal},
};

/// A run of one partition of at least this much in one round goes straight to its segment and is written once.
const BYPASS_BYTES: u64 = 192 << 10;
/// Segment writes of one round at a time.
const BYPASS_WRITES: usize = 8;
/// Runs of one frame: bounds the frame's entry table.
const RUNS_MAX: usize = 16 << 10;

const _: () = assert!(RUNS_MAX * frame::ENTRY_BYTES <= BODY_BYTES_MAX);

/// The store failed; nothing more is acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the data directory failed: {0}")]
pub struct Failed(pub Rc<str>);

struct Round<F> {
    runs: Vec<RunBytes>,
    /// The logs of the round, in order; a log has several runs if a segment was rolled.
    logs: Vec<(SharedLog<F>, Offset)>,
    body_bytes: usize,
    durable: bool,
    /// Each with the place where the round ends.
    bypass: Vec<(SharedLog<F>, Goal)>,
    /// Logs with a batch that no frame holds, or behind others that no journal has: written and flushed however long it
    /// takes.
    written_out: Vec<(SharedLog<F>, Goal)>,
}

impl<D: Disk> Store<D> {
    /// Waits for appends, commits one round, and answers which logs moved. One pump a shard calls it in a loop; it
    /// returns an error for ever once the store failed.
    pub async fn commit(&self) -> Result<Vec<SharedLog<D::File>>, Failed> {
        while self.queue.borrow().is_empty() {
            self.check_failure()?;
            self.work.wait().await;
        }
        self.commit_round().await
    }

    /// One round of what waits now.
    pub(super) async fn commit_round(&self) -> Result<Vec<SharedLog<D::File>>, Failed> {
        assert!(!self.committing.replace(true), "one commit at a time");
        let committed = self.write_what_waits().await;
        self.committing.set(false);
        self.committed.wake_all();
        committed
    }

    async fn write_what_waits(&self) -> Result<Vec<SharedLog<D::File>>, Failed> {
        self.wait_for_journal().await?;
        // From here to the turns that `write_round` takes nothing is awaited: what is true while gathering stays true.
        let round = self.gather();
        if let Err(error) = self.write_round(&round).await {
            self.fail("a journal commit", &error);
        }
        self.check_failure()?;
        self.counts.committed(round.logs.len(), round.runs.iter().map(|r| &r.run));
        // Also logs whose ends a checkpoint had moved already: their waiters have not been told.
        let committed = round.logs.into_iter().map(|(log, next)| {
            log.state.borrow_mut().committed(next, round.durable);
            log
        });
        Ok(committed.collect())
    }

    async fn wait_for_journal(&self) -> Result<(), Failed> {
        loop {
            self.check_failure()?;
            if self.journal.fits(self.waiting_body_bytes()) {
                self.journal_wanted.set(false);
                return Ok(());
            }
            self.journal_wanted.set(true);
            self.want_maintenance();
            self.journal_room.wait().await;
        }
    }

    /// The most that the next round puts into its frame.
    fn waiting_body_bytes(&self) -> usize {
        let most = self.body_bytes_max() + frame::ENTRY_BYTES;
        let mut bytes = 0;
        for log in self.queue.borrow().iter() {
            let pending = &log.state.borrow().pending;
            bytes += pending.iter().map(|p| p.bytes as usize).sum::<usize>()
                + runs_of(pending) * frame::ENTRY_BYTES;
            if bytes >= most {
                return most;
            }
        }
        bytes
    }

    /// Body of one frame, so that a small journal holds several.
    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX.min(self.journal.capacity() as usize / 4)
    }

    pub(super) fn check_failure(&self) -> Result<(), Failed> {
        self.failure.borrow().as_ref().map_or(Ok(()), |why| Err(Failed(why.clone())))
    }

    /// Nothing waits for a commit, and none is under way.
    pub fn is_idle(&self) -> bool {
        self.queue.borrow().is_empty() && !self.committing.get()
    }

    /// Takes as many pending batches as one frame holds. What is left stays first in the queue.
    fn gather(&self) -> Round<D::File> {
        let body_max = self.body_bytes_max();
        let mut round = Round::default();
        loop {
            let Some(log) = self.queue.borrow_mut().pop_front() else { break };
            if log.deleted.get() {
                continue;
            }
            let finished = self.gather_log(&log, &mut round, body_max);
            log.state.borrow_mut().queued = !finished;
            if !finished {
                self.queue.borrow_mut().push_front(log);
                break;
            }
        }
        round
    }

    /// `true` if all that the log had pending is in the round now.
    fn gather_log(&self, log: &SharedLog<D::File>, round: &mut Round<D::File>, body_max: usize) -> bool {
        let (bypasses, follows_memory, mut pending) = {
            let mut state = log.state.borrow_mut();
            let bytes: u64 = state.pending.iter().map(|p| u64::from(p.bytes)).sum();
            let flushed = state.config.durability == Durability::Flushed;
            round.durable |= flushed;
            let first = state.pending.first().map(|p| (p.segment_base, u64::from(p.position)));
            // Bytes that a destage carried out already were not flushed with it: the journal must have them.
            let untouched = state
                .segments
                .back()
                .is_some_and(|s| first.is_some_and(|(base, at)| base == s.base && s.written <= at));
            // An extent that nobody flushed could be missing under later frames: only flushed ones bypass the journal.
            let bypasses = bytes >= BYPASS_BYTES && flushed && untouched;
            // The topic was answered from memory until now: what the journal lacks must be in the segment before the
            // journal goes on behind it, or recovery finds a hole.
            let follows_memory = !state.pending.is_empty() && state.unjournaled > state.recovery_point;
            (bypasses, follows_memory, std::mem::take(&mut state.pending))
        };
        let bypasses = bypasses && log.is_ready_for_bypass() && !log.writing.get();
        let bypasses = bypasses && !follows_memory;
        let oversized = pending.iter().any(|p| p.bytes as usize > body_max);
        if bypasses || oversized || follows_memory {
            // Such a log is one run, or one for each segment it filled: no more of them than the frame has room for.
            if !round.runs.is_empty() && round.body_bytes + runs_of(&pending) * frame::ENTRY_BYTES > body_max
            {
                log.state.borrow_mut().pending = pending;
                return false;
            }
            if bypasses {
                self.add_extent(log, round, &pending);
            } else {
                self.add_written_out(log, round, &pending);
            }
            return true;
        }
        let mut taken = 0;
        while taken < pending.len() && round.runs.len() < RUNS_MAX {
            let mut count = run_length(&pending[taken..], body_max.saturating_sub(round.body_bytes));
            if count == 0 && round.runs.is_empty() {
                count = 1;
            }
            if count == 0 {
                break;
            }
            add_run(log, round, &pending[taken..taken + count], RunKind::Inline);
            taken += count;
        }
        if let Some(last) = taken.checked_sub(1) {
            round.logs.push((log.clone(), pending[last].next_offset));
        }
        let left = pending.split_off(taken);
        let finished = left.is_empty();
        log.state.borrow_mut().pending = left;
        finished
    }

    fn add_extent(&self, log: &SharedLog<D::File>, round: &mut Round<D::File>, pending: &[Pending]) {
        add_run(log, round, pending, RunKind::Extent);
        round.logs.push((log.clone(), pending[pending.len() - 1].next_offset));
        round.bypass.push((log.clone(), log.goal()));
    }

    fn add_written_out(&self, log: &SharedLog<D::File>, round: &mut Round<D::File>, pending: &[Pending]) {
        let mut rest = pending;
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(rest, usize::MAX));
            add_run(log, round, run, RunKind::Extent);
            rest = after;
        }
        round.logs.push((log.clone(), pending[pending.len() - 1].next_offset));
        round.written_out.push((log.clone(), log.goal()));
    }

    async fn write_round(&self, round: &Round<D::File>) -> io::Result<()> {
        if !round.written_out.is_empty() {
            return self.write_one_after_another(round).await;
        }
        let flush = if round.durable { Flush::Dsync } else { Flush::No };
        // The turns are taken before anything is awaited: nobody else can have begun a write of these logs.
        let turns: Vec<_> = round
            .bypass
            .iter()
            .map(|(log, goal)| {
                (log, *goal, log.try_turn().expect("nobody writes: looked at while gathering"))
            })
            .collect();
        let extents = for_each_bounded(turns, BYPASS_WRITES, |(log, goal, turn)| async move {
            self.write_log(log, flush, goal, &turn).await
        });
        let (journal, extents) = both(self.journal.write(&round.runs, round.durable), extents).await;
        journal?;
        let mut left = Vec::new();
        for (extent, written) in round.bypass.iter().zip(extents) {
            match written {
                Err(error) if is_full(&error) => left.push(extent),
                written => written?,
            }
        }
        // No frame follows the one that describes them until they are there: a crash before that cuts a torn end.
        self.carry_out(left).await
    }

    /// Everything that no frame holds first, then the frame. No turn is held meanwhile, because a checkpoint needs it to
    /// find room on a full disk: so the logs that could be written beside the frame are not.
    async fn write_one_after_another(&self, round: &Round<D::File>) -> io::Result<()> {
        let unjournaled: Vec<_> =
            round.written_out.iter().map(|(log, _)| log.state.borrow().unjournaled).collect();
        self.carry_out(round.written_out.iter().chain(&round.bypass)).await?;
        for ((log, _), was) in round.written_out.iter().zip(unjournaled) {
            let mut state = log.state.borrow_mut();
            if state.unjournaled == was {
                state.unjournaled = Offset::ZERO;
            }
        }
        self.journal.write(&round.runs, round.durable).await
    }

    /// Puts logs into their segments and flushes them, however long it takes: a full disk is waited for, because nobody
    /// was told yet that anything of this is safe.
    async fn carry_out<'a>(
        &self,
        extents: impl IntoIterator<Item = &'a (SharedLog<D::File>, Goal)>,
    ) -> io::Result<()> {
        let mut any = false;
        for (log, goal) in extents {
            any = true;
            while let Some(turn) = log.turn().await {
                let room = self.disk_room.wait();
                let written = self.write_log(log, Flush::No, *goal, &turn).await;
                drop(turn);
                match written {
                    Err(error) if is_full(&error) && !self.closing.get() => {
                        self.segment_error("a segment write", &error);
                        room.await;
                    }
                    written => {
                        written?;
                        break;
                    }
                }
                if let Err(failed) = self.check_failure() {
                    return Err(io::Error::other(failed.to_string()));
                }
            }
        }
        if any { self.disk.flush_everything(self.journal.file()).await } else { Ok(()) }
    }
}

impl<F> Default for Round<F> {
    fn default() -> Self {
        let (runs, logs, bypass, written_out) = Default::default();
        Self { runs, logs, body_bytes: 0, durable: false, bypass, written_out }
    }
}

/// One for each segment that the batches fill; one, which is too many, for none.
fn runs_of(pending: &[Pending]) -> usize {
    1 + pending.windows(2).filter(|pair| pair[0].segment_base != pair[1].segment_base).count()
}

/// How many batches from the front lie side by side and fit in `bytes_max` as one run.
fn run_length(pending: &[Pending], bytes_max: usize) -> usize {
    let mut bytes = frame::ENTRY_BYTES;
    let mut count = 0;
    for p in pending {
        bytes += p.bytes as usize;
        if p.segment_base != pending[0].segment_base || bytes > bytes_max {
            break;
        }
        count += 1;
    }
    count
}

fn add_run<F: Clone + 'static>(log: &SharedLog<F>, round: &mut Round<F>, pending: &[Pending], kind: RunKind) {
    let (first, last) = (&pending[0], &pending[pending.len() - 1]);
    let slices: Vec<_> = pending.iter().flat_map(|p| p.slices.iter().cloned()).collect();
    let mut crc = Crc32c::default();
    slices.iter().for_each(|s| crc.update(s));
    let run = Run {
        kind,
        log: log.id,
        leader_epoch: last.leader_epoch,
        base_offset: first.follows,
        next_offset: last.next_offset,
        segment_base: first.segment_base,
        position: first.position,
        bytes: pending.iter().map(|p| p.bytes).sum(),
        crc: crc.finish(),
    };
    round.body_bytes += run.body_bytes();
    let slices = if kind == RunKind::Inline { slices } else { Vec::new() };
    round.runs.push(RunBytes { run, slices });
}
