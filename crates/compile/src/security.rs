//! Who may do what: AuthorizationPolicies and RequestAuthentications of a workload → filters.
//!
//! - [`select_security`] picks the policies that select a proxy; [`compile_security`] is pure.
//! - Order of HTTP filters: external authorizers, tokens, audits, denials, allowances. All of them
//!   stand in front of everything that handles requests.
//! - Security never fails open: what cannot be carried out denies, and is reported.
//! - Not here: which chains have the filters (`inbound`, `gateway`); encryption and identities of
//!   connections; where keys come from (`jwks`).

mod authorizer;
mod jwt;
mod matcher;
mod node;
mod rbac;
mod relay;
mod rule;
mod select;
#[cfg(test)]
mod tests;
mod trust;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::istio::{
    authorization_policy::AuthorizationPolicy, request_authentication::RequestAuthentication,
};
use envoy::{
    config::listener::v3::Filter,
    extensions::filters::network::http_connection_manager::v3::HttpFilter,
};
use model::{Diagnostics, ObjectKey, Shared};
use snapshot::{KeySource, PolicyRecord};

use crate::{Compiled, lazy_gateway::Identities};

pub use authorizer::{Authorizer, AuthorizerProtocol};
pub(crate) use relay::{refuse, refuse_ambiguous};
pub use select::select_security;

/// Everything that decides about a workload's callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecurityInput {
    /// Those of the root namespace first, in each namespace the oldest first.
    pub policies: Vec<Shared<PolicyRecord<AuthorizationPolicy>>>,
    /// The mesh's own first, then its aliases. Empty where no policy is.
    pub trust_domains: Vec<Arc<str>>,
    /// By which the lazy gateway is known, whose word is taken for who a caller is. Empty where no
    /// policy is.
    pub relays: Identities,
    /// By name, those that the policies name: as it is asked, or why it cannot be.
    pub authorizers: BTreeMap<Arc<str>, Result<Authorizer, Arc<str>>>,
    /// Whether one workload may have more than one of them.
    pub several_authorizers: bool,
    /// In the same order as the policies.
    pub authentications: Vec<Shared<PolicyRecord<RequestAuthentication>>>,
    /// The keys that these need, as far as they are known.
    pub key_sets: BTreeMap<KeySource, Option<Shared<String>>>,
}

/// The filters of a workload, to be put into each of its chains.
#[derive(Clone, Debug, Default)]
pub struct SecurityFilters {
    pub http: Vec<HttpFilter>,
    pub network: Vec<Filter>,
    /// Those that are asked for decisions.
    pub clusters: BTreeSet<Arc<str>>,
    pub origins: BTreeSet<ObjectKey>,
    pub diagnostics: Diagnostics,
}

impl SecurityFilters {
    /// The listener that has the filters: it asks the authorizers, and is made of the policies too.
    pub(crate) fn name_in(&self, listener: Compiled) -> Compiled {
        let clusters = listener.clusters.iter().chain(&self.clusters).cloned().collect();
        let routes = listener.routes.clone();
        let origins: Vec<ObjectKey> =
            listener.origins.iter().chain(&self.origins).cloned().collect();
        listener.naming(clusters, routes.iter(), origins.iter())
    }
}

/// Compiles the filters. Equal policies give equal bytes.
pub fn compile_security(input: &SecurityInput) -> SecurityFilters {
    let mut findings = Diagnostics::default();
    let mut http = rbac::custom_http(input, &mut findings);
    http.extend(jwt::filter(input, &mut findings));
    http.extend(rbac::http(input, &mut findings));
    let mut network = rbac::custom_network(input, &mut findings);
    network.extend(rbac::network(input, &mut findings));
    let authorizers = input.authorizers.values().flatten();
    let origins = input.policies.iter().map(|record| &record.key);
    let origins = origins.chain(input.authentications.iter().map(|record| &record.key));
    SecurityFilters {
        http,
        network,
        clusters: authorizers.map(|it| it.cluster().into()).collect(),
        origins: origins.cloned().collect(),
        diagnostics: findings,
    }
}
