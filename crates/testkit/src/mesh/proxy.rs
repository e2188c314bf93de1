//! A proxy of the mesh: whom its bootstrap says that it is.

use std::{
    ffi::OsStr,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Map, Value};

use super::IdentityFiles;
use crate::{EnvoyProcess, envoy_process::EnvoySettings, ports};

/// A loaded machine has a proxy configured in well under this.
const START: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// Without interception: its listeners are bound.
    Sidecar,
    /// A sidecar that expects redirected connections.
    RedirectedSidecar,
    Gateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    Delta,
    Sotw,
}

/// What `meltemi bootstrap` is told of a proxy.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    pub workload: String,
    pub kind: ProxyKind,
    pub protocol: ProxyProtocol,
    pub address: IpAddr,
    /// `key=value`.
    pub labels: Vec<String>,
    /// `region/zone/subzone`.
    pub locality: Option<String>,
    /// The service account that it proves to be, in a mesh with an authority.
    pub identity: Option<String>,
    /// The agent on its machine.
    pub node_agent: Option<SocketAddr>,
    /// Where Prometheus reads its metrics: those of an ordinary proxy. One without a port has all
    /// that Envoy can make, for tests that look inside.
    pub stats_port: Option<u16>,
    /// Further node metadata, `KEY=value`.
    pub metadata: Vec<String>,
    /// How long a listener that went away drains.
    pub drain: Duration,
    /// Fields of the node that stand in place of the printed ones.
    pub node: Map<String, Value>,
}

impl ProxySettings {
    /// A sidecar over delta xDS with a loopback address of its own. `workload` is `name.namespace`;
    /// the name is also its label `app`.
    #[must_use]
    pub fn sidecar(workload: &str) -> Self {
        let app = workload.split('.').next().unwrap_or(workload);
        Self {
            workload: workload.to_owned(),
            kind: ProxyKind::Sidecar,
            protocol: ProxyProtocol::Delta,
            address: ports::loopback_address(),
            labels: vec![format!("app={app}")],
            locality: None,
            identity: None,
            node_agent: None,
            stats_port: None,
            metadata: Vec::new(),
            drain: Duration::from_secs(2),
            node: Map::new(),
        }
    }

    /// A gateway, with the labels of [`Self::sidecar`].
    #[must_use]
    pub fn gateway(workload: &str) -> Self {
        Self { kind: ProxyKind::Gateway, ..Self::sidecar(workload) }
    }

    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.labels.push(label.to_owned());
        self
    }

    #[must_use]
    pub fn locality(mut self, locality: &str) -> Self {
        self.locality = Some(locality.to_owned());
        self
    }

    /// Proves by a certificate that it is this service account of its namespace.
    #[must_use]
    pub fn identity(mut self, service_account: &str) -> Self {
        self.identity = Some(service_account.to_owned());
        self
    }

    #[must_use]
    pub fn metadata(mut self, pair: &str) -> Self {
        self.metadata.push(pair.to_owned());
        self
    }

    #[must_use]
    pub fn protocol(mut self, protocol: ProxyProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub(super) async fn start(
        &self,
        binary: &Path,
        xds: SocketAddr,
        identity: Option<&IdentityFiles>,
    ) -> Result<EnvoyProcess> {
        let mut envoy = self.envoy(binary, xds, identity)?.start().await?;
        envoy.wait_ready(START).await?;
        Ok(envoy)
    }

    /// How the proxy's Envoy is started: with the bootstrap that `binary` prints.
    pub fn envoy(
        &self,
        binary: &Path,
        xds: SocketAddr,
        identity: Option<&IdentityFiles>,
    ) -> Result<EnvoySettings> {
        // What serves the metrics asks the admin port, so that it must be known beforehand.
        let admin_port = if self.stats_port.is_some() { ports::free_port() } else { 0 };
        let bootstrap = self.bootstrap(binary, xds, admin_port, identity)?;
        Ok(EnvoySettings { drain: self.drain, admin_port, ..EnvoySettings::new(&bootstrap) })
    }

    /// The bootstrap that the binary prints.
    fn bootstrap(
        &self,
        binary: &Path,
        xds: SocketAddr,
        admin_port: u16,
        identity: Option<&IdentityFiles>,
    ) -> Result<String> {
        let (kind, interception) = match self.kind {
            ProxyKind::Sidecar => ("sidecar", "none"),
            ProxyKind::RedirectedSidecar => ("sidecar", "redirect"),
            ProxyKind::Gateway => ("gateway", "redirect"),
        };
        let protocol = match self.protocol {
            ProxyProtocol::Delta => "delta",
            ProxyProtocol::Sotw => "sotw",
        };
        let stats =
            self.stats_port.iter().flat_map(|it| ["--stats-port".to_owned(), it.to_string()]);
        let all_stats = self.stats_port.is_none().then_some("--all-stats");
        let metadata = self.metadata.iter().flat_map(|pair| ["--metadata", pair]);
        let labels = self.labels.iter().flat_map(|label| ["--label", label]);
        let locality = self.locality.iter().flat_map(|locality| ["--locality", locality]);
        let account = self.identity.iter().flat_map(|it| ["--service-account", it]);
        let proof = identity.into_iter().flat_map(|IdentityFiles { certificate, key, roots }| {
            let files = [("--certificate", certificate), ("--key", key), ("--xds-ca", roots)];
            files.into_iter().flat_map(|(flag, path)| [OsStr::new(flag), path.as_os_str()])
        });
        let agent = self.node_agent.iter().flat_map(|agent| {
            let (ip, port) = (agent.ip().to_string(), agent.port().to_string());
            ["--host-ip".to_owned(), ip, "--node-agent-port".to_owned(), port]
        });
        let output = Command::new(binary)
            .args(["bootstrap", "--workload", &self.workload, "--kind", kind])
            .args(["--interception", interception, "--protocol", protocol])
            .args(["--address", &self.address.to_string()])
            .args(["--xds-address", &xds.to_string()])
            .args(["--admin-port", &admin_port.to_string()])
            .args(stats)
            .args(all_stats)
            .args(metadata)
            .args(labels)
            .args(locality)
            .args(account)
            .args(agent)
            .args(proof)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "meltemi bootstrap failed: {said}");
        let mut bootstrap: Value = serde_json::from_slice(&output.stdout)?;
        for (field, value) in &self.node {
            bootstrap["node"][field] = value.clone();
        }
        Ok(bootstrap.to_string())
    }
}
