//! One at a time, for work that spans awaits: whoever holds it lets the next one in when it goes, however it ended.

use std::cell::Cell;

use rt::notify::Notify;

#[derive(Default)]
pub struct Exclusive {
    held: Cell<bool>,
    released: Notify,
}

pub struct Held<'a>(&'a Exclusive);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.set(false);
        self.0.released.wake_all();
    }
}

impl Exclusive {
    pub async fn take(&self) -> Held<'_> {
        loop {
            let released = self.released.wait();
            if !self.held.replace(true) {
                return Held(self);
            }
            released.await;
        }
    }
}
