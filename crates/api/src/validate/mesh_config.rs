//! MeshConfig. Absent fields have defaults, so only what is written is judged.

use super::{Check, Path, destination_rule, http_action, load_balancer, names, telemetry};
use crate::{
    codes,
    istio::mesh_config::{IngressControllerMode, MeshConfig},
};

pub(super) fn check(check: &mut Check<'_>, mesh: &MeshConfig) {
    let path = Path::root("");
    check.duration(&path.field("connectTimeout"), mesh.connect_timeout);
    check.duration(&path.field("dnsRefreshRate"), mesh.dns_refresh_rate);
    if mesh.protocol_detection_timeout.is_some_and(|timeout| !timeout.is_zero()) {
        check.duration(&path.field("protocolDetectionTimeout"), mesh.protocol_detection_timeout);
    }
    if let Some(settings) = &mesh.locality_lb_setting {
        load_balancer::locality(check, &path.field("localityLbSetting"), settings, true);
    }
    if let Some(policy) = &mesh.default_http_retry_policy {
        http_action::retries(check, &path.field("defaultHttpRetryPolicy"), policy);
    }
    if let Some(policy) = &mesh.default_inbound_http_retry_policy {
        http_action::retries(check, &path.field("defaultInboundHttpRetryPolicy"), policy);
    }
    if let Some(policy) = &mesh.default_traffic_policy {
        let path = path.field("defaultTrafficPolicy");
        destination_rule::defaults(check, &path, policy);
    }
    if mesh.proxy_http_port != 0 {
        let port = u32::try_from(mesh.proxy_http_port).unwrap_or_default();
        check.port(&path.field("proxyHttpPort"), port);
    }
    trust_domain(check, &path.field("trustDomain"), &mesh.trust_domain);
    let list = path.field("trustDomainAliases");
    for (index, alias) in mesh.trust_domain_aliases.iter().enumerate() {
        trust_domain(check, &list.index(index), alias);
    }
    let list = path.field("serviceSettings");
    for (index, settings) in mesh.service_settings.iter().enumerate() {
        let at = list.index(index);
        let hosts = at.field("hosts");
        for (index, host) in settings.hosts.iter().enumerate() {
            check.wildcard_host(&hosts.index(index), host);
        }
    }
    let list = path.field("extensionProviders");
    for (index, provider) in mesh.extension_providers.iter().enumerate() {
        let at = list.index(index);
        check.required(!provider.name.is_empty(), &at.field("name"), "the name of the provider");
        let before = &mesh.extension_providers[..index];
        if before.iter().any(|other| other.name == provider.name) {
            let message = format!("there is already a provider `{}`", provider.name);
            check.report(&codes::DUPLICATE, &at.field("name"), message, "");
        }
        telemetry::provider(check, &at, provider);
    }
    if let Some(defaults) = &mesh.default_providers {
        telemetry::default_providers(check, &path.field("defaultProviders"), defaults);
    }
    let config = path.field("defaultConfig");
    if let Some(tracing) = mesh.default_config.as_ref().and_then(|it| it.tracing.as_ref()) {
        telemetry::mesh_tracing(check, &config.field("tracing"), tracing);
    }
    unsupported(check, &path, mesh);
}

/// An absent trust domain is the default one. A final dot is possible.
fn trust_domain(check: &mut Check<'_>, path: &Path<'_>, domain: &str) {
    let labels = domain.strip_suffix('.').unwrap_or(domain);
    if !domain.is_empty() && !labels.split('.').all(names::is_label) {
        let message = format!("`{domain}` is not a valid trust domain");
        check.report(&codes::NAME, path, message, "");
    }
}

/// Ingress objects are not read.
fn reads_ingress(mode: IngressControllerMode) -> bool {
    match mode {
        IngressControllerMode::Default | IngressControllerMode::Strict => true,
        IngressControllerMode::Unspecified | IngressControllerMode::Off => false,
    }
}

fn unsupported(check: &mut Check<'_>, path: &Path<'_>, mesh: &MeshConfig) {
    let fields = [
        ("proxyListenPort", !matches!(mesh.proxy_listen_port, 0 | 15001)),
        ("proxyInboundListenPort", !matches!(mesh.proxy_inbound_listen_port, 0 | 15006)),
        ("verifyCertificateAtClient", mesh.verify_certificate_at_client.is_some()),
        ("ca", mesh.ca.is_some()),
        ("thriftConfig", mesh.thrift_config.is_some()),
        ("certificates", !mesh.certificates.is_empty()),
        ("configSources", !mesh.config_sources.is_empty()),
        ("serviceScopeConfigs", !mesh.service_scope_configs.is_empty()),
        ("serviceEntryVisibility", mesh.service_entry_visibility.is_some()),
        ("zoneAwareLbSetting", mesh.zone_aware_lb_setting.is_some()),
        ("connectionSettings", mesh.connection_settings.is_some()),
        ("discoverySelectors", !mesh.discovery_selectors.is_empty()),
        ("serviceSettings", !mesh.service_settings.is_empty()),
        ("inboundClusterStatName", !mesh.inbound_cluster_stat_name.is_empty()),
        ("outboundClusterStatName", !mesh.outbound_cluster_stat_name.is_empty()),
        ("ingressControllerMode", reads_ingress(mesh.ingress_controller_mode)),
    ];
    for (name, is_set) in fields {
        check.unsupported(is_set, path, name);
    }
    let config = path.field("defaultConfig");
    let service = mesh.default_config.as_ref().and_then(|it| it.envoy_access_log_service.as_ref());
    let als = [
        (path.field("enableEnvoyAccessLogService"), mesh.enable_envoy_access_log_service),
        (config.field("envoyAccessLogService"), service.is_some()),
    ];
    for (at, _) in als.iter().filter(|(_, is_set)| *is_set) {
        let message = "the access log service is a provider, and this field has no effect";
        let hint =
            "add a provider with `envoyHttpAls`, and name it in `defaultProviders.accessLogging`";
        check.report(&codes::UNSUPPORTED_FIELD, at, message, hint);
    }
}
