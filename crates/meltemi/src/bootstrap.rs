//! `bootstrap`: what a stock Envoy needs to find the control plane and to say who it is.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// Which protocol the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Delta,
    Sotw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Sidecar,
    Gateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Interception {
    Redirect,
    Tproxy,
    None,
}

/// Print an Envoy bootstrap for a workload.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meltemi bootstrap --workload cart-1.shop --address 10.0.0.7 > envoy.json\n  meltemi bootstrap --workload edge.shop --kind gateway --label istio=ingressgateway"
)]
pub(crate) struct Bootstrap {
    /// Name and namespace, as `cart-7f9c.shop`.
    #[arg(long)]
    workload: String,
    #[arg(long, value_enum, default_value_t = Kind::Sidecar)]
    kind: Kind,
    /// Address of the workload; the first of several is the main one.
    #[arg(long = "address", default_value = "127.0.0.1")]
    addresses: Vec<IpAddr>,
    /// Label of the workload, `key=value`. May be given several times.
    #[arg(long = "label")]
    labels: Vec<String>,
    /// Further node metadata, `KEY=value`.
    #[arg(long = "metadata")]
    metadata: Vec<String>,
    #[arg(long)]
    service_account: Option<String>,
    /// `region/zone/subzone`.
    #[arg(long)]
    locality: Option<String>,
    #[arg(long, value_enum, default_value_t = Interception::Redirect)]
    interception: Interception,
    #[arg(long, value_enum, default_value_t = Protocol::Delta)]
    protocol: Protocol,
    /// Address of the control plane.
    #[arg(long, default_value = "127.0.0.1:15010")]
    xds_address: SocketAddr,
    /// Port of Envoy's own admin page on 127.0.0.1; 0 picks one.
    #[arg(long, default_value_t = 15000)]
    admin_port: u16,
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    #[arg(long, default_value = "Kubernetes")]
    cluster_id: String,
}

/// The Istio version that our proxies claim: EnvoyFilters match on it.
const ISTIO_VERSION: &str = "1.30.0";

impl Bootstrap {
    pub(crate) fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        serde_json::to_writer_pretty(&mut *out, &self.render()?)?;
        writeln!(out)?;
        Ok(ExitCode::SUCCESS)
    }

    fn render(&self) -> anyhow::Result<Value> {
        let (api, ads) = match self.protocol {
            Protocol::Delta => ("DELTA_GRPC", json!({"ads": {}})),
            Protocol::Sotw => ("GRPC", json!({"ads": {}})),
        };
        let mut source = ads;
        source["resource_api_version"] = "V3".into();
        source["initial_fetch_timeout"] = "0s".into();
        Ok(json!({
            "node": self.node()?,
            "admin": {"address": socket("127.0.0.1", self.admin_port)},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": api,
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
                },
                "cds_config": source.clone(),
                "lds_config": source,
            },
            "static_resources": {"clusters": [self.xds_cluster()]},
        }))
    }

    fn node(&self) -> anyhow::Result<Value> {
        let (name, namespace) = self
            .workload
            .rsplit_once('.')
            .with_context(|| format!("`{}` is not NAME.NAMESPACE", self.workload))?;
        let kind = match self.kind {
            Kind::Sidecar => "sidecar",
            Kind::Gateway => "router",
        };
        let address = self.addresses.first().context("no --address")?;
        let domain = format!("{namespace}.svc.{}", self.domain);
        let mut node = json!({
            "id": format!("{kind}~{address}~{name}.{namespace}~{domain}"),
            "cluster": format!("{name}.{namespace}"),
            "metadata": self.metadata(name, namespace)?,
        });
        if let Some(locality) = &self.locality {
            let mut parts = locality.splitn(3, '/');
            node["locality"] = json!({
                "region": parts.next().unwrap_or_default(),
                "zone": parts.next().unwrap_or_default(),
                "sub_zone": parts.next().unwrap_or_default(),
            });
        }
        Ok(node)
    }

    fn metadata(&self, name: &str, namespace: &str) -> anyhow::Result<Value> {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let interception = match self.interception {
            Interception::Redirect => "REDIRECT",
            Interception::Tproxy => "TPROXY",
            Interception::None => "NONE",
        };
        let mut metadata = Map::new();
        metadata.insert("NAME".into(), name.into());
        metadata.insert("NAMESPACE".into(), namespace.into());
        metadata.insert("ISTIO_VERSION".into(), ISTIO_VERSION.into());
        metadata.insert("INSTANCE_IPS".into(), addresses.join(",").into());
        metadata.insert("CLUSTER_ID".into(), self.cluster_id.as_str().into());
        metadata.insert("INTERCEPTION_MODE".into(), interception.into());
        metadata.insert("LABELS".into(), pairs(&self.labels)?.into());
        if let Some(account) = &self.service_account {
            metadata.insert("SERVICE_ACCOUNT".into(), account.as_str().into());
        }
        metadata.extend(pairs(&self.metadata)?);
        Ok(metadata.into())
    }

    fn xds_cluster(&self) -> Value {
        let host = self.xds_address.ip().to_string();
        json!({
            "name": "xds-grpc",
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {
                        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                    }},
                },
            },
            "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": socket(&host, self.xds_address.port())}},
            ]}]},
        })
    }
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn pairs(texts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let pair = |text: &String| {
        let (key, value) =
            text.split_once('=').with_context(|| format!("`{text}` is not KEY=VALUE"))?;
        Ok((key.to_owned(), value.into()))
    };
    texts.iter().map(pair).collect()
}
