//! The messages, a module per API. Generated from `net/schema`; edit that.

pub mod api_versions;
pub mod create_topics;
pub mod delete_topics;
pub mod fetch;
pub mod find_coordinator;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod produce;

use super::api_key::ApiKey;
use super::body::ApiFacts;

/// Every API that has messages, by key.
pub const APIS: &[ApiFacts] = &[
    ApiFacts {
        key: ApiKey::Produce,
        versions: produce::VERSIONS,
        listed_from: produce::LISTED_FROM,
        flexible_from: produce::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::Fetch,
        versions: fetch::VERSIONS,
        listed_from: fetch::LISTED_FROM,
        flexible_from: fetch::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ListOffsets,
        versions: list_offsets::VERSIONS,
        listed_from: list_offsets::LISTED_FROM,
        flexible_from: list_offsets::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::Metadata,
        versions: metadata::VERSIONS,
        listed_from: metadata::LISTED_FROM,
        flexible_from: metadata::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::FindCoordinator,
        versions: find_coordinator::VERSIONS,
        listed_from: find_coordinator::LISTED_FROM,
        flexible_from: find_coordinator::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ApiVersions,
        versions: api_versions::VERSIONS,
        listed_from: api_versions::LISTED_FROM,
        flexible_from: api_versions::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::CreateTopics,
        versions: create_topics::VERSIONS,
        listed_from: create_topics::LISTED_FROM,
        flexible_from: create_topics::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DeleteTopics,
        versions: delete_topics::VERSIONS,
        listed_from: delete_topics::LISTED_FROM,
        flexible_from: delete_topics::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::InitProducerId,
        versions: init_producer_id::VERSIONS,
        listed_from: init_producer_id::LISTED_FROM,
        flexible_from: init_producer_id::FLEXIBLE_FROM,
    },
];

/// What the schema says of an API, if it has one.
pub fn facts(key: ApiKey) -> Option<&'static ApiFacts> {
    APIS.binary_search_by_key(&key, |facts| facts.key).ok().map(|i| &APIS[i])
}
