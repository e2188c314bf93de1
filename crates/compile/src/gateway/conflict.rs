//! Who may share a port of a gateway: the rules by which Istio merges the servers of many Gateways.
//!
//! - The number counts, whatever the address: the first server decides what may follow.
//! - After plain HTTP comes only plain HTTP; after other plain servers comes nothing; at other
//!   addresses comes anything.
//! - After TLS comes TLS, and one plain server for each address, as Istio has it: its connections
//!   are told from the others by their server names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::istio::gateway::Server;
use model::Protocol;

use super::{GatewayServer, ServerHost, ServerTls, merge::Refusal};
use crate::codes;

/// What is taken of one port number.
pub(super) struct PortClaims {
    number: u16,
    first: Option<First>,
    /// Hosts of servers with a `tls` section.
    tls_hosts: BTreeMap<ServerHost, HostOwner>,
    routes: BTreeSet<Arc<str>>,
    /// Addresses, as written, of the servers that came after a first one with TLS.
    later_binds: BTreeSet<String>,
}

/// Who has a host, and at which address, as written.
struct HostOwner {
    gateway: Arc<str>,
    bind: String,
}

/// The server that was first on a port number.
struct First {
    gateway: Arc<str>,
    bind: String,
    protocol: Protocol,
    encrypted: bool,
}

impl PortClaims {
    pub(super) fn new(number: u16) -> Self {
        Self {
            number,
            first: None,
            tls_hosts: BTreeMap::new(),
            routes: BTreeSet::new(),
            later_binds: BTreeSet::new(),
        }
    }

    /// Takes the port for a further server, or says why it cannot have it.
    pub(super) fn claim(
        &mut self,
        server: &GatewayServer,
        written: &Server,
    ) -> Result<(), Refusal> {
        if written.tls.is_some() {
            self.claim_hosts(server, &written.bind)?;
        }
        let encrypted = server.tls != ServerTls::None;
        let Some(first) = &self.first else {
            self.first = Some(First {
                gateway: server.gateway.clone(),
                bind: written.bind.clone(),
                protocol: server.protocol,
                encrypted,
            });
            return self.claim_route(server);
        };
        if first.encrypted {
            self.claim_route(server)?;
            let new_bind = self.later_binds.insert(written.bind.clone());
            return if encrypted || new_bind { Ok(()) } else { Err(self.taken()) };
        }
        let both_http = first.protocol.is_http() && server.protocol.is_http();
        if first.bind == written.bind && !both_http {
            return Err(self.taken());
        }
        self.claim_route(server)
    }

    /// The finding for a server that cannot share the port.
    pub(super) fn taken(&self) -> Refusal {
        let owner = self.first.as_ref().map(|first| &*first.gateway).unwrap_or_default();
        let message = format!("port {} is already used by `{owner}`", self.number);
        let hint = "only plain HTTP servers, or only TLS servers, can share a port";
        codes::GATEWAY_CONFLICT.diagnostic(message).field("port").hint(hint).into()
    }

    /// One host is enough to refuse a server: its chains would match the same server name.
    fn claim_hosts(&mut self, server: &GatewayServer, bind: &str) -> Result<(), Refusal> {
        for host in &server.hosts {
            if let Some(owner) = self.tls_hosts.get(host).filter(|owner| owner.bind == bind) {
                let message = format!("`{}` already has the host `{}`", owner.gateway, host.host);
                return Err(codes::GATEWAY_CONFLICT.diagnostic(message).field("hosts").into());
            }
        }
        for host in &server.hosts {
            let owner = HostOwner { gateway: server.gateway.clone(), bind: bind.to_owned() };
            self.tls_hosts.insert(host.clone(), owner);
        }
        Ok(())
    }

    /// Each HTTPS server has a route configuration of its own.
    fn claim_route(&mut self, server: &GatewayServer) -> Result<(), Refusal> {
        let Some(route) = server.route() else { return Ok(()) };
        if self.routes.insert(route.clone()) {
            return Ok(());
        }
        let hint = "give each HTTPS server a port name of its own";
        let message = "another server of the Gateway has the same port name";
        Err(codes::GATEWAY_CONFLICT.diagnostic(message).field("port.name").hint(hint).into())
    }
}
