//! Fetch sessions (KIP-227): what a client fetches is kept here, so that it sends only what changed and is told only
//! what changed. Pure; a cache per shard, bounded, and always free to say no: session id 0 means "none", and a client
//! that meets an unknown session starts a new one.
//!
//! ```text
//!   id 0, epoch 0   start a session with what is sent            id n, epoch 0    the same, and end session n
//!   id n, epoch e   change session n, its e-th request           id n, epoch -1   end session n; no new one
//! ```
//! Partitions are served in the order of the session; one that gave records goes to the end, so that a busy partition
//! does not starve the ones behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use model::{ErrorCode, LeaderEpoch, Millis, Offset, ShardId, TopicId};

/// A session unused for this long gives way to any other, one older than this to a larger one. As in Apache Kafka.
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);
/// Partitions of all sessions of a shard together; beyond it no session begins.
pub const PARTITIONS_MAX: usize = 1 << 20;

/// A topic as the request names it: by name below version 13, by id from there on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TopicKey {
    Name(Rc<str>),
    Id(TopicId),
}

/// A partition as a fetch request asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    pub topic: TopicKey,
    pub partition: i32,
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    pub last_epoch: LeaderEpoch,
    pub bytes_max: i32,
}

/// What a fetch request says of its session.
#[derive(Clone, Debug)]
pub struct SessionAsk {
    pub id: i32,
    pub epoch: i32,
    pub uses_ids: bool,
    pub wants: Vec<Want>,
    pub forgotten: Vec<(TopicKey, i32)>,
}

/// A fetch under way: all that it reads, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Context {
    kind: Kind,
    pub wants: Vec<Want>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Tell all, keep nothing.
    Sessionless,
    /// Tell all, and keep it if there is room.
    Full {
        uses_ids: bool,
    },
    Incremental {
        id: i32,
        next_epoch: i32,
    },
}

/// What a partition's answer says, as far as a session goes by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub high: Offset,
    pub log_start: Offset,
    pub has_records: bool,
    /// An error, a diverging epoch or a replica near by: always told.
    pub is_urgent: bool,
    pub is_error: bool,
}

/// Which partitions the answer names, and in which session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    pub session_id: i32,
    pub named: Vec<bool>,
}

#[derive(Debug)]
pub struct FetchSessions {
    sessions: BTreeMap<i32, Session>,
    by_use: BTreeSet<(Millis, i32)>,
    slots: usize,
    partitions: usize,
    next_id: u64,
    stride: u64,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    uses_ids: bool,
    created: Millis,
    used: Millis,
    /// By turn.
    cached: BTreeMap<u64, Cached>,
    turns: BTreeMap<(TopicKey, i32), u64>,
    next_turn: u64,
}

#[derive(Debug)]
struct Cached {
    want: Want,
    /// As last told; `Offset::NONE`: to be told whatever it is.
    high: Offset,
    log_start: Offset,
}

impl FetchSessions {
    /// `seed` makes ids of an earlier process unlikely to be met again; ids of two shards never are the same.
    pub fn new(shard: ShardId, shard_count: u16, slots: usize, seed: u64) -> Self {
        let stride = u64::from(shard_count);
        let next_id = (seed % (1 << 20)) * stride + u64::from(shard.0);
        let (sessions, by_use) = Default::default();
        Self { sessions, by_use, slots, partitions: 0, next_id, stride }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Of all sessions together.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub fn begin(&mut self, ask: SessionAsk, now: Millis) -> Result<Context, ErrorCode> {
        if ask.epoch == 0 || ask.epoch == -1 {
            // Any session that a full request names is over.
            self.remove(ask.id);
            let kind = if ask.epoch == 0 { Kind::Full { uses_ids: ask.uses_ids } } else { Kind::Sessionless };
            return Ok(Context { kind, wants: ask.wants });
        }
        let session = self.sessions.get_mut(&ask.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != ask.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_ids != ask.uses_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.cached.len();
        if self.partitions + ask.wants.len() > PARTITIONS_MAX {
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        session.update(&ask);
        self.partitions = self.partitions - before + session.cached.len();
        if session.cached.is_empty() {
            self.remove(ask.id);
            return Ok(Context { kind: Kind::Sessionless, wants: ask.wants });
        }
        session.epoch = next_epoch(session.epoch);
        self.by_use.remove(&(session.used, ask.id));
        session.used = now;
        self.by_use.insert((now, ask.id));
        let kind = Kind::Incremental { id: ask.id, next_epoch: session.epoch };
        Ok(Context { kind, wants: session.cached.values().map(|cached| cached.want.clone()).collect() })
    }

    /// `seen` in the order of the context's wants.
    pub fn finish(&mut self, context: &Context, seen: &[Seen], now: Millis) -> Result<Told, ErrorCode> {
        assert_eq!(context.wants.len(), seen.len());
        match context.kind {
            Kind::Sessionless => Ok(Told { session_id: 0, named: vec![true; seen.len()] }),
            Kind::Full { uses_ids } => {
                let session_id = self.create(context, seen, uses_ids, now).unwrap_or(0);
                Ok(Told { session_id, named: vec![true; seen.len()] })
            }
            Kind::Incremental { id, next_epoch } => {
                // Another request may have changed or ended the session while this one waited.
                let session = self.sessions.get_mut(&id).filter(|session| session.epoch == next_epoch);
                let session = session.ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
                let named =
                    context.wants.iter().zip(seen).map(|(want, seen)| session.note(want, *seen)).collect();
                Ok(Told { session_id: id, named })
            }
        }
    }

    /// Instead of `finish`, when the client is told nothing of any partition: its next request of the session asks for the
    /// same, and no session begins.
    pub fn withhold(&self, context: &Context) -> Result<i32, ErrorCode> {
        match context.kind {
            Kind::Sessionless | Kind::Full { .. } => Ok(0),
            Kind::Incremental { id, next_epoch } => match self.sessions.get(&id) {
                Some(session) if session.epoch == next_epoch => Ok(id),
                _ => Err(ErrorCode::InvalidFetchSessionEpoch),
            },
        }
    }

    fn create(&mut self, context: &Context, seen: &[Seen], uses_ids: bool, now: Millis) -> Option<i32> {
        let count = context.wants.len();
        if count == 0 || self.partitions + count > PARTITIONS_MAX || !self.make_room(count, now) {
            return None;
        }
        let id = self.new_id();
        let mut session = Session {
            epoch: 1,
            uses_ids,
            created: now,
            used: now,
            cached: BTreeMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
        };
        for (want, seen) in context.wants.iter().zip(seen) {
            session.put(want);
            session.note(want, *seen);
        }
        self.partitions += session.cached.len();
        self.sessions.insert(id, session);
        self.by_use.insert((now, id));
        Some(id)
    }

    /// Is there a slot, if need be that of a session that is stale, or older and smaller than this one?
    fn make_room(&mut self, count: usize, now: Millis) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let evictable = |since: Millis| now.since(since) > EVICTABLE_AFTER;
        let stale = self.by_use.first().filter(|(used, _)| evictable(*used)).map(|&(_, id)| id);
        let smaller = || {
            let old = self.sessions.iter().filter(|(_, session)| evictable(session.created));
            let smallest = old.min_by_key(|(id, session)| (session.cached.len(), **id));
            smallest.filter(|(_, session)| session.cached.len() < count).map(|(&id, _)| id)
        };
        let Some(victim) = stale.or_else(smaller) else { return false };
        self.remove(victim);
        true
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.by_use.remove(&(session.used, id));
            self.partitions -= session.cached.len();
        }
    }

    /// Never 0, never one in use.
    fn new_id(&mut self) -> i32 {
        loop {
            self.next_id += self.stride;
            let id = (self.next_id & 0x7fff_ffff) as i32;
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Session {
    fn update(&mut self, ask: &SessionAsk) {
        for want in &ask.wants {
            self.put(want);
        }
        for key in &ask.forgotten {
            if let Some(turn) = self.turns.remove(key) {
                self.cached.remove(&turn);
            }
        }
    }

    fn put(&mut self, want: &Want) {
        let key = (want.topic.clone(), want.partition);
        if let Some(turn) = self.turns.get(&key) {
            self.cached.get_mut(turn).expect("a turn has its partition").want = want.clone();
            return;
        }
        let turn = self.take_turn();
        self.turns.insert(key, turn);
        self.cached.insert(turn, Cached { want: want.clone(), high: Offset::NONE, log_start: Offset::NONE });
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    /// Must the client be told of this partition?
    fn note(&mut self, want: &Want, seen: Seen) -> bool {
        let key = (want.topic.clone(), want.partition);
        // Forgotten by a request that overtook this one: the epoch would have told.
        let Some(&turn) = self.turns.get(&key) else { return true };
        let cached = self.cached.get_mut(&turn).expect("a turn has its partition");
        let told = seen.has_records
            || seen.is_urgent
            || cached.high != seen.high
            || cached.log_start != seen.log_start;
        // After an error the partition is told again, whatever it looks like then.
        cached.high = if seen.is_error { Offset::NONE } else { seen.high };
        cached.log_start = seen.log_start;
        if seen.has_records {
            let cached = self.cached.remove(&turn).expect("it was there a line ago");
            let turn = self.take_turn();
            self.cached.insert(turn, cached);
            self.turns.insert(key, turn);
        }
        told
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests;
