//! The bootstrap of a stock Envoy.

use std::{fmt, fs, net::IpAddr, str::FromStr};

use anyhow::Context;
use compile::telemetry::RUNTIME_LAYER;
use serde_json::{Value, json};

use super::{Bootstrap, Protocol, absolute, node::Known, proof, stats};

/// Name of the cluster that leads to the control plane, as in Istio's bootstrap.
pub(super) const XDS_CLUSTER: &str = "xds-grpc";
/// Name of the cluster that leads to Envoy's own admin page.
const STATS_CLUSTER: &str = "prometheus_stats";
/// As in Istio's bootstrap.
const STATS_PORT: u16 = 15090;
const TYPE: &str = "@type";

/// Where the control plane is: `10.0.0.1:15010`, `[::1]:15010` or `meltemi.mesh:15010`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct XdsAddress {
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl FromStr for XdsAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "it is not `host:port`";
        let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = !bare.is_empty() && !bare.contains([':', '/', ' ']);
        if !is_name && bare.parse::<IpAddr>().is_err() {
            return Err(FORM);
        }
        Ok(Self { host: bare.to_owned(), port: port.parse().map_err(|_| FORM)? })
    }
}

impl fmt::Display for XdsAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

impl Bootstrap {
    pub(super) fn render_envoy(&self, node: Value, known: &Known) -> anyhow::Result<Value> {
        let api = match self.protocol {
            Protocol::Delta => "DELTA_GRPC",
            Protocol::Sotw => "GRPC",
        };
        // Without a limit on the wait, Envoy never starts to serve with half of a configuration.
        let source =
            json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let mut clusters = vec![self.xds_cluster()?];
        clusters.extend(self.node_agent_clusters());
        let mut listeners = Vec::new();
        if let Some(port) = self.stats_port()? {
            clusters.push(self.stats_cluster());
            listeners.push(stats_listener(port));
        }
        // One that cannot run it ends, however it is told to fail.
        let extensions = if self.without_wasm { vec![] } else { vec![idle_wasm()] };
        Ok(json!({
            "node": node,
            "admin": {"address": socket("127.0.0.1", self.admin_port)},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": api,
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [self.xds_service()?],
                },
                "cds_config": source.clone(),
                "lds_config": source,
            },
            // What an operator sets by hand on the admin page wins.
            "layered_runtime": {"layers": [
                {"name": RUNTIME_LAYER, "rtds_layer": {
                    "name": RUNTIME_LAYER,
                    // A control plane that knows no such layer must not hold the start up.
                    "rtds_config":
                        {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"},
                }},
                {"name": "admin", "admin_layer": {}},
            ]},
            "bootstrap_extensions": extensions,
            "stats_config": stats::stats_config(&node, known, self.all_stats)?,
            "stats_eviction_interval": "600s",
            "static_resources": {"clusters": clusters, "listeners": listeners},
        }))
    }

    fn xds_service(&self) -> anyhow::Result<Value> {
        let mut service = json!({"envoy_grpc": {"cluster_name": XDS_CLUSTER}});
        if let Some(path) = &self.token_file {
            let token = fs::read_to_string(path)
                .with_context(|| format!("failed to read `{}`", path.display()))?;
            let value = format!("Bearer {}", token.trim());
            service["initial_metadata"] = json!([{"key": "authorization", "value": value}]);
        }
        Ok(service)
    }

    fn xds_cluster(&self) -> anyhow::Result<Value> {
        let XdsAddress { host, port } = &self.xds_address;
        let is_address = host.parse::<IpAddr>().is_ok();
        let mut cluster = json!({
            "name": XDS_CLUSTER,
            "type": if is_address { "STATIC" } else { "STRICT_DNS" },
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    TYPE: "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {
                        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                    }},
                },
            },
            "load_assignment": assignment(XDS_CLUSTER, host, *port),
        });
        if self.xds_ca.is_some() || self.proof.is_some() {
            cluster["transport_socket"] = self.xds_encryption()?;
        }
        Ok(cluster)
    }

    fn xds_encryption(&self) -> anyhow::Result<Value> {
        let name = self.xds_server_name.as_ref().unwrap_or(&self.xds_address.host);
        let san = if name.parse::<IpAddr>().is_ok() { "IP_ADDRESS" } else { "DNS" };
        let names = json!([{"san_type": san, "matcher": {"exact": name}}]);
        let mut tls = json!({"alpn_protocols": ["h2"]});
        if let Some(folder) = &self.proof {
            proof::use_secrets(folder, names, &mut tls)?;
        } else if let Some(authorities) = &self.xds_ca {
            tls["validation_context"] = json!({
                "trusted_ca": {"filename": absolute(authorities)?},
                "match_typed_subject_alt_names": names,
            });
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            tls["tls_certificates"] = json!([{
                "certificate_chain": {"filename": absolute(certificate)?},
                "private_key": {"filename": absolute(key)?},
            }]);
        }
        Ok(json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                TYPE: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": if san == "DNS" { name.as_str() } else { "" },
                "common_tls_context": tls,
            },
        }))
    }

    /// The agent on the machine, by each of its ports, for what speaks gRPC and for the rest. The
    /// listeners of all machines name the same clusters.
    fn node_agent_clusters(&self) -> Vec<Value> {
        let Some(address) = self.host_ip else { return Vec::new() };
        let cluster = |transport: &str, port: u16| {
            let name = format!("node-agent-{transport}-{port}");
            json!({
                "name": name,
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": assignment(&name, &address.to_string(), port),
            })
        };
        let ports = self.node_agent_ports.iter();
        ports
            .flat_map(|port| {
                let mut grpc = cluster("grpc", *port);
                grpc["typed_extension_protocol_options"] = json!({
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        TYPE: "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {}},
                    },
                });
                [grpc, cluster("http", *port)]
            })
            .collect()
    }

    /// What serves the metrics asks the admin page, so that its port must be known.
    fn stats_port(&self) -> anyhow::Result<Option<u16>> {
        let port = self.stats_port.unwrap_or(if self.admin_port == 0 { 0 } else { STATS_PORT });
        anyhow::ensure!(
            port == 0 || self.admin_port != 0,
            "`--stats-port {port}` needs an `--admin-port` that is not 0"
        );
        Ok((port != 0).then_some(port))
    }

    fn stats_cluster(&self) -> Value {
        json!({
            "name": STATS_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "0.250s",
            "load_assignment": assignment(STATS_CLUSTER, "127.0.0.1", self.admin_port),
        })
    }
}

/// An empty module (in text: a memory, and three functions that do nothing). Its only use is that
/// Envoy then writes statistics below `wasmcustom` without a prefix, which is how metrics get
/// Istio's names.
const IDLE_MODULE: &str = "AGFzbQEAAAABDgNgAABgAX8Bf2ACf38AAwQDAAECBQMBAAEHRwQGbWVtb3J5AgAXcHJveHlfYWJpX3ZlcnNpb25fMF8yXzEAAAZtYWxsb2MAARdwcm94eV9vbl9jb250ZXh0X2NyZWF0ZQACCg0DAgALBQBBgAgLAgAL";

fn idle_wasm() -> Value {
    json!({
        "name": "envoy.bootstrap.wasm",
        "typed_config": {
            TYPE: "type.googleapis.com/envoy.extensions.wasm.v3.WasmService",
            "singleton": true,
            "config": {
                "name": "meltemi.names",
                "vm_config": {
                    "vm_id": "meltemi.names",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"inline_bytes": IDLE_MODULE}},
                },
            },
        },
    })
}

/// Only the metrics of the admin page, for everybody.
fn stats_listener(port: u16) -> Value {
    let route = json!({
        "match": {"prefix": "/stats/prometheus"},
        "route": {"cluster": STATS_CLUSTER},
    });
    json!({
        "name": "prometheus_stats",
        "address": socket("0.0.0.0", port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                TYPE: "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "stats",
                "codec_type": "AUTO",
                "route_config": {"virtual_hosts": [
                    {"name": "backend", "domains": ["*"], "routes": [route]},
                ]},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        TYPE: "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    },
                }],
            },
        }]}],
    })
}

fn assignment(cluster: &str, host: &str, port: u16) -> Value {
    json!({"cluster_name": cluster, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": socket(host, port)}},
    ]}]})
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}
