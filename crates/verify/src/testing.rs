//! Small configurations for the tests of this crate, written as JSON in Envoy's own form.

use envoy::type_url;
use serde_json::{Value, json};

use crate::Resources;

/// Reads `{"listeners": […], "routes": […], "clusters": […], "assignments": […]}`.
pub(crate) fn resources(config: &Value) -> Resources {
    let kinds = [
        ("listeners", type_url::LISTENER, "name"),
        ("routes", type_url::ROUTE, "name"),
        ("clusters", type_url::CLUSTER, "name"),
        ("assignments", type_url::ENDPOINT, "cluster_name"),
    ];
    let mut resources = Resources::default();
    for (key, url, name) in kinds {
        for entry in config.get(key).and_then(Value::as_array).into_iter().flatten() {
            let any = envoy::json::to_any(url, entry).expect("the test's resource is valid JSON");
            resources.insert(url, entry[name].as_str().unwrap_or_default(), &any);
        }
    }
    resources
}

pub(crate) fn address(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

pub(crate) fn tcp_proxy(cluster: &str) -> Value {
    json!({"name": "tcp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "tcp",
        "cluster": cluster,
    }})
}

/// An HTTP connection manager; `routes` is `{"rds": …}` or `{"route_config": …}`.
pub(crate) fn http_manager(routes: &Value) -> Value {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        }}],
    });
    for (key, value) in routes.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    json!({"name": "http", "typed_config": config})
}

pub(crate) fn rds(name: &str) -> Value {
    http_manager(&json!({"rds": {"route_config_name": name, "config_source": {"ads": {}}}}))
}

/// A transport socket that ends TLS with the SDS secret `secret`.
pub(crate) fn tls(secret: &str, require_client_certificate: Value) -> Value {
    json!({"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": require_client_certificate,
        "common_tls_context": {"tls_certificate_sds_secret_configs": [
            {"name": secret, "sds_config": {"ads": {}}}
        ]},
    }})
}

pub(crate) fn tls_inspector() -> Value {
    json!({"name": "envoy.filters.listener.tls_inspector", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    }})
}

pub(crate) fn http_inspector() -> Value {
    json!({"name": "envoy.filters.listener.http_inspector", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    }})
}
