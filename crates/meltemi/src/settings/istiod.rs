//! istiod's environment switches: which mean the same here, and which mean nothing.

use snapshot::Features;

use super::limits;
use crate::environment::Environment;

/// The switches that the compile functions and the fetcher of keys ask for, istiod's and our own.
const READ: &[&str] = &[
    "DISABLE_SHADOW_HOST_SUFFIX",
    "ISTIO_DUAL_STACK",
    "MELTEMI_GRPC_SAFE_RETRIES",
    "MELTEMI_INBOUND_LOOPBACK_ADDRESSES",
    "PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE",
    "PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS",
    "PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN",
    "PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES",
    "PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER",
    "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS",
    "PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION",
    "PILOT_HTTP10",
    "PILOT_JWT_PUB_KEY_REFRESH_INTERVAL",
    "PILOT_SCOPE_GATEWAY_TO_NAMESPACE",
    "PILOT_TRACE_SAMPLING",
    "PILOT_UNIFIED_SIDECAR_SCOPE",
];

/// Switches of istiod whose names do not tell that they are its own.
const FOREIGN: &[&str] = &[
    "ENABLE_100_CONTINUE_HEADERS",
    "ENABLE_DEBUG_ENDPOINT_AUTH",
    "ENABLE_DEBUG_ON_HTTP",
    "ENABLE_ENHANCED_DESTINATIONRULE_MERGE",
    "ENABLE_LAZY_SIDECAR_EVALUATION",
    "ENABLE_LEADER_ELECTION",
    "ENABLE_LOCALITY_WEIGHTED_LB_CONFIG",
    "ISTIO_DELTA_XDS",
    "ISTIO_GPRC_MAXRECVMSGSIZE",
    "ISTIO_GPRC_MAXSTREAMS",
    "MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP",
    "UNSAFE_PILOT_ENABLE_RUNTIME_ASSERTIONS",
];

/// The switches that are set and mean something.
pub(crate) fn features(environment: &Environment) -> Features {
    let set = environment.iter().filter(|(name, _)| READ.contains(name));
    Features(set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The switches that are set and mean nothing here, sorted.
pub(crate) fn ignored(environment: &Environment) -> Vec<&str> {
    let is_istiods = |name: &str| name.starts_with("PILOT_") || FOREIGN.contains(&name);
    let names = environment.iter().map(|(name, _)| name);
    names.filter(|name| is_istiods(name) && !READ.contains(name) && *name != limits::RATE).collect()
}

/// Our own variables that are set and that nothing knows, sorted: most likely mistyped. `settings`
/// are those of the command line's arguments.
pub(crate) fn unknown<'e>(environment: &'e Environment, settings: &[String]) -> Vec<&'e str> {
    const OTHERS: [&str; 1] = ["MELTEMI_LANG"];
    let names = environment.iter().map(|(name, _)| name);
    let own = names.filter(|name| name.starts_with("MELTEMI_"));
    own.filter(|name| {
        let is_known = READ.contains(name) || OTHERS.contains(name);
        !is_known && !settings.iter().any(|setting| setting == name)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::READ;

    /// Keys of node metadata, which are called in the same way.
    const METADATA: &[&str] = &[
        "MELTEMI_CANONICAL_REVISION",
        "MELTEMI_CANONICAL_SERVICE",
        "MELTEMI_NODE_AGENT",
        "MELTEMI_REPORTS",
        "MELTEMI_RUNTIME",
    ];

    /// Collects the names of switches that stand in the sources below `folder`.
    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs");
            if path.is_dir() && !is_test {
                collect(&path, found);
            } else if !is_test {
                let text = fs::read_to_string(&path).unwrap();
                let quoted = text.split('"').skip(1).step_by(2);
                let switches = quoted.filter(|text| {
                    let known = ["PILOT_", "ENABLE_", "DISABLE_", "MELTEMI_", "ISTIO_DUAL"];
                    known.iter().any(|prefix| text.starts_with(prefix))
                });
                found.extend(switches.map(str::to_owned));
            }
        }
    }

    #[test]
    fn the_table_is_what_the_compile_functions_ask_for() {
        let mut found = BTreeSet::new();
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for name in ["compile", "snapshot", "push", "jwks"] {
            collect(&crates.join(name).join("src"), &mut found);
        }
        found.retain(|name| !METADATA.contains(&name.as_str()));
        let read: BTreeSet<String> = READ.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, read);
    }
}
