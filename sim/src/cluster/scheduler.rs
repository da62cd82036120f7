//! Runs the tasks of a whole cluster on one thread: in an order drawn from the seed, only those that were woken. A broker's
//! tasks can be held for a while, or dropped where they stand, as when its process is stopped or dies.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::{
    executor::{Clock, Task},
    random::Random,
};

/// Polls of one run; a world that needs more does not come to an end.
const POLLS_MAX: u64 = 20_000_000;

/// Whose a task is: a broker's, by its number, or the world's.
pub type Owner = i32;
pub const WORLD: Owner = 0;

#[derive(Clone)]
pub struct Scheduler(Rc<Inner>);

struct Inner {
    clock: Clock,
    tasks: RefCell<BTreeMap<u64, Slot>>,
    next: Cell<u64>,
    ready: Arc<Ready>,
    /// Those who are held, with the tasks that were woken meanwhile.
    held: RefCell<BTreeMap<Owner, Vec<u64>>>,
}

struct Slot {
    owner: Owner,
    /// Not here while it is polled.
    task: Option<Task>,
    wakeup: Arc<Wakeup>,
}

#[derive(Default)]
struct Ready(Mutex<Vec<u64>>);

struct Wakeup {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn push(&self, id: u64) {
        self.0.lock().expect("one thread").push(id);
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.id);
        }
    }
}

impl Scheduler {
    pub fn new(clock: Clock) -> Self {
        let (tasks, next, ready, held) = Default::default();
        Self(Rc::new(Inner { clock, tasks, next, ready, held }))
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub fn spawn(&self, owner: Owner, task: Task) {
        let id = self.0.next.replace(self.0.next.get() + 1);
        let wakeup = Arc::new(Wakeup { id, queued: AtomicBool::new(true), ready: self.0.ready.clone() });
        self.0.tasks.borrow_mut().insert(id, Slot { owner, task: Some(task), wakeup });
        self.0.ready.push(id);
    }

    /// Drops all tasks of an owner where they stand.
    pub fn kill(&self, owner: Owner) {
        self.resume(owner);
        let mut tasks = self.0.tasks.borrow_mut();
        let (gone, rest) = std::mem::take(&mut *tasks).into_iter().partition(|(_, slot)| slot.owner == owner);
        *tasks = rest;
        drop(tasks);
        let gone: BTreeMap<u64, Slot> = gone;
        drop(gone);
    }

    pub fn hold(&self, owner: Owner) {
        self.0.held.borrow_mut().entry(owner).or_default();
    }

    pub fn resume(&self, owner: Owner) {
        let woken = self.0.held.borrow_mut().remove(&owner);
        woken.into_iter().flatten().for_each(|id| self.0.ready.push(id));
    }

    /// Drops everything: tasks hold the world that holds them.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
    }

    pub fn run_until(&self, random: &mut Random, done: impl Fn() -> bool) {
        for _ in 0..POLLS_MAX {
            if done() {
                return;
            }
            match self.next_ready(random) {
                Some(id) => self.poll(id),
                None => assert!(
                    self.0.clock.advance(),
                    "nothing can move any more: somebody waits for a wake that does not come"
                ),
            }
        }
        panic!("the world does not come to an end");
    }

    fn next_ready(&self, random: &mut Random) -> Option<u64> {
        let mut ready = self.0.ready.0.lock().expect("one thread");
        (!ready.is_empty()).then(|| {
            let at = random.index(ready.len());
            ready.swap_remove(at)
        })
    }

    fn poll(&self, id: u64) {
        let mut tasks = self.0.tasks.borrow_mut();
        let Some(slot) = tasks.get_mut(&id) else { return };
        if let Some(woken) = self.0.held.borrow_mut().get_mut(&slot.owner) {
            woken.push(id);
            return;
        }
        let Some(mut task) = slot.task.take() else { return };
        slot.wakeup.queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(slot.wakeup.clone());
        drop(tasks);
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        let mut tasks = self.0.tasks.borrow_mut();
        let gone = match (polled, tasks.get_mut(&id)) {
            (Poll::Pending, Some(slot)) => {
                slot.task = Some(task);
                return;
            }
            _ => (tasks.remove(&id), task),
        };
        drop(tasks);
        drop(gone);
    }
}
