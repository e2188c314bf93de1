//! Picks what a proxy serves: the ports of its own services, or those that a Sidecar lists.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use api::{
    Duration,
    istio::{
        gateway::ServerTlsMode,
        sidecar::{CaptureMode, IstioIngressListener},
        traffic_policy::ConnectionPoolSettings,
    },
};
use model::{Diagnostic, Interception, ObjectKey, Protocol, Proxy, Shared};
use snapshot::{Mesh, Reader, SidecarRecord};

use crate::{
    Client, codes,
    filters::HttpSettings,
    gateway::{Termination, parse_termination},
    inbound::{InboundEndpoint, InboundInput, InboundPort, InboundRetry},
    outbound::STATIC_PORTS,
    own_services::own_ports,
    peer::{PeerMode, PeerModes, select_peer_modes},
    security::select_security,
    telemetry::{Telemetry, select_inbound_telemetry},
    tls::MeshTls,
};

/// Number of loopback addresses over which connections to the application are spread.
///
/// All of them come from one address, so that the number of ports (28,232 by default) limits the
/// connections to one destination. Each further destination allows as many again. Only for
/// applications that listen on every address; Istio's way, and the default, is 1.
const SPREAD_SWITCH: &str = "MELTEMI_INBOUND_LOOPBACK_ADDRESSES";
const MAX_SPREAD: u8 = 64;
const MERGE_SWITCH: &str = "PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Selects the incoming side of one proxy. Policies choose it by all its labels, and services by
/// its addresses; of both, only what they come to is in the result.
pub fn select_inbound(proxy: &Proxy, client: &Client, reader: &Reader<'_>) -> InboundInput {
    let mut input = select_silent_inbound(proxy, client, reader);
    add_inbound_telemetry(&mut input, proxy, client, reader);
    input
}

/// Adds what an incoming side reports to one that reports nothing.
pub fn add_inbound_telemetry(
    input: &mut InboundInput,
    proxy: &Proxy,
    client: &Client,
    reader: &Reader<'_>,
) {
    let ports = input.ports.iter();
    let (telemetry, port_telemetry, found) = select_inbound_telemetry(proxy, client, ports, reader);
    input.findings.extend(found);
    (input.telemetry, input.port_telemetry) = (telemetry, port_telemetry);
}

/// Selects as [`select_inbound`] does, for a proxy that reports nothing.
pub fn select_silent_inbound(proxy: &Proxy, client: &Client, reader: &Reader<'_>) -> InboundInput {
    let mesh: &Mesh = reader.mesh();
    let sidecar = client
        .sidecar
        .as_ref()
        .and_then(|key| reader.sidecars(&key.namespace).iter().find(|record| record.key == *key));
    let peers = select_peer_modes(&proxy.namespace, &proxy.labels, reader);
    let mut selection = Selection {
        peers: &peers,
        proxy_addresses: &proxy.addresses,
        client,
        reader,
        mesh,
        pool: sidecar.and_then(|it| it.spec.inbound_connection_pool.clone()).map(Arc::new),
        ports: BTreeMap::new(),
        closed: BTreeSet::new(),
        findings: Vec::new(),
    };
    let listed = sidecar.filter(|record| !record.spec.ingress.is_empty());
    match listed {
        Some(record) => {
            // What the Sidecar lists comes first, and so wins.
            selection.add_ingress(record);
            if mesh.features.flag(MERGE_SWITCH, false) {
                selection.add_services();
            }
        }
        // Without redirection the application has its ports itself.
        None if client.interception == Interception::None => {}
        None => selection.add_services(),
    }
    let dual = client.ipv4 && client.ipv6 && mesh.features.flag("ISTIO_DUAL_STACK", false);
    let wildcards = std::iter::once(client.wildcard()).chain(dual.then_some("::"));
    InboundInput {
        ports: selection.ports.into_values().collect(),
        closed: selection.closed,
        findings: selection.findings,
        interception: client.interception,
        wildcards: wildcards.map(Arc::from).collect(),
        source: if client.wildcard() == "::" { "::6".into() } else { "127.0.0.6".into() },
        http: HttpSettings::new(client, mesh),
        inspection_timeout: mesh.config.protocol_detection_timeout,
        connect_timeout: mesh.config.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        retry: retry(mesh),
        security: select_security(&proxy.labels, client, reader),
        relayed: reader.fencing().gateway.is_some(),
        tls: MeshTls::new(mesh, client.sds),
        peers,
        telemetry: Shared::new(Telemetry::default()),
        port_telemetry: BTreeMap::new(),
    }
}

fn retry(mesh: &Mesh) -> Option<InboundRetry> {
    let default = || Arc::from("reset-before-request");
    let Some(written) = &mesh.config.default_inbound_http_retry_policy else {
        return Some(InboundRetry { attempts: 2, retry_on: default(), per_try_timeout: None });
    };
    let attempts = u32::try_from(written.attempts).ok().filter(|attempts| *attempts > 0)?;
    let retry_on = match written.retry_on.as_str() {
        "" => default(),
        conditions => conditions.into(),
    };
    Some(InboundRetry { attempts, retry_on, per_try_timeout: written.per_try_timeout })
}

struct Selection<'a> {
    proxy_addresses: &'a [IpAddr],
    client: &'a Client,
    reader: &'a Reader<'a>,
    mesh: &'a Mesh,
    peers: &'a PeerModes,
    /// Limits of ports that say nothing themselves.
    pool: Option<Arc<ConnectionPoolSettings>>,
    ports: BTreeMap<u16, InboundPort>,
    closed: BTreeSet<u16>,
    findings: Vec<Diagnostic>,
}

impl Selection<'_> {
    fn add_services(&mut self) {
        for own in own_ports(self.proxy_addresses, self.client, self.reader) {
            let (service, port, target) = (own.service, own.port, own.target);
            if port.protocol == Protocol::Udp {
                continue;
            }
            if STATIC_PORTS.contains(&target) {
                self.refuse(target, &service.origin, "the proxy itself uses the port");
                continue;
            }
            self.add(InboundPort {
                port: target,
                protocol: port.protocol,
                service_port: port.number,
                hostname: service.hostname().as_str().into(),
                bind: self.client.wildcard().into(),
                bound: false,
                endpoint: self.default_endpoint(target),
                pool: self.pool.clone(),
                tls: None,
                origin: service.origin.clone(),
            });
        }
    }

    fn add(&mut self, port: InboundPort) {
        if self.closed.contains(&port.port) {
            return;
        }
        match self.ports.entry(port.port) {
            Entry::Vacant(vacant) => {
                vacant.insert(port);
            }
            Entry::Occupied(kept) => {
                let kept = kept.get();
                if kept.protocol != port.protocol && kept.hostname != port.hostname {
                    let message = format!(
                        "port {} of the workload is already served as {:?} for {}",
                        port.port, kept.protocol, kept.hostname
                    );
                    let finding = codes::INBOUND_CONFLICT
                        .diagnostic(message)
                        .object(port.origin)
                        .hint("give both services the same protocol");
                    self.findings.push(finding);
                }
            }
        }
    }

    fn refuse(&mut self, port: u16, origin: &ObjectKey, why: &str) {
        let finding = codes::INBOUND_PORT.diagnostic(format!("no listener on {port}: {why}"));
        self.findings.push(finding.object(origin.clone()));
    }

    fn add_ingress(&mut self, record: &SidecarRecord) {
        for (index, ingress) in record.spec.ingress.iter().enumerate() {
            let Some(written) = &ingress.port else { continue };
            let Ok(port) = u16::try_from(written.number) else { continue };
            let bound = match ingress.capture_mode {
                CaptureMode::Default => self.client.interception == Interception::None,
                CaptureMode::Iptables => false,
                CaptureMode::None => true,
            };
            let bind = self.ingress_bind(ingress);
            if bound && self.client.unprivileged && port < 1024 {
                self.refuse(port, &record.key, "the proxy may not bind ports below 1024");
                continue;
            }
            if *bind == *self.client.wildcard() && STATIC_PORTS.contains(&port) {
                self.refuse(port, &record.key, "the proxy itself uses the port");
                continue;
            }
            let Some(endpoint) = self.ingress_endpoint(ingress, port, bound) else {
                let field = format!("spec.ingress[{index}].defaultEndpoint");
                let message = "the endpoint is not a port of this workload";
                let finding = codes::INBOUND_ENDPOINT.diagnostic(message);
                self.findings.push(finding.object(record.key.clone()).field(field));
                continue;
            };
            let Some(tls) = self.ingress_tls(record, index, port) else { continue };
            self.add(InboundPort {
                port,
                tls,
                protocol: Protocol::parse(&written.protocol),
                service_port: port,
                hostname: format!("{}.{}", record.key.name, record.key.namespace).into(),
                bind,
                bound,
                endpoint,
                pool: ingress.connection_pool.clone().map(Arc::new).or_else(|| self.pool.clone()),
                origin: record.key.clone(),
            });
        }
    }

    /// How a listener ends TLS itself. `None` closes the port: without its certificate it would take
    /// plain text.
    fn ingress_tls(
        &mut self,
        record: &SidecarRecord,
        index: usize,
        port: u16,
    ) -> Option<Option<Arc<Termination>>> {
        let Some(tls) = &record.spec.ingress[index].tls else { return Some(None) };
        let field = format!("spec.ingress[{index}].tls");
        if self.peers.of_port(port) != PeerMode::Disable {
            let message = format!("`tls` has no effect: port {port} takes mTLS of the mesh");
            let hint = "set `portLevelMtls` of a PeerAuthentication to `DISABLE` for the port";
            let finding = codes::INGRESS_TLS_IGNORED.diagnostic(message).hint(hint);
            self.findings.push(finding.object(record.key.clone()).field(field));
            return Some(None);
        }
        let mut notes = Vec::new();
        let parsed = match tls.mode {
            ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
                parse_termination(tls, self.mesh, self.client.sds, &mut notes)
            }
            ServerTlsMode::Passthrough
            | ServerTlsMode::AutoPassthrough
            | ServerTlsMode::IstioMutual => Err("the mode is one of gateways only".to_owned()),
        };
        for note in notes {
            let finding = codes::INGRESS_TLS_IGNORED.diagnostic(note).field(&field);
            self.findings.push(finding.object(record.key.clone()));
        }
        match parsed {
            Ok(termination) => Some(Some(Arc::new(termination))),
            Err(message) => {
                let hint = "use `SIMPLE` or `MUTUAL` with the paths of the files";
                let finding = codes::INGRESS_TLS_UNUSABLE.diagnostic(message).hint(hint);
                self.findings.push(finding.object(record.key.clone()).field(field));
                if !self.ports.contains_key(&port) {
                    self.closed.insert(port);
                }
                None
            }
        }
    }

    fn ingress_bind(&self, ingress: &IstioIngressListener) -> Arc<str> {
        let reached = |address: &&IpAddr| is_global_unicast(**address);
        match (ingress.bind.as_str(), self.proxy_addresses.iter().find(reached)) {
            ("", Some(address)) => address.to_string().into(),
            ("", None) => self.client.wildcard().into(),
            (bind, _) => bind.into(),
        }
    }

    /// `None` if the endpoint is not one that a Sidecar may name.
    fn ingress_endpoint(
        &self,
        ingress: &IstioIngressListener,
        port: u16,
        bound: bool,
    ) -> Option<InboundEndpoint> {
        let written = ingress.default_endpoint.as_str();
        if written.is_empty() {
            // The original destination of a bound listener is the listener.
            return Some(match bound {
                true => at(self.client.loopback().into(), port),
                false => self.default_endpoint(port),
            });
        }
        if let Some(path) = written.strip_prefix("unix://") {
            return Some(InboundEndpoint::Unix(path.into()));
        }
        let (host, port) = written.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let own = |wanted: fn(&IpAddr) -> bool| {
            let found = self.proxy_addresses.iter().find(|address| wanted(address));
            found.map(|address| at(address.to_string().into(), port))
        };
        match host {
            "127.0.0.1" => Some(at("127.0.0.1".into(), port)),
            "[::1]" | "::1" => Some(at("::1".into(), port)),
            "0.0.0.0" => own(IpAddr::is_ipv4),
            "[::]" | "::" => own(IpAddr::is_ipv6),
            _ => None,
        }
    }

    /// Where a port of the application is, by the settings of the mesh.
    fn default_endpoint(&self, port: u16) -> InboundEndpoint {
        let spread = self.mesh.features.0.get(SPREAD_SWITCH).and_then(|text| text.parse().ok());
        let spread: u8 = spread.unwrap_or(1).clamp(1, MAX_SPREAD);
        let loopback = self.client.loopback();
        if spread > 1 && loopback == "127.0.0.1" {
            let addresses = (1..=spread).map(|last| format!("127.0.0.{last}").into()).collect();
            return InboundEndpoint::Addresses { addresses, port };
        }
        match self.mesh.inbound_localhost {
            true => at(loopback.into(), port),
            false => InboundEndpoint::OriginalDestination,
        }
    }
}

/// Whether other hosts may reach the address.
fn is_global_unicast(address: IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(special || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

fn at(address: Arc<str>, port: u16) -> InboundEndpoint {
    InboundEndpoint::Addresses { addresses: vec![address], port }
}
