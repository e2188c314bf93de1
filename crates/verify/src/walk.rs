//! Follows one call through a proxy's resources, from listener to cluster.
//!
//! - Never fails: what ends the call is [`crate::Outcome::error`], and each choice is a step.
//! - Order: listener, inspectors, filter chain, TLS, then HTTP or TCP, then the clusters.
//! - Not here: what filters do with the request (authorization, faults, rewrites).

mod connection;
mod endpoint;
mod filter_chain;
mod http;
mod listener;
mod matcher;
mod redirect;
mod route;
mod tcp;
#[cfg(test)]
mod tests;

use envoy::{Any, config::listener::v3::FilterChain};
use prost::{Message, Name};

use crate::{
    Call, Outcome, Resources, Stage, StepVerdict, Upstream, effect::owner, resources::causes,
};

use self::{connection::Connection, listener::Inspection};
pub(crate) use self::{
    endpoint::{address_text, list_endpoints, service_name},
    listener::{HTTP_INSPECTOR, TLS_INSPECTOR},
};

/// How much of Envoy the walk follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// As the corpus counts it: routes match by path alone, and the walk ends at the cluster.
    Simulation,
    /// Headers, method and query count too, and the walk goes on to the addresses.
    Full,
}

/// Settings of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkOptions {
    pub fidelity: Fidelity,
}

impl WalkOptions {
    pub const SIMULATION: Self = Self { fidelity: Fidelity::Simulation };
    pub const FULL: Self = Self { fidelity: Fidelity::Full };
}

/// Where `call` ends, and why.
pub fn walk(resources: &Resources, call: &Call, options: &WalkOptions) -> Outcome {
    let mut walker =
        Walker { resources, call, fidelity: options.fidelity, outcome: Outcome::default() };
    walker.run();
    walker.outcome
}

/// The walk so far.
struct Walker<'a> {
    resources: &'a Resources,
    call: &'a Call,
    fidelity: Fidelity,
    outcome: Outcome,
}

impl<'a> Walker<'a> {
    fn run(&mut self) {
        let Some(listener) = self.find_listener() else { return };
        self.outcome.listener.clone_from(&listener.name);
        let inspection = Inspection::of(listener, self.call);
        self.tell_inspection(&inspection);
        let Some(chain) = self.find_filter_chain(listener, &inspection) else { return };
        self.outcome.filter_chain.clone_from(&chain.name);
        self.outcome.filter_chain_owner = owner(chain.metadata.as_ref()).map(str::to_owned);
        let connection = Connection::of(chain);
        if !self.pass_tls(&connection) {
            return;
        }
        match &connection.http {
            Some(manager) => self.walk_http(manager, &connection),
            None => self.walk_tcp(chain),
        }
        if self.fidelity == Fidelity::Full {
            self.find_upstreams();
        }
    }

    fn find_upstreams(&mut self) {
        let names: Vec<String> =
            self.outcome.cluster.names().into_iter().map(str::to_owned).collect();
        for name in names {
            let upstream = endpoint::upstream(self.resources, &name);
            let verdict = match upstream {
                Upstream::Missing { .. } => StepVerdict::Failed,
                Upstream::NoAssignment { .. } => StepVerdict::Failed,
                Upstream::OriginalDestination { .. }
                | Upstream::Dynamic { .. }
                | Upstream::Endpoints { .. } => StepVerdict::Chosen,
            };
            self.outcome.step(Stage::Endpoint, verdict, endpoint::describe(&upstream));
            self.outcome.upstreams.push(upstream);
        }
    }

    fn choose(&mut self, stage: Stage, text: impl Into<String>) {
        self.outcome.step(stage, StepVerdict::Chosen, text);
    }

    fn pass_over(&mut self, stage: Stage, text: impl Into<String>) {
        self.outcome.step(stage, StepVerdict::PassedOver, text);
    }

    fn note(&mut self, stage: Stage, text: impl Into<String>) {
        self.outcome.step(stage, StepVerdict::Note, text);
    }
}

/// The network filters of the type `M` whose bytes are one.
fn network_filters<M: Message + Name + Default>(chain: &FilterChain) -> impl Iterator<Item = M> {
    use envoy::config::listener::v3::filter::ConfigType;
    chain.filters.iter().filter_map(|filter| match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => unpack(any),
        Some(ConfigType::ConfigDiscovery(_)) | None => None,
    })
}

fn unpack<M: Message + Name + Default>(any: &Any) -> Option<M> {
    any.unpack().ok()
}

/// `` `name` ``, or how else to say which one is meant.
fn quoted(name: &str) -> String {
    if name.is_empty() { "(no name)".to_owned() } else { format!("`{name}`") }
}

/// Why a pattern is no regular expression.
fn regex_problem(error: &regex::Error) -> String {
    causes(error).lines().last().unwrap_or_default().trim().to_owned()
}
