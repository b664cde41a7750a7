//! Which APIs are served, in which versions. What stands here is what `ApiVersions` tells clients.
//!
//! Versions stop where topic ids or the new group protocol begin, so that clients use topic names and classic groups.

use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};

/// An API with its least and greatest version.
pub(crate) const SERVED: &[(ApiKey, i16, i16)] = &[
    // Kafka 4 advertises produce from 0 and serves it from 3: older librdkafka takes the range as a feature flag.
    (ApiKey::Produce, 0, 9),
    (ApiKey::Fetch, 4, 11),
    (ApiKey::ListOffsets, 1, 6),
    (ApiKey::Metadata, 0, 9),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 7),
    (ApiKey::FindCoordinator, 0, 3),
    (ApiKey::JoinGroup, 0, 7),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 4),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 4),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 6),
    (ApiKey::DeleteTopics, 1, 5),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 1),
];

/// The least produce version that is more than advertised.
const LEAST_PRODUCE: i16 = 3;

/// Whether a request of this API and version is answered.
pub(crate) fn is_served(api: ApiKey, version: i16) -> bool {
    if api == ApiKey::Produce && version < LEAST_PRODUCE {
        return false;
    }
    SERVED
        .iter()
        .any(|(served, min, max)| *served == api && (*min..=*max).contains(&version))
}

/// The answer to `ApiVersions`, whatever its version.
pub(crate) fn api_versions(error_code: i16) -> ApiVersionsResponse {
    let one = |(api, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default()
            .with_api_key(*api as i16)
            .with_min_version(*min)
            .with_max_version(*max)
    };
    ApiVersionsResponse::default()
        .with_error_code(error_code)
        .with_api_keys(SERVED.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_served_version_is_known_to_the_codec() {
        for (api, min, max) in SERVED {
            let known = api.valid_versions();
            let min = if *api == ApiKey::Produce { LEAST_PRODUCE } else { *min };
            assert!(
                known.min <= min && *max <= known.max,
                "{api:?} {min}..={max}, codec {known}"
            );
        }
    }
}
