//! Retry policies: VirtualService, else `defaultHttpRetryPolicy`, else our default.

use api::istio::virtual_service::HttpRetry;
use envoy::{
    Any,
    config::route::v3::{
        RetryPolicy,
        retry_policy::{
            RetryBackOff, RetryHostPredicate, RetryPriority, retry_host_predicate, retry_priority,
        },
    },
    extensions::retry::{
        host::previous_hosts::v3::PreviousHostsPredicate,
        priority::previous_priorities::v3::PreviousPrioritiesConfig,
    },
};
use snapshot::Mesh;

use super::duration;

const RETRY_ON: &str =
    "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
/// `unavailable` and `cancelled` are what gRPC servers answer on purpose, after having worked on
/// the request; retrying them by default multiplies load when it hurts most.
const RETRY_ON_GRPC: &str = "connect-failure,refused-stream";
/// Set to `false`, gRPC services get the same default as all others, as in Istio.
const GRPC_SAFE_SWITCH: &str = "MELTEMI_GRPC_SAFE_RETRIES";

/// What the upstream of a route is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub grpc: bool,
    /// The host is chosen by a hash, so another try must go to the same one.
    pub hashed: bool,
}

/// `None` means no retries at all.
pub(crate) fn retry_policy(
    written: Option<&HttpRetry>,
    mesh: &Mesh,
    upstream: Upstream,
) -> Option<RetryPolicy> {
    let written = written.or(mesh.config.default_http_retry_policy.as_ref());
    let safe = upstream.grpc && written.is_none() && mesh.features.flag(GRPC_SAFE_SWITCH, true);
    let mut policy = RetryPolicy {
        retry_on: if safe { RETRY_ON_GRPC } else { RETRY_ON }.to_owned(),
        num_retries: Some(2),
        host_selection_retry_max_attempts: 5,
        ..RetryPolicy::default()
    };
    if !upstream.hashed {
        policy.retry_host_predicate.push(previous_hosts());
    }
    let Some(written) = written else { return Some(policy) };
    policy.num_retries = Some(u32::try_from(written.attempts).ok().filter(|it| *it > 0)?);
    if !written.retry_on.is_empty() {
        (policy.retry_on, policy.retriable_status_codes) = parse_retry_on(&written.retry_on);
    }
    policy.per_try_timeout = written.per_try_timeout.map(duration);
    if let Some(ignore) = written.retry_ignore_previous_hosts {
        policy.retry_host_predicate = ignore.then(previous_hosts).into_iter().collect();
    }
    policy.retry_priority =
        written.retry_remote_localities.unwrap_or(false).then(remote_localities);
    policy.retry_back_off = written
        .backoff
        .map(|base| RetryBackOff { base_interval: Some(duration(base)), max_interval: None });
    Some(policy)
}

/// Numbers among the conditions are status codes.
fn parse_retry_on(text: &str) -> (String, Vec<u32>) {
    const CODES: &str = "retriable-status-codes";
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let (mut conditions, mut codes) = (Vec::new(), Vec::new());
    for part in parts {
        match part.parse::<u32>() {
            Ok(code) if (100..600).contains(&code) => codes.push(code),
            _ => conditions.push(part),
        }
    }
    if !codes.is_empty() && !conditions.contains(&CODES) {
        conditions.push(CODES);
    }
    (conditions.join(","), codes)
}

/// A try goes to another host than those before.
pub(crate) fn previous_hosts() -> RetryHostPredicate {
    let config = Any::pack(&PreviousHostsPredicate {});
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(config)),
    }
}

fn remote_localities() -> RetryPriority {
    let config = Any::pack(&PreviousPrioritiesConfig { update_frequency: 2 });
    RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".to_owned(),
        config_type: Some(retry_priority::ConfigType::TypedConfig(config)),
    }
}
