//! `bootstrap`: what a stock Envoy, or gRPC's own client, needs to find the control plane and to
//! say who it is; and what an application needs to find the ports of its dependencies.
//!
//! - What the files of `--config` say of the workload is used where no argument says otherwise.
//! - Not here: what the proxy is sent once it is connected (`push`).

mod dependencies;
mod envoy;
mod node;
mod proof;
mod stats;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Value, json};

pub(crate) use self::proof::write_secrets;
use self::{envoy::XdsAddress, node::Known};
use crate::{
    environment::Environment,
    output::{Exit, Failure, Format, Screen},
    path::require_readable,
};

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
    /// No Envoy: an application whose gRPC library reads xDS (`GRPC_XDS_BOOTSTRAP`).
    Grpc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Interception {
    Redirect,
    Tproxy,
    None,
}

/// Print the bootstrap of a workload: for the Envoy beside it, or for its gRPC library.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi bootstrap --workload cart-1.shop --address 10.0.0.7 > envoy.json
  meltemi bootstrap --workload edge.shop --kind gateway --label istio=ingressgateway
  meltemi bootstrap --workload cart-1.shop --config ./mesh --admin-port 0 -o yaml
  meltemi bootstrap --workload cart-1.shop --xds-address istiod.istio-system.svc:15012 \
    --proof ./cart > envoy.json
  meltemi bootstrap --workload web-1.shop --kind grpc > grpc.json
  meltemi bootstrap --workload cart-1.shop --config ./mesh --mesh-config-json > mesh-config.json

Exit codes: 0 done, 64 wrong usage, 65 a file cannot be read")]
pub(crate) struct Bootstrap {
    /// Name and namespace, as `cart-7f9c.shop`.
    #[arg(long)]
    workload: String,
    #[arg(long, value_enum, default_value_t = Kind::Sidecar)]
    kind: Kind,
    /// Folder or file with objects: the workload's Pod or WorkloadEntry is looked for there.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    config: Vec<PathBuf>,
    /// File with a `MeshConfig`; wins over a ConfigMap called `istio`.
    #[arg(long, requires = "config")]
    mesh_config: Option<PathBuf>,
    /// Address of the workload; the first of several is the main one. By default that of its
    /// object, else 127.0.0.1.
    #[arg(long = "address")]
    addresses: Vec<IpAddr>,
    /// Label of the workload, `key=value`. May be given several times.
    #[arg(long = "label")]
    labels: Vec<String>,
    /// Further node metadata, `KEY=value`; a value that begins with `{` or `[` is JSON.
    #[arg(long = "metadata")]
    metadata: Vec<String>,
    #[arg(long)]
    service_account: Option<String>,
    /// `region/zone/subzone`.
    #[arg(long)]
    locality: Option<String>,
    /// Network of the workload, where networks do not reach each other directly.
    #[arg(long)]
    network: Option<String>,
    /// Machine that the workload runs on.
    #[arg(long)]
    node_name: Option<String>,
    #[arg(long, value_enum, default_value_t = Interception::Redirect)]
    interception: Interception,
    #[arg(long, value_enum, default_value_t = Protocol::Delta)]
    protocol: Protocol,
    /// Address of the control plane, `host:port`.
    #[arg(long, default_value = "127.0.0.1:15010")]
    xds_address: XdsAddress,
    /// File with the authorities (PEM) that the control plane is trusted by; with it, TLS is used.
    #[arg(long, alias = "root")]
    xds_ca: Option<PathBuf>,
    /// Name that the certificate of the control plane must have; by default its host.
    #[arg(long)]
    xds_server_name: Option<String>,
    /// Folder written by `meltemi identity issue`, by which the proxy proves who it is and knows the
    /// control plane. What is renewed in it is used without a restart.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["certificate", "token_file", "xds_ca"])]
    proof: Option<PathBuf>,
    /// File with the certificate (PEM) by which the proxy proves who it is; it is read once.
    #[arg(long, requires = "key", requires = "xds_ca")]
    certificate: Option<PathBuf>,
    /// File with the key (PEM) of the certificate.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// File with the bearer token by which the proxy proves who it is. The token itself is printed.
    #[arg(long, conflicts_with = "certificate")]
    token_file: Option<PathBuf>,
    /// Port of Envoy's own admin page on 127.0.0.1; 0 picks one.
    #[arg(long, default_value_t = 15000)]
    admin_port: u16,
    /// Port on all addresses where Prometheus reads Envoy's metrics; 0 for none. By default 15090,
    /// or none where the admin port is 0.
    #[arg(long)]
    stats_port: Option<u16>,
    /// Have Envoy make all of its own metrics, and not only those that the mesh or the annotations
    /// of the Pod ask for (`proxyStatsMatcher`, `sidecar.istio.io/statsInclusionPrefixes`) and a few.
    #[arg(long)]
    all_stats: bool,
    /// Leave out the module by which Istio's standard metrics have Istio's names: for an Envoy that is
    /// built without V8, which would not start with it.
    #[arg(long)]
    without_wasm: bool,
    /// Address of the machine, for an agent there that takes traces and logs (`$(HOST_IP)`).
    #[arg(long, env = "HOST_IP")]
    host_ip: Option<IpAddr>,
    /// Port of that agent. May be given several times.
    #[arg(long = "node-agent-port")]
    node_agent_ports: Vec<u16>,
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    #[arg(long, default_value = "Kubernetes")]
    cluster_id: String,
    /// Print `mesh-config.json` instead: the local port of each dependency that a Sidecar binds.
    #[arg(long, requires = "config")]
    mesh_config_json: bool,
    #[arg(short, long, default_value = "json", value_parser = Format::among(&[Format::Json, Format::Yaml]))]
    pub(crate) output: Format,
}

impl Bootstrap {
    pub(crate) fn run(
        self,
        environment: &Environment,
        screen: &mut Screen<'_>,
    ) -> anyhow::Result<Exit> {
        let proofs = [&self.certificate, &self.key, &self.token_file, &self.proof];
        let read = self.config.iter().chain(&self.mesh_config);
        for path in read.chain(proofs.into_iter().flatten()) {
            require_readable(path, "bootstrap-unreadable-hint", screen)?;
        }
        let mesh = node::Mesh::load(&self, environment);
        let known = match self.workload_name() {
            Some((name, namespace)) => mesh.find(name, namespace),
            None => {
                let words = [("workload", self.workload.as_str().into())];
                let message = screen.text("bootstrap-workload", &words);
                return Err(Failure::new(Exit::Usage, message).into());
            }
        };
        let rendered = match self.mesh_config_json {
            true => dependencies::render(&self.proxy(&known)?, &mesh),
            false => self.render(&known)?,
        };
        screen.structured(self.output, &rendered)?;
        Ok(Exit::Done)
    }

    /// Name and namespace.
    fn workload_name(&self) -> Option<(&str, &str)> {
        let (name, namespace) = self.workload.rsplit_once('.')?;
        (!name.is_empty() && !namespace.is_empty()).then_some((name, namespace))
    }

    fn render(&self, known: &Known) -> anyhow::Result<Value> {
        let node = self.node(known)?;
        Ok(match self.kind {
            Kind::Sidecar | Kind::Gateway => self.render_envoy(node, known)?,
            Kind::Grpc => json!({
                "xds_servers": [{
                    "server_uri": self.xds_address.to_string(),
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }],
                "node": node,
            }),
        })
    }
}

/// `key=value` pairs.
fn pairs(texts: &[String]) -> anyhow::Result<Vec<(&str, &str)>> {
    let pair =
        |text: &'_ String| text.find('=').with_context(|| format!("`{text}` is not KEY=VALUE"));
    texts.iter().map(|text| pair(text).map(|at| (&text[..at], &text[at + 1..]))).collect()
}

/// An absolute path, since Envoy is seldom started where the bootstrap was made.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)
        .with_context(|| format!("failed to find `{}`", path.display()))?;
    Ok(path.display().to_string())
}
