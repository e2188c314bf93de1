//! Finds the names by which a cluster or listener refers to other resources.
//!
//! - Only what comes over ADS counts. What cannot be decoded refers to nothing.
//! - Not followed: scoped routes, VHDS and other on-demand names.

use std::collections::BTreeSet;

use envoy::{
    Any,
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType},
        },
        core::v3::{
            ConfigSource, TransportSocket, config_source::ConfigSourceSpecifier, transport_socket,
        },
        listener::v3::{FilterChain, Listener, filter},
    },
    extensions::{
        filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier, http_filter,
        },
        transport_sockets::tls::v3::{
            CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, UpstreamTlsContext,
            common_tls_context::ValidationContextType,
        },
    },
    type_url,
};

/// Type URL and name.
pub type Reference = (&'static str, String);

/// What a cluster or listener refers to; other types refer to nothing that is followed.
pub fn references(type_url: &str, resource: &Any) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    match type_url {
        type_url::CLUSTER => {
            if let Ok(cluster) = resource.unpack() {
                of_cluster(cluster, &mut found);
            }
        }
        type_url::LISTENER => {
            if let Ok(listener) = resource.unpack() {
                of_listener(listener, &mut found);
            }
        }
        _ => (),
    }
    found
}

fn of_cluster(cluster: Cluster, found: &mut BTreeSet<Reference>) {
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    if cluster.cluster_discovery_type == Some(eds) {
        let service = cluster.eds_cluster_config.unwrap_or_default().service_name;
        let name = if service.is_empty() { cluster.name } else { service };
        found.insert((type_url::ENDPOINT, name));
    }
    let matches = cluster.transport_socket_matches.into_iter();
    let sockets = matches.filter_map(|entry| entry.transport_socket);
    sockets.chain(cluster.transport_socket).for_each(|socket| of_socket(&socket, found));
}

fn of_listener(listener: Listener, found: &mut BTreeSet<Reference>) {
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    chains.for_each(|chain| of_filter_chain(chain, found));
    if let Some(any) = listener.api_listener.and_then(|listener| listener.api_listener) {
        of_network_filter(&any, found);
    }
}

fn of_filter_chain(chain: &FilterChain, found: &mut BTreeSet<Reference>) {
    for entry in &chain.filters {
        if let Some(filter::ConfigType::TypedConfig(any)) = &entry.config_type {
            of_network_filter(any, found);
        }
    }
    if let Some(socket) = &chain.transport_socket {
        of_socket(socket, found);
    }
}

fn of_network_filter(any: &Any, found: &mut BTreeSet<Reference>) {
    let Ok(manager) = any.unpack::<HttpConnectionManager>() else { return };
    if let Some(RouteSpecifier::Rds(rds)) = manager.route_specifier
        && is_ads(rds.config_source.as_ref())
    {
        found.insert((type_url::ROUTE, rds.route_config_name));
    }
    for filter in manager.http_filters {
        if let Some(http_filter::ConfigType::ConfigDiscovery(source)) = filter.config_type
            && is_ads(source.config_source.as_ref())
        {
            found.insert((type_url::EXTENSION_CONFIG, filter.name));
        }
    }
}

fn of_socket(socket: &TransportSocket, found: &mut BTreeSet<Reference>) {
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else { return };
    let upstream = any.unpack::<UpstreamTlsContext>().map(|context| context.common_tls_context);
    let context =
        upstream.or_else(|_| any.unpack::<DownstreamTlsContext>().map(|it| it.common_tls_context));
    if let Ok(Some(context)) = context {
        let secrets = secrets(context).into_iter();
        let over_ads = secrets.filter(|secret| is_ads(secret.sds_config.as_ref()));
        found.extend(over_ads.map(|secret| (type_url::SECRET, secret.name)));
    }
}

/// The names of the secrets of a TLS context; `None` if one does not come over ADS.
pub fn secrets_over_ads(context: Option<CommonTlsContext>) -> Option<Vec<String>> {
    let secrets = secrets(context.unwrap_or_default()).into_iter();
    let over_ads = secrets.map(|it| is_ads(it.sds_config.as_ref()).then_some(it.name));
    over_ads.collect()
}

fn secrets(context: CommonTlsContext) -> Vec<SdsSecretConfig> {
    let mut secrets = context.tls_certificate_sds_secret_configs;
    match context.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => {
            secrets.push(secret);
        }
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            secrets.extend(combined.validation_context_sds_secret_config);
        }
        _ => (),
    }
    secrets
}

fn is_ads(source: Option<&ConfigSource>) -> bool {
    let specifier = source.and_then(|source| source.config_source_specifier.as_ref());
    matches!(specifier, Some(ConfigSourceSpecifier::Ads(_)))
}
