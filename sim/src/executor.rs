//! Polls the tasks of one life: in an order drawn from the seed, and only those that were woken, so that a wake that never
//! comes shows as a world that stands still. Time passes when nobody has anything to do.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use model::Timestamp;

use crate::random::Random;

/// Polls of one run; a world that needs more does not come to an end.
const POLLS_MAX: u64 = 20_000_000;

pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Virtual time, and who waits for it.
#[derive(Clone, Default)]
pub struct Clock(Rc<ClockState>);

#[derive(Default)]
struct ClockState {
    now_us: Cell<u64>,
    serial: Cell<u64>,
    sleepers: RefCell<BTreeMap<(u64, u64), Waker>>,
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        Timestamp((self.0.now_us.get() / 1000) as i64)
    }

    pub fn now_us(&self) -> u64 {
        self.0.now_us.get()
    }

    pub async fn sleep_ms(&self, ms: u64) {
        self.sleep_us(ms * 1000).await;
    }

    pub async fn sleep_us(&self, us: u64) {
        let state = &self.0;
        let until = state.now_us.get() + us;
        state.serial.set(state.serial.get() + 1);
        let key = (until, state.serial.get());
        poll_fn(|cx| {
            if state.now_us.get() >= until {
                state.sleepers.borrow_mut().remove(&key);
                return Poll::Ready(());
            }
            state.sleepers.borrow_mut().insert(key, cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Goes to the next moment somebody waits for; `false` if nobody does.
    pub(crate) fn advance(&self) -> bool {
        let Some(((until, _), waker)) = self.0.sleepers.borrow_mut().pop_first() else { return false };
        self.0.now_us.set(self.0.now_us.get().max(until));
        waker.wake();
        true
    }

    fn forget_sleepers(&self) {
        self.0.sleepers.borrow_mut().clear();
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs all tasks until the first one ends; the others are dropped where they stand. `watch` looks at the world after
/// every poll.
pub fn run(clock: &Clock, random: &mut Random, mut tasks: Vec<Task>, mut watch: impl FnMut()) {
    let flags: Vec<Arc<Flag>> = tasks.iter().map(|_| Arc::new(Flag(AtomicBool::new(true)))).collect();
    let wakers: Vec<Waker> = flags.iter().map(|flag| Waker::from(flag.clone())).collect();
    let mut ended = vec![false; tasks.len()];
    for _ in 0..POLLS_MAX {
        let ready: Vec<usize> =
            (0..tasks.len()).filter(|&i| !ended[i] && flags[i].0.load(Ordering::Relaxed)).collect();
        if ready.is_empty() {
            assert!(
                clock.advance(),
                "nothing can move any more: somebody waits for a wake that does not come"
            );
            continue;
        }
        let i = ready[random.index(ready.len())];
        flags[i].0.store(false, Ordering::Relaxed);
        ended[i] = tasks[i].as_mut().poll(&mut Context::from_waker(&wakers[i])) == Poll::Ready(());
        watch();
        if ended[0] {
            drop(tasks);
            clock.forget_sleepers();
            return;
        }
    }
    panic!("the world does not come to an end");
}

/// Runs one future alone, and hands out what it returns.
pub fn block_on<T: 'static>(
    clock: &Clock,
    random: &mut Random,
    future: impl Future<Output = T> + 'static,
) -> T {
    let output = Rc::new(RefCell::new(None));
    let slot = output.clone();
    let task: Task = Box::pin(async move {
        let done = future.await;
        *slot.borrow_mut() = Some(done);
    });
    run(clock, random, vec![task], || {});
    output.take().expect("it ran to its end")
}
