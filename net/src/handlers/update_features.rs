//! UpdateFeatures. 1 tells kinds of downgrades and may only validate, 2 answers the request as a whole and nothing of each
//! feature.

use std::rc::Rc;

use coordinator::{
    Refusal,
    controller::{FeatureUpdate, UpgradeType},
};
use engine::Disk;

use super::{Handled, Step, configs::outcome_of, propose};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::update_features::{FeatureUpdateKeyView, RequestView, Response, UpdatableFeatureResult},
};

/// From here on there are no results of each feature.
const WHOLE_FROM: i16 = 2;
/// From here on an update says what kind it is.
const KINDS_FROM: i16 = 1;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let updates: Vec<_> = view.feature_updates.iter().map(|update| read(&update, request.version)).collect();
    let validate_only = view.validate_only;
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let proposal = Proposal::UpdateFeatures { updates, validate_only };
        let outcome = match propose(&shard, &request, proposal).await {
            Outcome::UpdateFeatures(outcome) => outcome,
            other => Err(other.refusal()),
        };
        let view = RequestView::decode(request.body(), request.version).expect("decoded before");
        Step::answer(&request, &respond(&view, request.version, &outcome))
    }))
}

fn read(update: &FeatureUpdateKeyView<'_>, version: i16) -> FeatureUpdate {
    let upgrade_type = match version >= KINDS_FROM {
        true => UpgradeType::from_code(update.upgrade_type),
        false if update.allow_downgrade => Some(UpgradeType::SafeDowngrade),
        false => Some(UpgradeType::Upgrade),
    };
    FeatureUpdate { feature: update.feature.to_owned(), level: update.max_version_level, upgrade_type }
}

fn respond<'a>(view: &RequestView<'a>, version: i16, outcome: &'a Result<(), Refusal>) -> Response<'a> {
    let (error_code, error_message) = outcome_of(outcome);
    let done = |update: FeatureUpdateKeyView<'a>| UpdatableFeatureResult {
        feature: update.feature.into(),
        ..UpdatableFeatureResult::default()
    };
    let told = version < WHOLE_FROM && outcome.is_ok();
    let results = if told { view.feature_updates.iter().map(done).collect() } else { vec![] };
    Response { error_code, error_message, results, ..Response::default() }
}
