//! Feature levels are set. This release has one level of each, so what can be asked for is what there is.

use model::ErrorCode;

use super::{Controller, Decision, Refusal, named_twice};
use crate::{
    config::value::shorten,
    metadata::{FEATURES, FeatureLevelRecord, MetadataRecord},
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeatureUpdate {
    pub feature: String,
    pub level: i16,
    /// None: a code that Apache Kafka does not have either.
    pub upgrade_type: Option<UpgradeType>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl UpgradeType {
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Upgrade),
            2 => Some(Self::SafeDowngrade),
            3 => Some(Self::UnsafeDowngrade),
            _ => None,
        }
    }
}

impl Controller<'_> {
    /// All or none: the first refusal is that of the request.
    pub fn update_features(
        &self,
        updates: &[FeatureUpdate],
        validate_only: bool,
    ) -> Decision<Result<(), Refusal>> {
        let twice = named_twice(updates.iter().map(|update| &update.feature));
        let mut records = vec![];
        for (update, twice) in updates.iter().zip(twice) {
            match self.check_feature(update, twice) {
                Err(refusal) => return Decision { answer: Err(refusal), records: vec![] },
                Ok(()) if self.image.feature_level(&update.feature) == Some(update.level) => {}
                Ok(()) => records.push(MetadataRecord::FeatureLevel(FeatureLevelRecord {
                    name: update.feature.clone(),
                    level: update.level,
                })),
            }
        }
        if validate_only {
            records.clear();
        }
        Decision { answer: Ok(()), records }
    }

    fn check_feature(&self, update: &FeatureUpdate, twice: bool) -> Result<(), Refusal> {
        let FeatureUpdate { feature, level, upgrade_type } = update;
        let name = shorten(feature);
        if twice {
            let sentence = format!("The request names feature '{name}' twice; name it once.");
            return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
        }
        let refuse = |why: String| {
            let sentence = format!("Feature '{name}' cannot be at level {level}: {why}.");
            Err(Refusal::new(ErrorCode::InvalidUpdateVersion, sentence))
        };
        let Some(upgrade_type) = upgrade_type else {
            return refuse("the request is neither an upgrade nor a downgrade".to_owned());
        };
        let Some(supported) = FEATURES.iter().find(|supported| supported.name == feature) else {
            return refuse("no such feature is known here".to_owned());
        };
        if *level != supported.level {
            return refuse(format!("this release has level {} alone", supported.level));
        }
        let current = self.image.feature_level(feature).unwrap_or(supported.level);
        let upgrade = *upgrade_type == UpgradeType::Upgrade;
        if *level < current && upgrade {
            return refuse(format!("that is a downgrade from {current} and is not asked for as one"));
        }
        if *level > current && !upgrade {
            return refuse(format!("that is no downgrade from {current}"));
        }
        Ok(())
    }
}
