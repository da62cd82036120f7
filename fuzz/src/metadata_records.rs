//! The metadata log, as a disk or a peer may hold it: records are decoded and folded into an image. Whatever they say,
//! nothing panics, a record that is refused changes nothing, and the image keeps its own books.
//!
//! The input is a row of records, each with its length before it (two bytes).

use coordinator::{ConfigResource, Image, MetadataRecord};
use model::Offset;

use super::input::Input;

const RECORDS_MAX: usize = 64;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut image = Image::new("cluster");
    let first = image.clone();
    for n in 0..RECORDS_MAX {
        if input.is_empty() {
            break;
        }
        let length = usize::from(input.u16());
        let Ok(record) = MetadataRecord::decode(input.take(length)) else { continue };
        let again = MetadataRecord::decode(&record.encode());
        assert_eq!(again.as_ref(), Ok(&record), "what we write can be read");
        let before = image.clone();
        match image.apply(Offset(n as i64), &record) {
            Ok(()) => follows(&before, &image),
            Err(error) => {
                assert!(image == before, "{error}, but the image has changed");
                let _ = error.to_string();
            }
        }
        keeps_its_books(&image);
    }
    let delta = first.delta(&image);
    assert_eq!(delta.appeared.len(), image.topics().len());
    assert!(delta.vanished.is_empty() && delta.changed.is_empty());
}

fn follows(before: &Image, image: &Image) {
    assert!(image.offset() > before.offset());
    assert!(image.next_producer_id() >= before.next_producer_id());
    let delta = before.delta(image);
    assert!(delta.appeared.len() + delta.vanished.len() <= 1, "one record, one topic");
    let nothing = image.delta(image);
    assert!(nothing.appeared.is_empty() && nothing.vanished.is_empty() && nothing.changed.is_empty());
    assert!(!nothing.broker_configs_changed);
}

fn keeps_its_books(image: &Image) {
    let mut partitions = 0;
    for topic in image.topics() {
        partitions += topic.partitions.len();
        assert_eq!(image.topic(&topic.name), Some(topic));
        assert_eq!(image.topic_by_id(topic.id), Some(topic));
        assert!(image.colliding_topic(&topic.name) != Some(&*topic.name));
    }
    assert_eq!(image.partition_count(), partitions);
    for broker in image.brokers() {
        assert_eq!(image.broker(broker.id), Some(broker));
    }
    for resource in image.config_resources() {
        let configs = image.configs(resource);
        assert!(configs.is_some_and(|c| !c.is_empty()), "nothing is kept of a resource without configs");
        if let ConfigResource::Topic(name) = resource {
            let _ = image.topic(name);
        }
    }
    assert!(image.quotas().values().all(|quotas| !quotas.is_empty()), "nothing is kept without quotas");
    for (name, level) in image.features() {
        assert_eq!(image.feature_level(name), Some(level));
    }
}
