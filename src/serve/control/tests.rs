use coordinator::controller::{CreateTopic, Election, RegisterBroker, TopicRef};
use model::PartitionIndex;

use super::*;

fn world() -> (Image, BrokerConfig) {
    let config = BrokerConfig::default();
    let asked = RegisterBroker::from_config(&config, [1; 16], "here");
    let image = Image::new("c");
    let records = Controller::new(&image, &config).register_broker(&asked, false).records;
    (metadata_log::applied(&image, Offset(0), &records), config)
}

fn ids() -> impl FnMut() -> TopicId {
    let mut next = 0;
    move || {
        next += 1;
        TopicId([next; 16])
    }
}

#[test]
fn what_is_decided_can_be_applied() {
    let (image, config) = world();
    let mut new_id = ids();
    let topic = CreateTopic { name: "a".into(), partitions: 2, replication_factor: 1, ..Default::default() };
    let create = Proposal::CreateTopics { topics: vec![topic], validate_only: false };
    let (outcome, records) = decide(&image, &config, create, &|_| false, &mut new_id);
    let Outcome::CreateTopics(answers) = outcome else { panic!("{outcome:?}") };
    assert_eq!(answers[0].as_ref().unwrap().id, TopicId([1; 16]));
    let image = metadata_log::applied(&image, Offset(10), &records);
    assert_eq!(image.topic("a").unwrap().partitions.len(), 2);
    let delete = Proposal::DeleteTopics(vec![TopicRef::Name("a".into()), TopicRef::Name("b".into())]);
    let (outcome, records) = decide(&image, &config, delete, &|_| false, &mut new_id);
    let Outcome::DeleteTopics(answers) = outcome else { panic!("{outcome:?}") };
    assert!(answers[0].is_ok() && answers[1].is_err());
    let image = metadata_log::applied(&image, Offset(20), &records);
    assert!(image.topic("a").is_none());
}

#[test]
fn topics_that_collide_with_each_other_are_not_both_created() {
    let (image, config) = world();
    let names = ["a.b", "a_b", "c", "c"].map(str::to_owned).to_vec();
    let (outcome, records) = decide(&image, &config, Proposal::AutoCreate(names), &|_| false, &mut ids());
    let Outcome::AutoCreate(answers) = outcome else { panic!("{outcome:?}") };
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
    let image = metadata_log::applied(&image, Offset(5), &records);
    assert_eq!(image.topics().len(), 2);
}

#[test]
fn producer_ids_never_come_twice() {
    let (image, config) = world();
    let (first, records) = decide(&image, &config, Proposal::ProducerIds, &|_| false, &mut ids());
    let image = metadata_log::applied(&image, Offset(1), &records);
    let (second, _) = decide(&image, &config, Proposal::ProducerIds, &|_| false, &mut ids());
    assert_ne!(first, second);
}

#[test]
fn a_partition_moves_and_its_preferred_replica_is_elected() {
    let (image, mut config) = world();
    config.node_id = BrokerId(config.node_id.0 + 1);
    let other = RegisterBroker::from_config(&config, [2; 16], "there");
    let decided = |image: &Image, proposal| {
        let (outcome, records) = decide(image, &config, proposal, &|_| true, &mut ids());
        (outcome, metadata_log::applied(image, image.offset() + 1, &records))
    };
    let (_, image) = decided(&image, Proposal::RegisterBroker(other.clone()));
    let topic = CreateTopic { name: "a".into(), partitions: 1, replication_factor: 2, ..Default::default() };
    let (_, image) = decided(&image, Proposal::CreateTopics { topics: vec![topic], validate_only: false });
    let of = |image: &Image| image.topic("a").unwrap().partitions[0].clone();
    let (first, second) = (of(&image).replicas[0], of(&image).replicas[1]);
    assert_eq!(of(&image).leader, Some(first));
    let reassign = |replicas: Vec<BrokerId>| Proposal::Reassign {
        partitions: vec![Reassign {
            topic: "a".into(),
            partition: PartitionIndex(0),
            replicas: Some(replicas),
        }],
        allow_replication_factor_change: false,
    };
    let (outcome, image) = decided(&image, reassign(vec![second, first]));
    assert_eq!(outcome, Outcome::Reassign(vec![Ok(())]));
    assert_eq!(of(&image).replicas, [second, first]);
    let partitions = vec![("a".to_owned(), PartitionIndex(0))];
    let elect = Proposal::Elect { partitions, election: Election::Preferred };
    let (outcome, image) = decided(&image, elect);
    assert_eq!((outcome, of(&image).leader), (Outcome::Elect(vec![Ok(())]), Some(second)));
    let (outcome, _) = decided(&image, reassign(vec![second]));
    let Outcome::Reassign(refused) = outcome else { panic!("{outcome:?}") };
    assert_eq!(refused[0].as_ref().unwrap_err().code, ErrorCode::InvalidReplicationFactor);
    let (outcome, image) = decided(&image, Proposal::UnregisterBroker(second));
    assert_eq!(outcome, Outcome::UnregisterBroker(Ok(())));
    assert_eq!((of(&image).leader, image.broker(second)), (Some(first), None));
}
