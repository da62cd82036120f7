//! ApiVersions. Which APIs are served, in which versions; 1 adds the throttle time, 3 the client's software and the
//! features, 4 lets a feature start at 0.
//!
//! An unknown version is answered in the form of version 0 with the whole list, so that the client can choose again;
//! the body is not looked at.

use std::rc::Rc;

use coordinator::metadata::{FEATURES, Feature};
use engine::Disk;
use model::{ErrorCode, Offset};

use super::{Apis, Handled, Step};
use crate::{
    request::{Head, Request},
    shard::Shard,
    wire::messages::api_versions::{
        ApiVersion, FinalizedFeatureKey, RequestView, Response as Body, SupportedFeatureKey,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let (name, version) = (view.client_software_name, view.client_software_version);
    if request.version >= 3 {
        if !is_software_name(name) || !is_software_name(version) {
            let body = Body { error_code: ErrorCode::InvalidRequest.code(), ..Body::default() };
            return Ok(Step::answer(&request, &body));
        }
        request.peer.set_software(name, version);
    }
    Ok(Step::answer(&request, &with_features(list::<D>(), shard.image().offset())))
}

pub(super) fn answer_unsupported<D: Disk>(request: &Request) -> Step {
    let body = Body { error_code: ErrorCode::UnsupportedVersion.code(), ..list::<D>() };
    Step::answer(Head { version: 0, ..request.head() }, &body)
}

fn list<D: Disk>() -> Body<'static> {
    let api = |api: &super::Api<D>| ApiVersion {
        api_key: api.key.code(),
        min_version: api.min,
        max_version: api.max,
    };
    Body { api_keys: Apis::<D>::TABLE.iter().map(api).collect(), ..Body::default() }
}

/// Versions before 3 have no field for them. The epoch of what is in effect is the place in the metadata log.
fn with_features(list: Body<'static>, at: Offset) -> Body<'static> {
    let supported = |feature: &Feature| SupportedFeatureKey {
        name: feature.name.into(),
        min_version: feature.level,
        max_version: feature.level,
    };
    let finalized = |feature: &Feature| FinalizedFeatureKey {
        name: feature.name.into(),
        min_version_level: feature.level,
        max_version_level: feature.level,
    };
    Body {
        supported_features: FEATURES.iter().map(supported).collect(),
        finalized_features_epoch: at.0,
        finalized_features: FEATURES.iter().map(finalized).collect(),
        ..list
    }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511): it goes into logs and metrics.
fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_those_of_kip_511() {
        for (text, good) in [
            ("librdkafka", true),
            ("a", true),
            ("v1.2-rc.3", true),
            ("", false),
            ("-a", false),
            ("a.", false),
            ("a b", false),
            ("\u{e9}", false),
            ("apache-kafka-java", true),
        ] {
            assert_eq!(is_software_name(text), good, "{text}");
        }
    }
}
