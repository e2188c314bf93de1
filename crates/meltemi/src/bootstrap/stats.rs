//! Which of its own metrics an Envoy makes, and which parts of their names become labels.
//!
//! - What is asked for in Istio's ways (the MeshConfig, annotations of the Pod) comes on top of
//!   what this list always has. A metric that is on no list is never made and costs nothing.
//! - Names have `;` behind the name of a cluster or of an HTTP connection manager, which may
//!   contain dots.
//! - Not here: Istio's standard metrics, which listeners define (`compile::telemetry`).

use anyhow::Context;
use api::istio::mesh_proxy_config::{MeshProxyConfig, ProxyStatsMatcher};
use serde_json::{Value, json};

use super::node::Known;

/// Readiness, drains and the connection to the control plane are told from them, as with Istio;
/// `server` has the series that were left out, `wasm` is where Istio's standard metrics are.
const PREFIXES: [&str; 7] = [
    "access_logs",
    "cluster.xds-grpc",
    "cluster_manager",
    "listener_manager",
    "server",
    "tracing",
    "wasm",
];
const SUFFIXES: [&str; 5] =
    ["downstream_cx_active", "rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"];
/// Routes with a name of their own; rate, errors and duration of each cluster, and what breaks a
/// circuit; messages of gRPC.
const REGEXES: [&str; 3] = [
    r"vhost\..*\.route\..*",
    r"cluster\.[^;]+;\.upstream_(rq_([1-5]xx|active|pending_overflow|retry|time|timeout|total)|cx_(active|connect_fail|overflow|rx_bytes_total|total|tx_bytes_total))",
    r"cluster\.[^;]+;\.grpc\.(request|response)_message_count",
];

/// The names of labels, and where their values are: the first group goes from the name of the
/// metric, the second, or only, group is the value.
const TAGS: [(&str, &str); 7] = [
    ("cluster_name", r"^cluster\.((.+?(?=;\.)|[^.;]+);?\.)"),
    ("destination_service", r"^cluster\.outbound\|\d+\|[^|]*\|(.+?)(?=;\.)"),
    ("http_conn_manager_prefix", r"^http\.((.+?(?=;\.)|[^.;]+);?\.)"),
    ("listener_address", r"^listener\.(([_.\d]+|[_\[\]aAbBcCdDeEfF\d]+)\.)"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("tcp_prefix", r"^tcp\.((.*?);?\.)\w+?$"),
];

/// The `stats_config` of a bootstrap.
pub(super) fn stats_config(node: &Value, known: &Known, all: bool) -> anyhow::Result<Value> {
    let tags = TAGS.map(|(name, regex)| json!({"tag_name": name, "regex": regex}));
    let mut config = json!({"use_all_default_tags": false, "stats_tags": tags});
    if !all {
        config["stats_matcher"] = json!({"inclusion_list": {"patterns": patterns(node, known)?}});
    }
    Ok(config)
}

/// An annotation stands in place of what the mesh has on the same list.
fn patterns(node: &Value, known: &Known) -> anyhow::Result<Vec<Value>> {
    let annotation = |name: &str| {
        let of_node = node["metadata"]["ANNOTATIONS"][name].as_str();
        of_node.or(known.annotations.get(name).map(String::as_str)).filter(|it| !it.is_empty())
    };
    let of_proxy: Option<MeshProxyConfig> = annotation("proxy.istio.io/config")
        .map(serde_saphyr::from_str)
        .transpose()
        .context("the annotation `proxy.istio.io/config` is not a ProxyConfig")?;
    let matcher = of_proxy.and_then(|config| config.proxy_stats_matcher);
    let matcher = matcher.or(known.defaults.proxy_stats_matcher.clone()).unwrap_or_default();
    let addresses = node["metadata"]["INSTANCE_IPS"].as_str().unwrap_or_default();
    let list = |name: &str, of_mesh: Vec<String>, always: &[&str]| -> Vec<String> {
        let annotation = annotation(&format!("sidecar.istio.io/statsInclusion{name}"));
        let own = annotation.map(|it| it.split(',').map(str::to_owned).collect());
        let written = own.unwrap_or(of_mesh).into_iter().filter(|it| !it.is_empty());
        let written = written.flat_map(|pattern| with_addresses(&pattern, addresses));
        written.chain(always.iter().map(|it| (*it).to_owned())).collect()
    };
    let ProxyStatsMatcher { inclusion_prefixes, inclusion_suffixes, inclusion_regexps } = matcher;
    let prefixes = list("Prefixes", inclusion_prefixes, &PREFIXES).into_iter();
    let suffixes = list("Suffixes", inclusion_suffixes, &SUFFIXES).into_iter();
    let regexes = list("Regexps", inclusion_regexps, &REGEXES).into_iter();
    let patterns = prefixes.map(|it| json!({"prefix": it}));
    let patterns = patterns.chain(suffixes.map(|it| json!({"suffix": it})));
    Ok(patterns.chain(regexes.map(|it| json!({"safe_regex": {"regex": it}}))).collect())
}

/// A pattern for each address of the workload, where it names one.
fn with_addresses(pattern: &str, addresses: &str) -> Vec<String> {
    match pattern.contains("{pod_ip}") {
        true => addresses.split(',').map(|it| pattern.replace("{pod_ip}", it)).collect(),
        false => vec![pattern.to_owned()],
    }
}
