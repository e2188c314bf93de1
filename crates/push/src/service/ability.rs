//! What an Envoy can, by what its node says.

use compile::{COMPOSITE, filters::ON_DEMAND};
use envoy::config::core::v3::{Node, node::UserAgentVersionType};
use xds::Protocol;

/// Older Envoys give 404 to a first call with a body, and to an upgrade.
const LOADS_BODIES: (u32, u32) = (1, 40);

/// Whether it can ask for virtual hosts at the first call. One that does not tell its version is
/// believed.
pub(super) fn loads_on_demand(node: &Node, protocol: Protocol) -> bool {
    let is_old = version(node).is_some_and(|version| version < LOADS_BODIES);
    protocol == Protocol::Delta && has(node, ON_DEMAND) && !is_old
}

/// Whether a request can be tried again elsewhere.
pub(super) fn retries_elsewhere(node: &Node) -> bool {
    has(node, COMPOSITE)
}

fn has(node: &Node, extension: &str) -> bool {
    node.extensions.iter().any(|it| it.name == extension)
}

fn version(node: &Node) -> Option<(u32, u32)> {
    match node.user_agent_version_type.as_ref()? {
        UserAgentVersionType::UserAgentBuildVersion(build) => {
            let version = build.version.as_ref()?;
            Some((version.major_number, version.minor_number))
        }
        UserAgentVersionType::UserAgentVersion(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use envoy::{
        config::core::v3::{BuildVersion, Extension},
        types::v3::SemanticVersion,
    };

    use super::*;

    fn node(version: Option<(u32, u32)>) -> Node {
        let version = version.map(|(major_number, minor_number)| {
            let version = SemanticVersion { major_number, minor_number, ..Default::default() };
            let build = BuildVersion { version: Some(version), ..BuildVersion::default() };
            UserAgentVersionType::UserAgentBuildVersion(build)
        });
        let filter = Extension { name: ON_DEMAND.to_owned(), ..Extension::default() };
        Node { extensions: vec![filter], user_agent_version_type: version, ..Node::default() }
    }

    #[test]
    fn old_envoys_and_those_without_delta_are_told_everything() {
        let cases =
            [(None, true), (Some((1, 39)), false), (Some((1, 40)), true), (Some((2, 0)), true)];
        for (version, expected) in cases {
            let node = node(version);
            assert_eq!(loads_on_demand(&node, Protocol::Delta), expected, "{version:?}");
            assert!(!loads_on_demand(&node, Protocol::Sotw), "{version:?}");
        }
        assert!(!loads_on_demand(&Node::default(), Protocol::Delta), "it lacks the filter");
    }
}
