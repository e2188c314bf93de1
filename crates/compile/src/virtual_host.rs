//! Compiles one host on one port: an encoded `VirtualHost` of a route configuration.
//!
//! - The unit of caching below a route configuration: when one host changes, one is encoded.
//! - Pure: the input holds all that the result depends on, each part shared.
//! - Not here: which hosts a configuration has and who wins a domain (`route_config`).

use std::sync::Arc;

use bytes::Bytes;
use envoy::{
    config::route::v3::{Route, VirtualHost},
    wire::{field_len, put_message},
};
use model::{Diagnostics, Generator, Hostname, Labels, Namespace, ObjectKey, Service, Shared};
use prost::Message;
use snapshot::{Mesh, VirtualServiceRecord};

use crate::{
    filters::on_demand::lift_wait,
    grpc, names,
    route::{Destination, RouteContext, Scheme, default_route, rule_applies, translate_routes},
    telemetry::check_marks,
};

mod domains;
mod relayed;
#[cfg(test)]
mod tests;

pub(crate) use domains::{absolute_name, host_with_port, in_brackets, short_names};

/// The route for requests that no route of a rule is for.
pub(crate) const NO_MATCH: &str = "meltemi.no-match";
/// Tag of `virtual_hosts` in a `RouteConfiguration`.
const VIRTUAL_HOSTS: u32 = 2;

/// Everything that one virtual host depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualHostInput {
    pub mesh: Shared<Mesh>,
    /// Of the service, or as a VirtualService has it.
    pub hostname: Hostname,
    pub port: u16,
    /// `None` for hosts that only a VirtualService knows.
    pub service: Option<Shared<Service>>,
    /// `None` sends everything to the service.
    pub rule: Option<Shared<VirtualServiceRecord>>,
    /// What is known of the hosts in the rule (of the service itself without one), sorted.
    pub destinations: Arc<[Destination]>,
    /// Other names of the service.
    pub aliases: Arc<[Hostname]>,
    pub caller: Caller,
    pub form: DomainForm,
    /// Domains that another host of the same configuration has already.
    pub taken: Arc<[Arc<str>]>,
    /// Requests may have waited for it.
    pub on_demand: bool,
    /// It is the lazy gateway's.
    pub relayed: bool,
}

/// What matters of the proxy. What no part of the input asks for is left empty, so that proxies
/// share hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    pub generator: Generator,
    pub namespace: Namespace,
    pub labels: Labels,
    pub dns_domain: Arc<str>,
    /// Address families of the proxy.
    pub ipv4: bool,
    pub ipv6: bool,
    /// Its DNS answers with allocated addresses.
    pub dns_capture: bool,
}

/// How callers may write the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DomainForm {
    /// Without a port: the listener has only one, and Envoy ignores what callers write.
    Plain,
    /// `host` and `host:port`, on listeners for all ports.
    PlainAndPort,
    /// `host:port`.
    PortOnly,
    /// `*`: the listener serves this host only.
    Any,
}

/// One encoded virtual host.
#[derive(Clone, Debug)]
pub struct CompiledVirtualHost {
    /// `host:port`.
    pub name: Arc<str>,
    pub domains: Vec<Arc<str>>,
    /// A field of a `RouteConfiguration`, tag included; empty when nothing is left of the host.
    pub bytes: Bytes,
    pub clusters: Vec<Arc<str>>,
    pub origins: Vec<ObjectKey>,
    pub diagnostics: Diagnostics,
}

impl VirtualHostInput {
    fn context<'a>(&'a self, gateways: &'a [Arc<str>]) -> RouteContext<'a> {
        RouteContext {
            mesh: &self.mesh,
            namespace: &self.caller.namespace,
            labels: &self.caller.labels,
            generator: self.caller.generator,
            gateways,
            port: self.port,
            scheme: Scheme::Http,
            destinations: &self.destinations,
        }
    }
}

/// Whether a rule bound to `mesh` has any route for the proxy on a port.
pub(crate) fn applies(
    rule: &VirtualServiceRecord,
    mesh: &Mesh,
    caller: &Caller,
    port: u16,
) -> bool {
    let context = RouteContext {
        mesh,
        namespace: &caller.namespace,
        labels: &caller.labels,
        generator: caller.generator,
        gateways: &mesh_gateway(),
        port,
        scheme: Scheme::Http,
        destinations: &[],
    };
    rule_applies(rule, &context)
}

fn mesh_gateway() -> [Arc<str>; 1] {
    ["mesh".into()]
}

/// Compiles one virtual host.
pub fn compile_virtual_host(input: &VirtualHostInput) -> CompiledVirtualHost {
    let name: Arc<str> = host_with_port(input.hostname.as_str(), input.port).into();
    let mut origins: Vec<ObjectKey> =
        input.service.iter().map(|service| service.origin.clone()).collect();
    let gateways = mesh_gateway();
    let context = input.context(&gateways);
    let mut out = CompiledVirtualHost {
        name,
        domains: domains::domains(input),
        bytes: Bytes::new(),
        clusters: Vec::new(),
        origins: Vec::new(),
        diagnostics: Diagnostics::default(),
    };
    let mut routes = match &input.rule {
        Some(rule) => {
            origins.push(rule.key.clone());
            origins.extend(rule.delegates.iter().cloned());
            let translated = translate_routes(rule, &context);
            out.clusters = translated.clusters.into_iter().collect();
            out.diagnostics = translated.diagnostics;
            translated.routes
        }
        None => {
            let cluster = names::outbound_cluster(input.port, "", &input.hostname);
            out.clusters = vec![cluster.into()];
            let route = default_route(&input.hostname, &context);
            match context.generator {
                Generator::Envoy => vec![route],
                Generator::Grpc => grpc::fit_route(route),
            }
        }
    };
    for service in input.service.iter().filter(|_| input.caller.generator == Generator::Envoy) {
        for finding in check_marks(service, &input.mesh.config) {
            out.diagnostics.push(finding);
        }
    }
    let policies = input.destinations.iter().flat_map(|it| &it.policies.records);
    origins.extend(policies.map(|rule| rule.key.clone()));
    out.origins = origins;
    if routes.is_empty() || out.domains.is_empty() {
        out.domains.clear();
        return out;
    }
    if input.on_demand {
        routes.iter_mut().for_each(lift_wait);
    }
    if input.relayed {
        relayed::relay(input, &mut routes);
    }
    out.bytes = encode(&out, routes, &input.mesh);
    out
}

fn encode(host: &CompiledVirtualHost, routes: Vec<Route>, mesh: &Mesh) -> Bytes {
    let message = VirtualHost {
        name: host.name.to_string(),
        domains: host.domains.iter().map(|domain| domain.to_string()).collect(),
        routes,
        include_request_attempt_count: counts_attempts(mesh),
        ..VirtualHost::default()
    };
    encode_field(&message)
}

/// A virtual host as a field of a `RouteConfiguration`, tag included.
pub(crate) fn encode_field(message: &VirtualHost) -> Bytes {
    let mut out = Vec::with_capacity(field_len(message.encoded_len()));
    put_message(VIRTUAL_HOSTS, message, &mut out);
    out.into()
}

/// The message within what [`encode_field`] made.
pub(crate) fn message_bytes(field: &Bytes) -> Bytes {
    let mut rest = field.clone();
    // What was encoded here can be read.
    let _ = prost::encoding::decode_key(&mut rest);
    let _ = prost::encoding::decode_varint(&mut rest);
    rest
}

/// Whether upstreams are told which try it is (`proxyHeaders.attemptCount`).
pub(crate) fn counts_attempts(mesh: &Mesh) -> bool {
    let headers = mesh.config.default_config.as_ref().and_then(|it| it.proxy_headers.as_ref());
    let switch = headers.and_then(|it| it.attempt_count.as_ref());
    !switch.and_then(|it| it.disabled).unwrap_or(false)
}
