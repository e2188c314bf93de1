//! The servers of many Gateways → the ports of one proxy.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use api::istio::gateway::{Server, ServerTlsMode};
use model::{Diagnostic, Diagnostics, Protocol, Shared};
use snapshot::{GatewayRecord, Mesh, Reader};

use super::{
    CONFLICT, GatewayPort, GatewayScope, GatewayServer, LIMITED_TLS, OwnPorts, PORT_REFUSED,
    PortKind, ServerTls, UNUSABLE_TLS, hosts::parse_hosts, rules::bound_rules,
    server_tls::parse_termination,
};
use crate::Client;

/// Only Gateways of the proxy's own namespace select it.
const NAMESPACE_SWITCH: &str = "PILOT_SCOPE_GATEWAY_TO_NAMESPACE";

/// Why a server is left out; its field is below the server.
type Refusal = Box<Diagnostic>;

/// Selects and merges the Gateways of a class.
pub fn select_gateways(client: &Client, own_ports: &OwnPorts, reader: &Reader<'_>) -> GatewayScope {
    let mesh: &Mesh = reader.mesh();
    let own_only = mesh.features.flag(NAMESPACE_SWITCH, false);
    let mut merge = Merge {
        client,
        own_ports,
        mesh,
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
        ports: merge.ports.into_values().collect(),
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
    ports: BTreeMap<(Arc<str>, u16), GatewayPort>,
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
            0 => return Err(Diagnostic::error(PORT_REFUSED, "a server has no port").into()),
            number => number,
        };
        let target = self.own_ports.translate(number);
        if self.client.unprivileged && target < 1024 {
            let message = format!("no listener on {target}: the proxy may not bind it");
            let hint = "give a Service of the gateway a `targetPort` of 1024 or more";
            return Err(Diagnostic::warning(PORT_REFUSED, message).field("port").hint(hint).into());
        }
        let server = self.read(written, number)?;
        let bind: Arc<str> = match written.server.bind.as_str() {
            "" => self.client.wildcard().into(),
            bind => bind.into(),
        };
        let kind = kind_of(&server, target, &written.server.bind);
        match self.ports.entry((bind.clone(), target)) {
            Entry::Vacant(vacant) => {
                let further_binds = further_binds(written.server, self.client, self.mesh);
                let servers = vec![server];
                vacant.insert(GatewayPort { bind, further_binds, number: target, kind, servers });
            }
            Entry::Occupied(mut taken) => {
                check_conflict(taken.get(), &kind, &server)?;
                taken.get_mut().servers.push(server);
            }
        }
        Ok(())
    }

    fn read(&mut self, written: &Written<'_>, number: u16) -> Result<GatewayServer, Refusal> {
        let text = written.server.port.as_ref().map(|port| port.protocol.as_str());
        let protocol = Protocol::parse(text.unwrap_or_default());
        if protocol == Protocol::Udp {
            let finding = Diagnostic::error(PORT_REFUSED, "a gateway does not forward UDP");
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
        let settings = parse_termination(tls, self.mesh, &mut notes).map_err(|message| {
            let hint = "set `credentialName`, or the paths of the files";
            Box::new(Diagnostic::error(UNUSABLE_TLS, message).field("tls").hint(hint))
        })?;
        for note in notes {
            let finding = Diagnostic::warning(LIMITED_TLS, note).field("tls");
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

/// Whether a further server may share the port.
fn check_conflict(
    taken: &GatewayPort,
    kind: &PortKind,
    server: &GatewayServer,
) -> Result<(), Refusal> {
    let owner = taken.servers.first().map(|it| it.gateway.clone()).unwrap_or_default();
    match (&taken.kind, kind) {
        (PortKind::Http { .. }, PortKind::Http { .. }) => Ok(()),
        (PortKind::Tls, PortKind::Tls) => check_tls_conflict(taken, server),
        (PortKind::Http { .. } | PortKind::Tcp | PortKind::Tls, _) => {
            let message = format!("port {} is already used by `{owner}`", taken.number);
            let hint = "only plain HTTP servers, or only TLS servers, can share a port";
            Err(Diagnostic::warning(CONFLICT, message).field("port").hint(hint).into())
        }
    }
}

fn check_tls_conflict(taken: &GatewayPort, server: &GatewayServer) -> Result<(), Refusal> {
    for other in &taken.servers {
        if let Some(same) = server.hosts.iter().find(|host| other.hosts.contains(host)) {
            let message = format!("`{}` already has the host `{}`", other.gateway, same.host);
            return Err(Diagnostic::warning(CONFLICT, message).field("hosts").into());
        }
        if server.route().is_some() && server.route() == other.route() {
            let hint = "give each HTTPS server a port name of its own";
            let message = "another server of the Gateway has the same port name";
            let finding = Diagnostic::warning(CONFLICT, message).field("port.name");
            return Err(finding.hint(hint).into());
        }
    }
    Ok(())
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
