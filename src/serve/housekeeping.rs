//! The pump that carries a shard's records from memory to their segments, by the clock and when something asks for it.
//! It ends before the store is closed, so that nothing is on its way to the disk when the ring goes.

use std::{cell::Cell, rc::Rc, time::Duration};

use engine::{Disk, Store};
use rt::notify::Notify;

/// At least so often.
const TICK: Duration = Duration::from_millis(100);

#[derive(Clone, Default)]
pub struct Housekeeping(Rc<State>);

#[derive(Default)]
struct State {
    stopping: Cell<bool>,
    ended: Cell<bool>,
    changed: Notify,
}

impl Housekeeping {
    pub fn start<D: Disk>(&self, store: Rc<Store<D>>) {
        let state = self.0.clone();
        rt::spawn_background(async move {
            while !state.stopping.get() {
                // The clock or somebody's wish: both are reasons.
                let _ = rt::timer::timeout(TICK, store.maintenance_wanted()).await;
                store.maintain(rt::timer::wall()).await;
            }
            state.ended.set(true);
            state.changed.wake_all();
        });
    }

    /// Returns when the pump has ended: after a tick, and what it was doing then.
    pub async fn stop(&self) {
        self.0.stopping.set(true);
        loop {
            let changed = self.0.changed.wait();
            if self.0.ended.get() {
                return;
            }
            changed.await;
        }
    }
}
