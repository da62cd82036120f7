use super::*;
use crate::metadata::{FeatureLevelRecord, MetadataRecord};

fn update(feature: &str, level: i16, upgrade_type: Option<UpgradeType>) -> FeatureUpdate {
    FeatureUpdate { feature: feature.to_owned(), level, upgrade_type }
}

#[test]
fn features_have_the_level_of_this_release_or_are_refused() {
    use UpgradeType::*;
    let mut world = World::of(1);
    let check = |world: &World, updates: &[FeatureUpdate], expected, records| {
        let decision = Controller::new(&world.image, &world.config).update_features(updates, false);
        assert_eq!((code(decision.answer), decision.records.len()), (expected, records), "{updates:?}");
    };
    let (good, refused) = (update("group.version", 1, Some(Upgrade)), ErrorCode::InvalidUpdateVersion);
    check(&world, std::slice::from_ref(&good), ErrorCode::None, 1);
    check(&world, &[update("group.version", 1, None)], refused, 0);
    check(&world, &[update("group.version", 0, Some(SafeDowngrade))], refused, 0);
    check(&world, &[update("group.version", 2, Some(Upgrade))], refused, 0);
    check(&world, &[update("group.version", -1, Some(UnsafeDowngrade))], refused, 0);
    check(&world, &[good.clone(), update("metadata.version", 29, Some(Upgrade))], refused, 0);
    check(&world, &[update("no.version", 1, Some(Upgrade))], refused, 0);
    check(&world, &[good.clone(), good.clone()], ErrorCode::InvalidRequest, 0);
    assert_eq!(world.decide(|c, _| c.update_features(std::slice::from_ref(&good), true)), Ok(()));
    assert_eq!(world.image.feature_level("group.version"), None);
    world.decide(|c, _| c.update_features(std::slice::from_ref(&good), false)).unwrap();
    check(&world, &[good], ErrorCode::None, 0);

    let mut set = |level| {
        let record = FeatureLevelRecord { name: "metadata.version".to_owned(), level };
        world.image.apply(world.image.offset() + 1, &MetadataRecord::FeatureLevel(record)).unwrap();
        world.image.clone()
    };
    let (old, new) = (set(29), set(31));
    let decide = |image: &Image, kind| {
        let asked = [update("metadata.version", 30, Some(kind))];
        code(Controller::new(image, &world.config).update_features(&asked, false).answer)
    };
    assert_eq!((decide(&old, Upgrade), decide(&old, SafeDowngrade)), (ErrorCode::None, refused));
    assert_eq!((decide(&new, Upgrade), decide(&new, SafeDowngrade)), (refused, ErrorCode::None));
}
