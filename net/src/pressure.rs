//! Shards tell each other when they have no room. A shard asks owners without knowing how full they are; so an owner
//! whose pages run out says so once, everyone stops reading sockets, and it says so again when pages came back. Until
//! the word arrives there is slack: `Store::has_room` turns false well before the last page is gone.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use model::ShardId;
use rt::notify::Notify;

use crate::mesh::{Link, Message};

pub(crate) struct Pressure {
    shard: ShardId,
    count: u16,
    link: Rc<dyn Link>,
    /// The others know that this shard has no room.
    announced: Cell<bool>,
    some_announced: Notify,
    pressed: RefCell<BTreeSet<ShardId>>,
    eased: Notify,
}

impl Pressure {
    pub(crate) fn new(shard: ShardId, count: u16, link: Rc<dyn Link>) -> Self {
        let (announced, pressed) = Default::default();
        Self { shard, count, link, announced, some_announced: Notify::new(), pressed, eased: Notify::new() }
    }

    /// This shard has no room. Said once until `ease`.
    pub(crate) fn announce(&self) {
        if !self.announced.replace(true) {
            self.tell(true);
            self.some_announced.wake_all();
        }
    }

    pub(crate) async fn announced(&self) {
        loop {
            let changed = self.some_announced.wait();
            if self.announced.get() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn ease(&self) {
        self.announced.set(false);
        self.tell(false);
    }

    fn tell(&self, pressed: bool) {
        for shard in (0..self.count).map(ShardId).filter(|&shard| shard != self.shard) {
            self.link.send(shard, Message::Pressed(pressed));
        }
    }

    pub(crate) fn heard(&self, from: ShardId, pressed: bool) {
        let mut shards = self.pressed.borrow_mut();
        if pressed {
            shards.insert(from);
        } else if shards.remove(&from) && shards.is_empty() {
            drop(shards);
            self.eased.wake_all();
        }
    }

    pub(crate) fn others_have_room(&self) -> bool {
        self.pressed.borrow().is_empty()
    }

    pub(crate) async fn eased(&self) {
        loop {
            let changed = self.eased.wait();
            if self.others_have_room() {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{handlers::tests::world::World, mesh::Message};
    use model::ShardId;

    #[test]
    fn a_shard_without_room_stops_the_others_until_it_has_room_again() {
        let mut world = World::of(3);
        let shards = world.shards.clone();
        shards[1].pressure().announce();
        shards[1].pressure().announce();
        world.settle_messages();
        assert!(!shards[0].has_room() && !shards[2].has_room() && shards[1].has_room());
        shards[0].receive(ShardId(2), Message::Pressed(true));
        shards[1].pressure().ease();
        world.settle_messages();
        assert!(!shards[0].has_room() && shards[2].has_room(), "one of two still has none");
        shards[0].receive(ShardId(2), Message::Pressed(false));
        assert!(shards[0].has_room());
        assert!(world.drive(async move { shards[0].room().await }).is_some());
    }
}
