//! Views and responses as one line of text.
//!
//! `cds a b.2 fix! lds l(r) t(=a) p@10.0.0.1 rds r(h1=a,h2.2=a+b,*=b)`:
//! - a word is a name and, behind a dot, what tells its versions apart;
//! - a cluster has an assignment unless it ends in `!`; `eds a.2` gives it another one; one that ends in `~` can
//!   be used some time after that, one that ends in `$` needs the secret `s`;
//! - a listener asks for routes and, behind `=`, names clusters;
//! - a route has hosts, each with the clusters that it names, and perhaps one for all else, `*`;
//! - the hosts of a route whose name begins with `d` are resources of their own, `vhds d/h1(=a)`;
//! - `p@10.0.0.1` stands for a pod.

use std::{collections::BTreeMap, sync::Arc};

use compile::{Compiled, CompiledVirtualHost, LastHost, RouteParts};
use envoy::{
    Any, Resource,
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType},
        },
        core::v3::{
            AggregatedConfigSource, ConfigSource, HealthCheck, TransportSocket,
            config_source::ConfigSourceSpecifier, transport_socket::ConfigType,
        },
    },
    extensions::transport_sockets::tls::v3::{
        CommonTlsContext, SdsSecretConfig, UpstreamTlsContext,
    },
    type_url,
};
use model::Diagnostics;
use prost::Message;

use super::proxy::ON_DEMAND;
use crate::{FacetView, ResourceKind};

/// Resources by type and name.
pub(super) type Content = BTreeMap<(ResourceKind, Arc<str>), Arc<Compiled>>;

const WORDS: [(&str, ResourceKind); ResourceKind::COUNT] = [
    ("cds", ResourceKind::Cluster),
    ("eds", ResourceKind::Endpoint),
    ("lds", ResourceKind::Listener),
    ("srds", ResourceKind::ScopedRoute),
    ("rds", ResourceKind::Route),
    ("vhds", ResourceKind::VirtualHost),
    ("sds", ResourceKind::Secret),
    ("rtds", ResourceKind::Runtime),
];

pub(super) fn parse_kind(word: &str) -> Option<ResourceKind> {
    WORDS.iter().find(|(it, _)| *it == word).map(|(_, kind)| *kind)
}

pub(super) fn kind_word(kind: ResourceKind) -> &'static str {
    WORDS[kind as usize].0
}

/// What a view says.
pub(super) fn parse_content(text: &str) -> Content {
    let (mut content, mut kind) = (Content::new(), ResourceKind::Cluster);
    for word in text.split_whitespace() {
        if let Some(next) = parse_kind(word) {
            kind = next;
            continue;
        }
        let compiled = parse_resource(kind, word);
        let name = compiled.resource.name().clone();
        if kind == ResourceKind::Cluster && !is_fixed(&compiled) {
            let assignment = parse_resource(ResourceKind::Endpoint, &name);
            content.entry((ResourceKind::Endpoint, name.clone())).or_insert(assignment);
        }
        content.insert((kind, name), compiled);
    }
    content
}

/// Whether a cluster has no assignment.
pub(super) fn is_fixed(cluster: &Compiled) -> bool {
    render(cluster).ends_with('!')
}

/// What the proxy refuses.
pub(super) fn is_bad(compiled: &Compiled) -> bool {
    render(compiled).contains(".bad")
}

fn parse_resource(kind: ResourceKind, word: &str) -> Arc<Compiled> {
    let (head, inside) = match word.split_once('(') {
        Some((head, rest)) => (head, rest.strip_suffix(')').expect("a closing bracket")),
        None => (word, ""),
    };
    let name: Arc<str> = head.split(['.', '@', '!', '~', '$']).next().unwrap_or_default().into();
    let parts = inside.split(',').filter(|part| !part.is_empty());
    if kind == ResourceKind::Route {
        return Arc::new(parse_route(name, parts));
    }
    let body = match kind {
        ResourceKind::Cluster => cluster(word).encode_to_vec(),
        _ => word.as_bytes().to_vec(),
    };
    let resource = Resource::new(name, kind.type_url(), body.into());
    let mut compiled = Compiled::new(resource);
    compiled.pod = head.split_once('@').map(|(_, pod)| pod.parse().expect("an address"));
    for part in parts {
        match part.strip_prefix('=') {
            Some(clusters) => compiled.clusters.extend(names(clusters)),
            None => compiled.routes.push(part.into()),
        }
    }
    Arc::new(compiled)
}

fn cluster(word: &str) -> Cluster {
    let discovery = if word.ends_with('!') { DiscoveryType::StrictDns } else { DiscoveryType::Eds };
    Cluster {
        name: word.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
        transport_socket: word.ends_with('$').then(tls),
        health_checks: word.ends_with('~').then(HealthCheck::default).into_iter().collect(),
        ..Cluster::default()
    }
}

fn tls() -> TransportSocket {
    let source = ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    };
    let secret = SdsSecretConfig { name: "s".to_owned(), sds_config: Some(source) };
    let context = CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![secret],
        ..CommonTlsContext::default()
    };
    let context =
        UpstreamTlsContext { common_tls_context: Some(context), ..UpstreamTlsContext::default() };
    TransportSocket {
        name: "tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any::pack(&context))),
    }
}

fn parse_route<'a>(name: Arc<str>, words: impl Iterator<Item = &'a str>) -> Compiled {
    let mut parts = RouteParts {
        on_demand: name.starts_with(ON_DEMAND),
        name,
        hosts: Vec::new(),
        last: None,
        ignores_ports: false,
        diagnostics: Diagnostics::default(),
    };
    for word in words {
        let bytes = word.as_bytes().to_vec().into();
        let (head, clusters) = word.split_once('=').expect("`host=cluster`");
        if head == "*" {
            parts.last = Some(LastHost { bytes, clusters: names(clusters).collect() });
            continue;
        }
        let host: Arc<str> = head.split('.').next().unwrap_or_default().into();
        parts.hosts.push(Arc::new(CompiledVirtualHost {
            name: host.clone(),
            domains: vec![host],
            bytes,
            clusters: names(clusters).collect(),
            origins: Vec::new(),
            diagnostics: Diagnostics::default(),
        }));
    }
    parts.compile()
}

fn names(text: &str) -> impl Iterator<Item = Arc<str>> {
    text.split('+').filter(|name| !name.is_empty()).map(Arc::from)
}

/// The word that stands for a resource.
pub(super) fn render(compiled: &Compiled) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("made of text");
    let bytes = compiled.resource.decode_bytes();
    let Some(parts) = &compiled.parts else {
        return match compiled.resource.type_url() {
            type_url::CLUSTER => Cluster::decode(bytes).expect("a cluster").name,
            _ => text(&bytes),
        };
    };
    let hosts = parts.hosts.iter().map(|host| text(&host.bytes));
    let hosts: Vec<String> = hosts.chain(parts.last.iter().map(|it| text(&it.bytes))).collect();
    format!("{}({})", parts.name, hosts.join(","))
}

/// The views of a stream that say this, in two facets as in life.
pub(super) fn views(content: &Content, revision: u64) -> Vec<Arc<FacetView>> {
    let mut facets = [FacetView::default(), FacetView::default()];
    for ((kind, name), compiled) in content {
        let facet = &mut facets[usize::from(*kind == ResourceKind::Endpoint)];
        facet.set(*kind, name, Some(compiled.clone()));
        facet.revision = revision;
    }
    facets.into_iter().map(Arc::new).collect()
}
