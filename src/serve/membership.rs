//! This broker in its cluster: it registers, says again and again that it lives, and takes leave before it stops. On
//! shard 0.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{anyhow, bail};
use coordinator::{
    Refusal,
    controller::{Heartbeat, RegisterBroker},
};
use engine::Disk;
use model::ErrorCode;
use net::{Outcome, Proposal};
use quorum::Change;
use rt::notify::Notify;

use super::control::Control;

/// A start that waits for others says so this often.
const TELL: Duration = Duration::from_secs(10);
/// How long a stop waits for others to take over what this broker leads.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);
/// And for a controller, while it stops.
const NO_CONTROLLER_LIMIT: Duration = Duration::from_secs(2);
/// How long a controller that stops tries to make another broker one.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(1);

/// A new controller begins all sessions anew, and may be replaced itself while the broker that is gone was the controller.
const SESSIONS_OF_A_DEAD_BROKER: u32 = 4;

pub struct Membership<D: Disk> {
    control: Rc<Control<D>>,
    registration: RegisterBroker,
    interval: Duration,
    /// How long another broker of this id may seem to be alive.
    duplicate_limit: Duration,
    /// Others are there: somebody may fence this broker.
    in_cluster: bool,
    epoch: Cell<i64>,
    leaving: Cell<bool>,
    may_stop: Cell<bool>,
    changed: Notify,
}

impl<D: Disk> Membership<D> {
    pub fn new(control: Rc<Control<D>>, registration: RegisterBroker, in_cluster: bool) -> Rc<Self> {
        let config = control.shard().config();
        let interval = config.heartbeat_interval();
        let duplicate_limit = SESSIONS_OF_A_DEAD_BROKER * config.session_timeout();
        Rc::new(Self {
            control,
            registration,
            interval,
            duplicate_limit,
            in_cluster,
            epoch: Cell::new(-1),
            leaving: Cell::new(false),
            may_stop: Cell::new(false),
            changed: Notify::new(),
        })
    }

    /// Returns when this broker is part of its cluster: every shard acts on metadata in which it is registered and not
    /// fenced.
    pub async fn enter(self: &Rc<Self>) -> anyhow::Result<()> {
        self.register().await?;
        if self.in_cluster {
            let this = self.clone();
            rt::spawn(async move { this.run_heartbeats().await });
        }
        loop {
            let published = self.control.some_published().wait();
            let image = self.control.shard().image();
            let known = image.broker(self.registration.id);
            if known
                .is_some_and(|broker| !broker.fenced && broker.incarnation == self.registration.incarnation)
            {
                return Ok(());
            }
            if rt::timer::timeout(TELL, published).await.is_none() {
                tracing::info!("still waiting to become part of the cluster");
            }
        }
    }

    async fn register(&self) -> anyhow::Result<()> {
        let began = rt::timer::elapsed();
        loop {
            let proposal = Proposal::RegisterBroker(self.registration.clone());
            match self.control.propose(proposal).await {
                Outcome::RegisterBroker(Ok(())) => break,
                // One that died, and whose disk this one has not, is alive to the controller until its session ends.
                Outcome::RegisterBroker(Err(refusal))
                    if refusal.code == ErrorCode::DuplicateBrokerRegistration
                        && rt::timer::elapsed() - began < self.duplicate_limit =>
                {
                    rt::timer::sleep(self.interval).await;
                }
                Outcome::RegisterBroker(Err(refusal)) => {
                    bail!("this broker cannot register: {}", refusal.message)
                }
                // Nobody decides, or it is not known what was decided: to register twice does no harm.
                Outcome::Failed(Refusal { code, message }) if code.is_retriable() => {
                    tracing::info!("waiting for a controller to register with: {message}");
                    rt::timer::sleep(self.interval).await;
                }
                other => return Err(anyhow!("this broker cannot register: {}", other.refusal().message)),
            }
        }
        let image = self.control.consensus().image();
        self.epoch.set(image.broker(self.registration.id).map_or(-1, |broker| broker.epoch));
        Ok(())
    }

    /// For ever.
    async fn run_heartbeats(&self) {
        loop {
            let changed = self.changed.wait();
            self.beat().await;
            let _ = rt::timer::timeout(self.interval, changed).await;
        }
    }

    async fn beat(&self) {
        let heartbeat = Heartbeat {
            broker: self.registration.id,
            broker_epoch: self.epoch.get(),
            metadata_offset: self.control.published(),
            want_fence: false,
            want_shut_down: self.leaving.get(),
        };
        // What it changes is heard of through the metadata.
        let answer = match self.control.settle(Proposal::Heartbeat(heartbeat)).await {
            Ok((Outcome::Heartbeat(answer), _)) => answer,
            Ok((other, _)) => Err(other.refusal()),
            Err(refusal) => Err(refusal),
        };
        match answer {
            Ok(answer) => {
                if answer.should_shut_down && self.leaving.get() {
                    self.may_stop.set(true);
                    self.changed.wake_all();
                }
            }
            Err(Refusal {
                code: ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered,
                message,
            }) => {
                tracing::warn!(
                    "the controller does not know this broker any more ({message}); registering again"
                );
                if let Err(error) = self.register().await {
                    tracing::error!("{error}");
                }
            }
            Err(refusal) => tracing::debug!(%refusal, "a heartbeat was not taken"),
        }
    }

    /// A controller that stops names its successor, so that nobody waits for an election timeout.
    async fn hand_over_control(&self) {
        let consensus = self.control.consensus();
        let deadline = rt::timer::now() + HAND_OVER_LIMIT;
        while consensus.standing().active && rt::timer::now() < deadline {
            let changed = consensus.changed().wait();
            let Some(successor) = consensus.successor() else { return };
            if consensus.change(Change::Transfer(successor)).await.is_err() {
                return;
            }
            let _ = rt::timer::timeout(HAND_OVER_LIMIT, changed).await;
        }
    }

    /// Returns when others lead what this broker led, or when they take too long.
    pub async fn leave(&self) {
        if !self.in_cluster || self.epoch.get() < 0 {
            return;
        }
        self.leaving.set(true);
        self.changed.wake_all();
        let deadline = rt::timer::now() + LEAVE_LIMIT;
        let mut controller_seen = rt::timer::now();
        while !self.may_stop.get() {
            let changed = self.changed.wait();
            let now = rt::timer::now();
            if self.control.consensus().standing().leader.is_some() {
                controller_seen = now;
            }
            // With a majority gone nobody can take over: all may be stopping together.
            if now >= deadline || now.since(controller_seen) > NO_CONTROLLER_LIMIT {
                return tracing::warn!("nobody took over what this broker leads; stopping all the same");
            }
            let _ = rt::timer::timeout(self.interval, changed).await;
        }
        self.hand_over_control().await;
    }
}
