//! Listener filters: what is learnt of a connection before a chain is chosen.

use std::collections::BTreeMap;

use envoy::{
    Any,
    config::listener::v3::{
        ListenerFilter, ListenerFilterChainMatchPredicate,
        listener_filter::ConfigType,
        listener_filter_chain_match_predicate::{MatchSet, Rule},
    },
    extensions::filters::listener::{
        http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst,
        original_src::v3::OriginalSrc, tls_inspector::v3::TlsInspector,
    },
    types::v3::Int32Range,
};
use prost::{Message, Name};

use crate::filters::ORIGINAL_SRC_MARK;

pub const TLS_INSPECTOR: &str = "envoy.filters.listener.tls_inspector";
pub const HTTP_INSPECTOR: &str = "envoy.filters.listener.http_inspector";
pub const ORIGINAL_DST: &str = "envoy.filters.listener.original_dst";
pub const ORIGINAL_SRC: &str = "envoy.filters.listener.original_src";

/// Which destination ports have to be inspected.
///
/// An inspector waits for the first bytes of the caller, so that a port that does not need it must
/// not have it: where the server speaks first, the connection would stand still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedPorts {
    ports: BTreeMap<u16, bool>,
    others: bool,
}

impl InspectedPorts {
    /// Every port.
    pub fn all() -> Self {
        Self { ports: BTreeMap::new(), others: true }
    }

    /// From the needs of filter chains: the port they match (`None` is any) and whether they need
    /// the inspector.
    pub fn of_chains(chains: impl IntoIterator<Item = (Option<u16>, bool)>) -> Self {
        let mut inspected = Self { ports: BTreeMap::new(), others: false };
        for (port, needed) in chains {
            match port {
                Some(port) => *inspected.ports.entry(port).or_default() |= needed,
                None => inspected.others |= needed,
            }
        }
        inspected
    }

    pub fn is_none(&self) -> bool {
        !self.others && self.ports.values().all(|needed| !needed)
    }

    /// The predicate that turns the inspector off elsewhere; `None` if it is on everywhere.
    fn disabled(&self) -> Option<ListenerFilterChainMatchPredicate> {
        let listed = self.ports.iter().filter(|(_, needed)| **needed != self.others);
        let mut rules: Vec<_> = listed.map(|(port, _)| port_rule(*port)).collect();
        let listed = match rules.len() {
            0 => return None,
            1 => rules.swap_remove(0),
            _ => predicate(Rule::OrMatch(MatchSet { rules })),
        };
        Some(match self.others {
            true => listed,
            false => predicate(Rule::NotMatch(Box::new(listed))),
        })
    }
}

fn predicate(rule: Rule) -> ListenerFilterChainMatchPredicate {
    ListenerFilterChainMatchPredicate { rule: Some(rule) }
}

fn port_rule(port: u16) -> ListenerFilterChainMatchPredicate {
    let start = i32::from(port);
    predicate(Rule::DestinationPortRange(Int32Range { start, end: start + 1 }))
}

fn listener_filter<M: Message + Name>(name: &str, config: &M) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        filter_disabled: None,
        config_type: Some(ConfigType::TypedConfig(Any::pack(config))),
    }
}

/// Finds TLS, its server name and its application protocols. `None` if no port needs it.
pub fn tls_inspector(ports: &InspectedPorts) -> Option<ListenerFilter> {
    // Most client hellos are smaller, and a larger one grows the buffer; Envoy's own start of
    // 16 KiB for each connection is a waste.
    let config = TlsInspector { initial_read_buffer_size: Some(512), ..TlsInspector::default() };
    (!ports.is_none()).then(|| ListenerFilter {
        filter_disabled: ports.disabled(),
        ..listener_filter(TLS_INSPECTOR, &config)
    })
}

/// Finds plain HTTP and its version. Goes after the TLS inspector. `None` if no port needs it.
pub fn http_inspector(ports: &InspectedPorts) -> Option<ListenerFilter> {
    (!ports.is_none()).then(|| ListenerFilter {
        filter_disabled: ports.disabled(),
        ..listener_filter(HTTP_INSPECTOR, &HttpInspector::default())
    })
}

/// Restores the destination that a redirected connection had.
pub fn original_dst() -> ListenerFilter {
    listener_filter(ORIGINAL_DST, &OriginalDst::default())
}

/// Keeps the caller's address towards the application.
pub fn original_src() -> ListenerFilter {
    let config = OriginalSrc { mark: ORIGINAL_SRC_MARK, ..OriginalSrc::default() };
    listener_filter(ORIGINAL_SRC, &config)
}
