//! One request of a client with quotas, from its start to its answer: what it used is counted, the answer says how long
//! to wait, and the connection waits.
//!
//! Bytes of a produce count when it is read, acks or not. Bytes of a fetch count in its handler, which withholds what is
//! too much. Time counts while this shard works on the request, polls of its waits included; what other shards do for it,
//! and reading and writing the socket, do not.
//!
//! Unlike Apache Kafka, a fetch over the request quota alone goes out with its records.

use std::{cell::Cell, future::poll_fn, rc::Rc, time::Duration};

use coordinator::quotas::{Charge, QuotaKind, Rule, rate::Charged};
use engine::Disk;

use super::{ClientLimit, ClientLimits};
use crate::{
    ask::{Answer, Ask},
    handlers::Step,
    jobs::LocalFuture,
    mesh::Asked,
    request::{Peer, Request},
    shard::Shard,
    wire::ApiKey,
};

/// Charges a rate; the order of charges is the order of calls.
pub(crate) fn charge<D: Disk>(shard: &Shard<D>, limit: &ClientLimit, amount: f64, rule: Rule) -> Asked<D> {
    let charge = Charge { key: limit.key.clone(), terms: limit.terms, amount, rule };
    shard.asks().ask(limit.home, Ask::Charge(charge))
}

pub(crate) async fn charged<D: Disk>(asked: Asked<D>) -> Charged {
    match asked.await {
        Some(Answer::Charge(charged)) => charged,
        // Its home is gone, and so is the process soon.
        _ => Charged { granted: true, wait: Duration::ZERO },
    }
}

pub(crate) fn metered<D: Disk>(
    shard: &Rc<Shard<D>>,
    api: ApiKey,
    limits: Rc<ClientLimits>,
    request: Request,
    run: impl FnOnce(Request) -> Step,
) -> Step {
    let produce = limits.of(QuotaKind::Produce).filter(|_| api == ApiKey::Produce);
    let amount = request.frame_bytes() as f64;
    let produced = produce.map(|limit| charge(shard, limit, amount, Rule::Count));
    let (shard, peer, spent) = (shard.clone(), request.peer.clone(), Cell::default());
    let meter = Meter { shard, peer, limits, produced, spent };
    let step = meter.time(|| run(request));
    meter.follow(step)
}

struct Meter<D: Disk> {
    shard: Rc<Shard<D>>,
    peer: Rc<Peer>,
    limits: Rc<ClientLimits>,
    /// The charge for the bytes of a produce.
    produced: Option<Asked<D>>,
    spent: Cell<Duration>,
}

impl<D: Disk> Meter<D> {
    /// Stays with the request through all its steps.
    fn follow(self, step: Step) -> Step {
        match step {
            Step::Wait(future) => Step::Wait(self.follow_later(future)),
            Step::Ordered(future) => Step::Ordered(self.follow_later(future)),
            Step::Close(why) => Step::Close(why),
            done => Step::wait(self.settle(done)),
        }
    }

    fn follow_later(self, mut future: LocalFuture<Step>) -> LocalFuture<Step> {
        Box::pin(async move {
            let step = poll_fn(|cx| self.time(|| future.as_mut().poll(cx))).await;
            drop(future);
            self.follow(step)
        })
    }

    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.limits.of(QuotaKind::Request).is_none() {
            return work();
        }
        let began = self.shard.clock().fine();
        let done = work();
        self.spent.set(self.spent.get() + self.shard.clock().fine().saturating_sub(began));
        done
    }

    async fn settle(self, mut done: Step) -> Step {
        // A produce without acks is exempt: it has no answer.
        let request = self.limits.of(QuotaKind::Request).filter(|_| matches!(done, Step::Answer(_)));
        let percent = self.spent.get().as_secs_f64() * 100.0;
        let worked = request.map(|limit| charge(&self.shard, limit, percent, Rule::Count));
        let mut wait = match &done {
            Step::Answer(response) => response.throttle(),
            _ => Duration::ZERO,
        };
        if let Some(produced) = self.produced {
            wait = wait.max(charged(produced).await.wait);
        }
        if let Some(worked) = worked {
            wait = wait.max(charged(worked).await.wait.min(self.limits.window));
        }
        if !wait.is_zero() {
            self.peer.quota.mute(self.shard.clock().now() + wait, &self.limits);
        }
        if let Step::Answer(response) = &mut done {
            response.set_throttle(wait);
        }
        done
    }
}
