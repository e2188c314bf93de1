//! Chooses the filter chain in Envoy's order of conditions.
//!
//! A condition that no remaining chain sets is skipped. Else the best matches stay or, where none
//! matches, the chains that do not set it. There is no way back: what a step drops stays dropped,
//! as in Envoy, whose matcher is a tree of maps.

use std::net::IpAddr;

use envoy::config::{
    core::v3::CidrRange,
    listener::v3::{FilterChain, FilterChainMatch, Listener},
};

use crate::{Call, Fidelity, NearMiss, Stage, WalkError};

use super::{Walker, listener::Inspection, quoted};

/// How well a chain meets one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Unset,
    Mismatch,
    /// The higher, the better.
    Match(usize),
}

/// One condition of a match: its name, and how a chain meets it.
type Condition<'c> = (&'static str, Box<dyn Fn(&FilterChainMatch) -> Fit + 'c>);

impl<'a> Walker<'a> {
    pub(super) fn find_filter_chain(
        &mut self,
        listener: &'a Listener,
        inspection: &Inspection,
    ) -> Option<&'a FilterChain> {
        let none = FilterChainMatch::default();
        let mut chains: Vec<&FilterChain> = listener.filter_chains.iter().collect();
        for (name, fit) in conditions(self.call, inspection, self.fidelity) {
            let fits: Vec<Fit> = chains
                .iter()
                .map(|chain| fit(chain.filter_chain_match.as_ref().unwrap_or(&none)))
                .collect();
            let kept = keep(&fits);
            self.tell_dropped(name, &chains, &kept);
            if !chains.is_empty() && !kept.contains(&true) {
                self.outcome.nearest = chains.first().map(|chain| NearMiss {
                    stage: Stage::FilterChain,
                    name: quoted(&chain.name),
                    reason: format!("{name} is another: {}", self.describe_match(chain)),
                });
            }
            let mut kept = kept.into_iter();
            chains.retain(|_| kept.next().unwrap_or(true));
        }
        self.decide(listener, &chains)
    }

    fn decide(
        &mut self,
        listener: &'a Listener,
        left: &[&'a FilterChain],
    ) -> Option<&'a FilterChain> {
        match (left, &listener.default_filter_chain) {
            ([chain], _) => {
                self.outcome.nearest = None;
                self.choose(Stage::FilterChain, format!("{} is left", quoted(&chain.name)));
                Some(chain)
            }
            ([], Some(chain)) => {
                self.outcome.nearest = None;
                let text = format!("none is left: the default chain {}", quoted(&chain.name));
                self.choose(Stage::FilterChain, text);
                Some(chain)
            }
            ([], None) => {
                let text = "no chain matches, and the listener has no default chain";
                self.outcome.fail(Stage::FilterChain, WalkError::NoFilterChain, text);
                None
            }
            (many, _) => {
                let names: Vec<String> = many.iter().map(|chain| quoted(&chain.name)).collect();
                let text = format!("several match: {}", names.join(", "));
                self.outcome.fail(Stage::FilterChain, WalkError::MultipleFilterChain, text);
                None
            }
        }
    }

    /// The conditions of a chain, beside what the call has.
    fn describe_match(&self, chain: &FilterChain) -> String {
        let Some(wanted) = &chain.filter_chain_match else {
            return "the chain asks for nothing".into();
        };
        let mut parts = Vec::new();
        if let Some(port) = wanted.destination_port {
            parts.push(format!("port {port}"));
        }
        if !wanted.server_names.is_empty() {
            let sni = if self.call.sni().is_empty() { "none" } else { self.call.sni() };
            let names = wanted.server_names.join("`, `");
            parts.push(format!("server name `{names}` (the call has {sni})"));
        }
        if !wanted.transport_protocol.is_empty() {
            parts.push(format!("transport `{}`", wanted.transport_protocol));
        }
        if !wanted.application_protocols.is_empty() {
            parts.push(format!("protocol `{}`", wanted.application_protocols.join("`, `")));
        }
        for range in &wanted.prefix_ranges {
            parts.push(format!("{}/{}", range.address_prefix, range.prefix_len.unwrap_or(0)));
        }
        parts.join(", ")
    }

    fn tell_dropped(&mut self, condition: &str, chains: &[&FilterChain], kept: &[bool]) {
        let mut names: Vec<String> = chains
            .iter()
            .zip(kept)
            .filter(|(_, kept)| !**kept)
            .map(|(chain, _)| quoted(&chain.name))
            .collect();
        names.dedup();
        if !names.is_empty() {
            let text = format!("{condition} rules out {}", names.join(", "));
            self.pass_over(Stage::FilterChain, text);
        }
    }
}

/// Which of the chains stay after a condition.
fn keep(fits: &[Fit]) -> Vec<bool> {
    let best = fits.iter().filter_map(|fit| match fit {
        Fit::Match(rank) => Some(*rank),
        Fit::Unset | Fit::Mismatch => None,
    });
    let wanted = best.max().map_or(Fit::Unset, Fit::Match);
    fits.iter().map(|fit| *fit == wanted).collect()
}

fn conditions<'c>(
    call: &'c Call,
    inspection: &'c Inspection,
    fidelity: Fidelity,
) -> Vec<Condition<'c>> {
    // Envoy reads the server name from the handshake, which only the inspector looks into.
    let sni = match fidelity {
        Fidelity::Full if inspection.transport_protocol != "tls" => "",
        Fidelity::Full | Fidelity::Simulation => call.sni(),
    };
    let ip = call.ip();
    vec![
        (
            "the destination port",
            Box::new(|chain| match chain.destination_port {
                None => Fit::Unset,
                Some(port) if port == u32::from(call.port) => Fit::Match(0),
                Some(_) => Fit::Mismatch,
            }),
        ),
        (
            "the destination address",
            Box::new(move |chain| {
                best(&chain.prefix_ranges, |range| ip.and_then(|ip| prefix_rank(range, ip)))
            }),
        ),
        (
            "the server name",
            Box::new(move |chain| best(&chain.server_names, |name| server_name_rank(name, sni))),
        ),
        (
            "the transport protocol",
            Box::new(|chain| match chain.transport_protocol.as_str() {
                "" => Fit::Unset,
                own if own == inspection.transport_protocol => Fit::Match(0),
                _ => Fit::Mismatch,
            }),
        ),
        (
            "the application protocol",
            Box::new(|chain| {
                // The first of the caller's protocols that some chain has.
                best(&chain.application_protocols, |own| {
                    let mut last_first = inspection.application_protocol.rsplit(',');
                    last_first.position(|offered| offered == own.as_str())
                })
            }),
        ),
    ]
}

fn best<T>(entries: &[T], rank: impl Fn(&T) -> Option<usize>) -> Fit {
    if entries.is_empty() {
        return Fit::Unset;
    }
    entries.iter().filter_map(rank).max().map_or(Fit::Mismatch, Fit::Match)
}

/// The length of the prefix, if `ip` lies in the range.
fn prefix_rank(range: &CidrRange, ip: IpAddr) -> Option<usize> {
    let length = range.prefix_len.unwrap_or(0);
    let inside = match (range.address_prefix.parse().ok()?, ip) {
        (IpAddr::V4(prefix), IpAddr::V4(ip)) => {
            let shift = 32_u32.checked_sub(length)?;
            prefix.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(prefix), IpAddr::V6(ip)) => {
            let shift = 128_u32.checked_sub(length)?;
            prefix.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    };
    inside.then_some(length as usize)
}

/// Exact before wildcard, and the longer wildcard before the shorter.
fn server_name_rank(pattern: &str, sni: &str) -> Option<usize> {
    if sni.is_empty() {
        return None;
    }
    let (pattern, sni) = (pattern.to_ascii_lowercase(), sni.to_ascii_lowercase());
    if pattern == sni {
        return Some(usize::MAX);
    }
    let suffix = pattern.strip_prefix('*')?;
    (sni.len() > suffix.len() && sni.ends_with(suffix)).then_some(suffix.len())
}
