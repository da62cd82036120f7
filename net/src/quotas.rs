//! Client quotas at work. The rules are `coordinator::quotas`; here is who asks them, and where.
//!
//! ```text
//!   shard C (connection)                              shard H (home of the rate)
//!   dispatch -> limits_of: nobody has any: one branch
//!            -> metered: run the handler, Charge --->  Rates: count it, how long to wait
//!   answer with throttle_time_ms <------------------
//!   the connection is not read until then
//! ```
//! A rate lives on one shard, chosen by its key, so that a client has its quota once, however many shards its connections
//! are on. Only requests that a quota concerns send a message, and one for each rate they count for.

mod meter;
pub(crate) mod mutations;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    hash::{Hash, Hasher},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use coordinator::{
    BrokerConfig, Image,
    metadata::{QuotaEntity, QuotaName},
    quotas::{ClientQuotas, Limit, QuotaKind, RateKey, Terms, limit_of},
};
use model::{Millis, ShardId};
use rt::notify::Notify;
use rustc_hash::FxHasher;

pub(crate) use self::meter::{charge, charged, metered};
use crate::request::Request;

/// Windows of so many seconds each, and how many.
#[derive(Clone, Copy)]
struct Windows {
    num: i32,
    seconds: i32,
}

/// The quotas of the present image, as this shard's connections ask for them.
pub(crate) struct Quotas {
    shard_count: u16,
    /// Some user or client id has a quota. While not, this is all that anybody looks at.
    any: Cell<bool>,
    table: RefCell<Table>,
    /// Rises with every change: what was looked up before holds no more.
    generation: Cell<u64>,
    changed: Notify,
}

struct Table {
    quotas: Arc<ClientQuotas>,
    windows: Windows,
    controller_windows: Windows,
    /// Connections a second, by address, and for each that is not named.
    by_address: BTreeMap<IpAddr, f64>,
    any_address: Option<f64>,
}

impl Quotas {
    pub(crate) fn new(shard_count: u16, image: &Image, config: &BrokerConfig) -> Self {
        let table = Table::of(image, config);
        let any = Cell::new(table.any());
        let (generation, changed) = Default::default();
        Self { shard_count, any, table: RefCell::new(table), generation, changed }
    }

    pub(crate) fn follow(&self, image: &Image, config: &BrokerConfig) {
        let table = Table::of(image, config);
        self.any.set(table.any());
        *self.table.borrow_mut() = table;
        self.generation.set(self.generation.get() + 1);
        self.changed.wake_all();
    }

    /// None: no quota concerns this client.
    #[inline]
    pub(crate) fn limits_of(&self, request: &Request) -> Option<Rc<ClientLimits>> {
        // Of what is not going to happen nothing is charged.
        if !self.any.get() || request.refusal().is_some() {
            return None;
        }
        self.look_up(request)
    }

    /// A connection mostly keeps to one client id, so it remembers what it found last.
    fn look_up(&self, request: &Request) -> Option<Rc<ClientLimits>> {
        let (generation, client_id) = (self.generation.get(), request.client_id());
        let mut found = request.peer.quota.found.borrow_mut();
        if let Some(found) = &*found
            && found.generation == generation
            && *found.client_id == *client_id
        {
            return found.limits.clone();
        }
        let limits = self.table.borrow().limits(request.peer.user(), client_id, self.shard_count);
        let of_all = |limits| Rc::new(ClientLimits { limits, window: self.window(), generation });
        let limits = limits.map(of_all);
        *found = Some(Found { generation, client_id: client_id.into(), limits: limits.clone() });
        limits
    }

    /// How many connections may come from there.
    pub(crate) fn connection_limit(&self, address: IpAddr) -> Option<ClientLimit> {
        self.table.borrow().connection_limit(address.to_canonical(), self.shard_count)
    }

    /// `quota.window.size.seconds`: nobody waits longer for a connection or for a request quota.
    pub(crate) fn window(&self) -> Duration {
        self.table.borrow().windows.one()
    }

    pub(crate) fn still_holds(&self, mute: Mute) -> bool {
        mute.generation == self.generation.get()
    }

    pub(crate) fn changed(&self) -> rt::notify::Wait {
        self.changed.wait()
    }
}

impl Windows {
    fn one(self) -> Duration {
        Duration::from_secs(u64::try_from(self.seconds).unwrap_or(0))
    }
}

impl Table {
    fn of(image: &Image, config: &BrokerConfig) -> Self {
        let quotas = image.quotas().clone();
        let rate_of = |entity| Some(quotas.get(entity)?.get(QuotaKind::Connection.key())?.value());
        let addresses = quotas.keys().filter_map(|entity| match entity {
            QuotaEntity::Ip(QuotaName::Named(ip)) => Some((ip.parse::<IpAddr>().ok()?, rate_of(entity)?)),
            _ => None,
        });
        let by_address = addresses.map(|(ip, rate)| (ip.to_canonical(), rate)).collect();
        let any_address = rate_of(&QuotaEntity::Ip(QuotaName::Default));
        let windows = Windows { num: config.quota_window_num, seconds: config.quota_window_size_seconds };
        // As many as Kafka's bucket holds: the present one counts whole.
        let controller_windows = Windows {
            num: config.controller_quota_window_num.saturating_add(1),
            seconds: config.controller_quota_window_size_seconds,
        };
        Self { quotas, windows, controller_windows, by_address, any_address }
    }

    fn any(&self) -> bool {
        self.quotas.keys().any(|entity| !matches!(entity, QuotaEntity::Ip(_)))
    }

    fn limits(&self, user: &str, client_id: &str, shard_count: u16) -> Option<KindLimits> {
        let limit = |kind| {
            let limit = limit_of(&self.quotas, kind, user, client_id)?;
            let windows =
                if kind == QuotaKind::ControllerMutation { self.controller_windows } else { self.windows };
            Some(ClientLimit::new(limit, windows, shard_count))
        };
        let limits = QuotaKind::OF_CLIENTS.map(limit);
        limits.iter().any(Option::is_some).then_some(limits)
    }

    fn connection_limit(&self, address: IpAddr, shard_count: u16) -> Option<ClientLimit> {
        let per_second = self.by_address.get(&address).copied().or(self.any_address)?;
        let key = RateKey { kind: QuotaKind::Connection, user: None, client_id: Some(address.to_string()) };
        Some(ClientLimit::new(Limit { key, per_second }, self.windows, shard_count))
    }
}

/// The shard that keeps the rate.
fn home(key: &RateKey, shard_count: u16) -> ShardId {
    let mut hasher = FxHasher::default();
    (&key.user, &key.client_id).hash(&mut hasher);
    ShardId((hasher.finish() % u64::from(shard_count)) as u16)
}

/// In the order of `QuotaKind::OF_CLIENTS`.
type KindLimits = [Option<ClientLimit>; QuotaKind::OF_CLIENTS.len()];

/// What holds for one client.
#[derive(Debug)]
pub(crate) struct ClientLimits {
    limits: KindLimits,
    /// `quota.window.size.seconds`: nobody waits longer for a request quota.
    window: Duration,
    generation: u64,
}

impl ClientLimits {
    pub(crate) fn of(&self, kind: QuotaKind) -> Option<&ClientLimit> {
        self.limits[kind as usize].as_ref()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClientLimit {
    key: Arc<RateKey>,
    home: ShardId,
    pub(crate) terms: Terms,
}

impl ClientLimit {
    fn new(limit: Limit, windows: Windows, shard_count: u16) -> Self {
        let terms = Terms::new(limit.per_second, windows.num, windows.seconds);
        Self { home: home(&limit.key, shard_count), key: Arc::new(limit.key), terms }
    }
}

/// A connection's part in quotas.
#[derive(Default, Debug)]
pub(crate) struct PeerQuota {
    found: RefCell<Option<Found>>,
    mute: Cell<Option<Mute>>,
}

/// The connection takes no request before `until`, as long as the quotas are those it was found by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mute {
    pub(crate) until: Millis,
    generation: u64,
}

#[derive(Debug)]
struct Found {
    generation: u64,
    client_id: Box<str>,
    limits: Option<Rc<ClientLimits>>,
}

impl PeerQuota {
    pub(crate) fn mute(&self, until: Millis, limits: &ClientLimits) {
        let generation = limits.generation;
        let before = self.mute.get().filter(|before| before.generation >= generation);
        if before.is_none_or(|before| before.until < until) {
            self.mute.set(Some(Mute { until, generation }));
        }
    }

    pub(crate) fn unmute(&self) {
        self.mute.set(None);
    }

    pub(crate) fn muted(&self) -> Option<Mute> {
        self.mute.get()
    }
}
