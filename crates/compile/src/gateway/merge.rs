//! The servers of many Gateways → the ports of one proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::istio::gateway::{Server, ServerTlsMode};
use model::{Diagnostic, Diagnostics, Protocol, Shared};
use snapshot::{GatewayRecord, Mesh, Reader};

use super::{
    GatewayPort, GatewayScope, GatewayServer, OwnPorts, PortKind, ServerTls, conflict::PortClaims,
    hosts::parse_hosts, rules::bound_rules, server_tls::parse_termination,
};
use crate::{Client, codes};

/// Only Gateways of the proxy's own namespace select it.
const NAMESPACE_SWITCH: &str = "PILOT_SCOPE_GATEWAY_TO_NAMESPACE";

/// Why a server is left out; its field is below the server.
pub(super) type Refusal = Box<Diagnostic>;

/// Selects and merges the Gateways of a class.
pub fn select_gateways(client: &Client, own_ports: &OwnPorts, reader: &Reader<'_>) -> GatewayScope {
    let mesh: &Mesh = reader.mesh();
    let own_only = mesh.features.flag(NAMESPACE_SWITCH, false);
    let mut merge = Merge {
        client,
        own_ports,
        mesh,
        claims: BTreeMap::new(),
        ports: BTreeMap::new(),
        diagnostics: Diagnostics::default(),
    };
    let mut names = BTreeSet::new();
    for record in reader.gateways().iter() {
        let near = !own_only || record.key.namespace == client.namespace;
        if near && record.selector.selects(&client.labels) {
            let name: Arc<str> = format!("{}/{}", record.key.namespace, record.key.name).into();
            for (index, server) in record.spec.servers.iter().enumerate() {
                merge.add(&Written { record, name: &name, index, server });
            }
            names.insert(name);
        }
    }
    GatewayScope {
        ports: merge.ports.into_values().flatten().collect(),
        rules: bound_rules(&names, client, reader),
        diagnostics: merge.diagnostics,
    }
}

/// A server as it stands in a Gateway.
struct Written<'a> {
    record: &'a GatewayRecord,
    /// `namespace/name`.
    name: &'a Arc<str>,
    index: usize,
    server: &'a Server,
}

impl Written<'_> {
    /// Completes a finding whose field is below the server.
    fn finding(&self, finding: Diagnostic) -> Diagnostic {
        let field = match finding.field.as_str() {
            "" => format!("spec.servers[{}]", self.index),
            below => format!("spec.servers[{}].{below}", self.index),
        };
        finding.object(self.record.key.clone()).field(field)
    }
}

struct Merge<'a> {
    client: &'a Client,
    own_ports: &'a OwnPorts,
    mesh: &'a Mesh,
    /// By port number, whatever the address.
    claims: BTreeMap<u16, PortClaims>,
    /// By address and port; more than one where plain HTTP follows TLS.
    ports: BTreeMap<(Arc<str>, u16), Vec<GatewayPort>>,
    diagnostics: Diagnostics,
}

impl Merge<'_> {
    fn add(&mut self, written: &Written<'_>) {
        match self.place(written) {
            Ok(()) => {}
            Err(finding) => self.diagnostics.push(written.finding(*finding)),
        }
    }

    /// Gives the server its port, or says why it has none.
    fn place(&mut self, written: &Written<'_>) -> Result<(), Refusal> {
        let port = written.server.port.as_ref();
        let number = port.and_then(|port| u16::try_from(port.number).ok()).unwrap_or_default();
        let number = match number {
            0 => return Err(codes::GATEWAY_PORT.diagnostic("a server has no port").into()),
            number => number,
        };
        let target = self.own_ports.translate(number);
        if self.client.unprivileged && target < 1024 {
            let message = format!("no listener on {target}: the proxy may not bind it");
            let hint = "give a Service of the gateway a `targetPort` of 1024 or more";
            return Err(codes::GATEWAY_PORT.diagnostic(message).field("port").hint(hint).into());
        }
        let server = self.read(written, number)?;
        let bind: Arc<str> = match written.server.bind.as_str() {
            "" => self.client.wildcard().into(),
            bind => bind.into(),
        };
        let kind = kind_of(&server, target, &written.server.bind);
        let claims = self.claims.entry(target).or_insert_with(|| PortClaims::new(target));
        claims.claim(&server, written.server)?;
        let ports = self.ports.entry((bind.clone(), target)).or_default();
        match ports.iter().position(|port| port.kind == kind && kind != PortKind::Tcp) {
            Some(index) => ports[index].servers.push(server),
            // Two chains without a condition cannot be told apart.
            None if kind != PortKind::Tls && ports.iter().any(|it| it.kind != PortKind::Tls) => {
                return Err(claims.taken());
            }
            None => {
                let further_binds = further_binds(written.server, self.client, self.mesh);
                let servers = vec![server];
                ports.push(GatewayPort { bind, further_binds, number: target, kind, servers });
            }
        }
        Ok(())
    }

    fn read(&mut self, written: &Written<'_>, number: u16) -> Result<GatewayServer, Refusal> {
        let text = written.server.port.as_ref().map(|port| port.protocol.as_str());
        let protocol = Protocol::parse(text.unwrap_or_default());
        if protocol == Protocol::Udp {
            let finding = codes::GATEWAY_PORT.diagnostic("a gateway does not forward UDP");
            return Err(finding.field("port.protocol").into());
        }
        Ok(GatewayServer {
            gateway: written.name.clone(),
            origin: written.record.key.clone(),
            port: number,
            protocol,
            name: written.server.name.as_str().into(),
            hosts: parse_hosts(&written.server.hosts, &written.record.key.namespace),
            https_redirect: written.server.tls.as_ref().is_some_and(|tls| tls.https_redirect),
            tls: self.read_tls(written, protocol, number)?,
        })
    }

    fn read_tls(
        &mut self,
        written: &Written<'_>,
        protocol: Protocol,
        number: u16,
    ) -> Result<ServerTls, Refusal> {
        // On plain HTTP the settings say only whether requests are sent on to HTTPS.
        let Some(tls) = written.server.tls.as_ref().filter(|_| !protocol.is_http()) else {
            return Ok(ServerTls::None);
        };
        match tls.mode {
            ServerTlsMode::Passthrough => return Ok(ServerTls::Passthrough),
            ServerTlsMode::AutoPassthrough => return Ok(ServerTls::AutoPassthrough),
            ServerTlsMode::Simple
            | ServerTlsMode::Mutual
            | ServerTlsMode::OptionalMutual
            | ServerTlsMode::IstioMutual => {}
        }
        let mut notes = Vec::new();
        let settings = parse_termination(tls, self.mesh, self.client.sds, &mut notes);
        let settings = settings.map_err(|message| {
            let hint = "set `credentialName`, or the paths of the files";
            Box::new(codes::GATEWAY_TLS_UNUSABLE.diagnostic(message).field("tls").hint(hint))
        })?;
        for note in notes {
            let finding = codes::GATEWAY_TLS_LIMITED.diagnostic(note).field("tls");
            self.diagnostics.push(written.finding(finding));
        }
        let route =
            (protocol == Protocol::Https).then(|| https_route(written, number)).map(Arc::from);
        Ok(ServerTls::Terminate { settings: Shared::new(settings), route })
    }
}

fn kind_of(server: &GatewayServer, target: u16, bind: &str) -> PortKind {
    match (&server.tls, server.protocol.is_http()) {
        (ServerTls::None, true) => {
            PortKind::Http { route: format!("http.{target}{}", suffix(bind)).into() }
        }
        (ServerTls::None, false) => PortKind::Tcp,
        (ServerTls::Terminate { .. } | ServerTls::Passthrough | ServerTls::AutoPassthrough, _) => {
            PortKind::Tls
        }
    }
}

/// `https.443.https-shop.gateway.istio-system`.
fn https_route(written: &Written<'_>, number: u16) -> String {
    let port_name = written.server.port.as_ref().map(|port| port.name.as_str()).unwrap_or_default();
    let key = &written.record.key;
    let bind = suffix(&written.server.bind);
    format!("https.{number}.{port_name}.{}.{}{bind}", key.name, key.namespace)
}

fn suffix(bind: &str) -> String {
    if bind.is_empty() { String::new() } else { format!(".{bind}") }
}

fn further_binds(server: &Server, client: &Client, mesh: &Mesh) -> Vec<Arc<str>> {
    let dual = server.bind.is_empty() && client.ipv4 && client.ipv6;
    match dual && mesh.features.flag("ISTIO_DUAL_STACK", false) {
        true => vec!["::".into()],
        false => Vec::new(),
    }
}

impl GatewayServer {
    /// The route configuration of its own, if it ends TLS and speaks HTTP inside.
    pub(super) fn route(&self) -> Option<&Arc<str>> {
        match &self.tls {
            ServerTls::Terminate { route, .. } => route.as_ref(),
            ServerTls::None | ServerTls::Passthrough | ServerTls::AutoPassthrough => None,
        }
    }
}
