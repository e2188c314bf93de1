//! Golden tests: a mesh, and what a gateway in the namespace `istio-system` is sent.

use std::{collections::BTreeMap, fmt::Write, net::IpAddr, sync::Arc};

use envoy::{
    config::{
        core::v3::transport_socket::ConfigType,
        listener::v3::Listener,
        route::v3::{
            RouteConfiguration, VirtualHost, route::Action, route_action::ClusterSpecifier,
            route_match::PathSpecifier,
        },
    },
    extensions::transport_sockets::tls::v3::{
        CommonTlsContext, DownstreamTlsContext, common_tls_context::ValidationContextType,
    },
};
use expect_test::Expect;
use model::{Locality, Proxy};
use prost::Message;
use serde_json::{Map, json};
use snapshot::{Features, Reader, Snapshot};

use super::{
    compile_gateway_host, compile_gateway_listener, compile_gateway_route, gateway_clusters,
    plan_gateway, select_gateway_route, select_gateways, select_own_ports,
};
use crate::{
    Client, Compiled,
    filters::testing::{render_listener, validate},
    fixture,
};

mod conflicts;
mod encryption;
mod hosts;
mod ports;

struct Case<'a> {
    mesh: &'a str,
    features: Features,
    unprivileged: bool,
    /// Certificate files that Envoy would look for are not there.
    has_files: bool,
}

impl<'a> Case<'a> {
    fn new(mesh: &'a str) -> Self {
        Self { mesh, features: Features::default(), unprivileged: false, has_files: false }
    }

    fn feature(mut self, name: &str, value: &str) -> Self {
        self.features.0.insert(name.to_owned(), value.to_owned());
        self
    }

    fn proxy(&self) -> Proxy {
        let mut metadata = Map::new();
        metadata.insert("LABELS".to_owned(), json!({"istio": "ingressgateway"}));
        metadata.insert("UNPRIVILEGED_POD".to_owned(), json!(self.unprivileged.to_string()));
        let id = "router~1.1.1.1~gw.istio-system~istio-system.svc.cluster.local";
        Proxy::parse(id, metadata, Locality::default()).unwrap()
    }

    #[track_caller]
    fn check(&self, expected: Expect) {
        let snapshot = fixture::snapshot_with(self.mesh, self.features.clone());
        expected.assert_eq(&self.render(&snapshot));
    }

    #[track_caller]
    fn render(&self, snapshot: &Snapshot) -> String {
        let reader = Reader::new(snapshot);
        let client = Client::reduce(&self.proxy(), &reader);
        let own = [IpAddr::from([1, 1, 1, 1])];
        let ports = select_own_ports(&own, &client, &reader);
        let scope = select_gateways(&client, &ports, &reader);
        let plan = plan_gateway(&scope, &client, &reader);
        assert_eq!(plan, plan_gateway(&scope, &client, &reader));
        let listeners: Vec<Compiled> =
            plan.listeners.iter().map(compile_gateway_listener).collect();
        if !self.has_files {
            validate(&listeners, &[]);
        }
        let mut out = String::new();
        for listener in &listeners {
            out.push_str(&render_listener(listener));
            out.push_str(&render_tls(listener));
        }
        let mut all = listeners;
        for name in &plan.routes {
            let input = select_gateway_route(name, &scope, &client, &reader);
            let route =
                compile_gateway_route(&input, &mut |host| Arc::new(compile_gateway_host(host)));
            out.push_str(&render_route(&route));
            all.push(route);
        }
        let clusters: BTreeMap<_, _> = gateway_clusters(&all);
        for (hostname, clusters) in clusters {
            let each = clusters.iter().map(|it| format!("{}/{}/{:?}", it.port, it.subset, it.form));
            writeln!(out, "needs {hostname} {}", each.collect::<Vec<_>>().join(" ")).unwrap();
        }
        let findings =
            plan.diagnostics.iter().chain(all.iter().flat_map(|it| it.diagnostics.iter()));
        findings.for_each(|finding| writeln!(out, "{finding}").unwrap());
        out
    }
}

#[track_caller]
fn check(mesh: &str, expected: Expect) {
    Case::new(mesh).check(expected);
}

/// A Gateway with one server in each document of `servers`, which are YAML flow maps.
fn gateway(key: &str, servers: &[&str]) -> String {
    let (namespace, name) = key.split_once('/').unwrap();
    let servers: String = servers.iter().map(|server| format!("  - {server}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\n\
         metadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  selector: {{istio: ingressgateway}}\n  servers:\n{servers}---\n"
    )
}

/// A VirtualService; `spec` is its YAML, one field per line.
fn rule(key: &str, spec: &str) -> String {
    let (namespace, name) = key.split_once('/').unwrap();
    let lines: String = spec.lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{lines}---\n"
    )
}

fn render_route(compiled: &Compiled) -> String {
    let config = RouteConfiguration::decode(compiled.resource.decode_bytes()).unwrap();
    let hosts = config.virtual_hosts.iter().map(render_host);
    format!("{}\n{}", config.name, hosts.collect::<String>())
}

fn render_host(host: &VirtualHost) -> String {
    let redirect = if host.require_tls == 0 { "" } else { " requires tls" };
    let mut out = format!("  {} [{}]{redirect}\n", host.name, host.domains.join(" "));
    for route in &host.routes {
        let path = match route.r#match.as_ref().and_then(|it| it.path_specifier.clone()) {
            Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
            Some(PathSpecifier::Path(path)) => path,
            other => format!("{other:?}"),
        };
        let target = match &route.action {
            Some(Action::Route(action)) => match &action.cluster_specifier {
                Some(ClusterSpecifier::Cluster(cluster)) => cluster.clone(),
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        };
        writeln!(out, "    {path} -> {target}").unwrap();
    }
    out
}

/// A line for each chain that ends TLS.
fn render_tls(compiled: &Compiled) -> String {
    let listener = Listener::decode(compiled.resource.decode_bytes()).unwrap();
    let mut out = String::new();
    for (index, chain) in listener.filter_chains.iter().enumerate() {
        let socket = chain.transport_socket.as_ref().and_then(|it| it.config_type.as_ref());
        let Some(ConfigType::TypedConfig(any)) = socket else { continue };
        let context: DownstreamTlsContext = any.unpack().unwrap();
        let required = context.require_client_certificate == Some(true);
        let common = context.common_tls_context.unwrap();
        writeln!(out, "  tls of chain {index}: {}", render_context(&common, required)).unwrap();
    }
    out
}

fn render_context(common: &CommonTlsContext, required: bool) -> String {
    let mut words: Vec<String> = Vec::new();
    let secrets = common.tls_certificate_sds_secret_configs.iter();
    words.extend(secrets.map(|it| format!("secret={}", it.name)));
    let path = |source: &Option<envoy::config::core::v3::DataSource>| {
        source.as_ref().map(|it| format!("{:?}", it.specifier)).unwrap_or_default()
    };
    words.extend(common.tls_certificates.iter().map(|it| path(&it.certificate_chain)));
    let checks = match &common.validation_context_type {
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            let secret = combined.validation_context_sds_secret_config.as_ref().unwrap();
            words.push(format!("authorities={}", secret.name));
            combined.default_validation_context.as_ref()
        }
        Some(ValidationContextType::ValidationContext(context)) => {
            words.push(format!("authorities={}", path(&context.trusted_ca)));
            Some(context)
        }
        _ => None,
    };
    let names = checks.iter().flat_map(|it| &it.match_typed_subject_alt_names);
    words.extend(names.map(|it| format!("san={:?}", it.matcher.as_ref().unwrap().match_pattern)));
    if let Some(parameters) = &common.tls_params {
        words.push(format!(
            "versions={}..{} ciphers={}",
            parameters.tls_minimum_protocol_version,
            parameters.tls_maximum_protocol_version,
            parameters.cipher_suites.join(",")
        ));
    }
    words.push(format!("alpn={}", common.alpn_protocols.join(",")));
    if required {
        words.push("client=required".to_owned());
    }
    words.join(" ")
}
