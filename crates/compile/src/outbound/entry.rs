//! The listeners that have been planned so far, and what happens when a further service wants one.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use model::{Diagnostic, Diagnostics, ObjectKey, Protocol};

use crate::{
    codes,
    filters::TcpRoute,
    names,
    outbound::{Capture, ChainAction, ChainInput, ChainMatch, ServerNameRoute, TransportProtocol},
};

/// What one service asks of a listener.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub bind: Arc<str>,
    pub port: u16,
    pub capture: Capture,
    pub protocol: Protocol,
    pub chains: Vec<ChainInput>,
    pub pod: Option<IpAddr>,
    pub origin: ObjectKey,
}

/// A listener in the making.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `Unsupported` where HTTP and bytes are told apart by inspection.
    pub protocol: Protocol,
    pub capture: Capture,
    pub chains: Vec<ChainInput>,
    pub pod: Option<IpAddr>,
    /// TLS is looked at although no chain asks for it.
    pub inspects_tls: bool,
    /// It is there for services that may be asked for, and no service has added to it.
    is_open: bool,
    locked: bool,
}

/// All of them, by address and port.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    pub map: BTreeMap<(Arc<str>, u16), Entry>,
    pub diagnostics: Diagnostics,
}

impl Entries {
    /// From now on nothing is added to the listeners that are there.
    pub(super) fn lock(&mut self) {
        for entry in self.map.values_mut() {
            entry.locked = true;
        }
    }

    /// Whether a service of this protocol has nothing to add, so that its chains need not be made.
    pub(super) fn is_settled(&self, bind: &Arc<str>, port: u16, protocol: Protocol) -> bool {
        let Some(entry) = self.map.get(&(bind.clone(), port)) else { return false };
        let shared = !entry.protocol.is_tcp() && protocol.is_http();
        let both = [entry.protocol, protocol];
        let sniffed = both.iter().all(|it| it.is_unsupported()) && !entry.is_bound_and_open();
        entry.locked || (shared && protocol != Protocol::HttpProxy) || sniffed
    }

    /// Adds a service, oldest first.
    pub(super) fn add(&mut self, request: Request) {
        let key = (request.bind.clone(), request.port);
        let Some(current) = self.map.get_mut(&key) else {
            self.map.insert(key, Entry::new(request));
            return;
        };
        if current.locked {
            return;
        }
        let both = [current.protocol, request.protocol];
        let exclusive = both.iter().any(|it| matches!(it, Protocol::Mongo | Protocol::Mysql));
        if exclusive && current.protocol != request.protocol {
            // Where the server speaks first, waiting for the caller's first bytes is fatal.
            self.diagnostics.push(conflict(&request, "its protocol cannot be told from theirs"));
            return;
        }
        let takes_bytes = current.protocol.is_http() || current.is_bound_and_open();
        let replaces = request.protocol == Protocol::HttpProxy
            || (request.protocol.is_unsupported() && takes_bytes);
        if replaces {
            *current = Entry::new(request);
            return;
        }
        current.is_open = false;
        current.pod = current.pod.filter(|_| request.pod.is_some());
        if !(current.protocol.is_tcp() && request.protocol.is_tcp()) {
            current.protocol = Protocol::Unsupported;
        }
        self.merge(&key, request);
    }

    /// Adds a place for services that may be asked for.
    pub(super) fn open(&mut self, request: Request) {
        let entry = Entry { is_open: true, ..Entry::new(request.clone()) };
        self.map.entry((request.bind, request.port)).or_insert(entry);
    }

    /// Has TLS looked at, at a place that may have no service, and takes a chain for server names that have no
    /// chain of their own. Where the server may speak first, nothing is waited for.
    pub(super) fn open_tls(
        &mut self,
        place: (Arc<str>, u16),
        capture: Capture,
        others: Option<ChainInput>,
    ) {
        let open = || Entry {
            protocol: Protocol::Tls,
            capture,
            chains: Vec::new(),
            pod: None,
            inspects_tls: true,
            is_open: false,
            locked: false,
        };
        let entry = self.map.entry(place).or_insert_with(open);
        let is_complete = entry.chains.iter().any(|chain| chain.matches.is_everything());
        if entry.locked || is_complete {
            return;
        }
        entry.inspects_tls = true;
        let Some(others) = others else { return };
        // What that chain does too needs none of its own: the listener stays as it is when a service is told.
        entry.chains.retain(|chain| !others.covers(chain));
        // The same names are in both, so that this chain stays as it is when one of them gets its own:
        // connections go on. That one wins, as it asks for more.
        for chain in entry.chains.iter_mut().filter(|it| !it.matches.server_names.is_empty()) {
            chain.matches.transport_protocol = TransportProtocol::Tls;
        }
        entry.chains.push(others);
    }

    /// Adds the chains that can be told from those that are there.
    fn merge(&mut self, key: &(Arc<str>, u16), mut request: Request) {
        let Some(current) = self.map.get_mut(key) else { return };
        let sniffed = request.chains.iter().any(|chain| chain.is_http());
        for mut chain in std::mem::take(&mut request.chains) {
            if current.chains.iter().all(|earlier| chain.matches.subtract(&earlier.matches)) {
                current.chains.push(chain);
            } else if !sniffed {
                let why = "its connections cannot be told from those of an older service";
                self.diagnostics.push(conflict(&request, why));
            }
        }
    }
}

impl ChainInput {
    /// Whether connections of a chain for one server name would go the same way by this one.
    fn covers(&self, other: &Self) -> bool {
        let ChainAction::ServerName(ServerNameRoute { port, unnamed }) = &self.action else {
            return false;
        };
        let ChainMatch { server_names, prefix_ranges, .. } = &other.matches;
        let [name] = &**server_names else { return false };
        let cluster = names::outbound_cluster(*port, "", name);
        let plain = TcpRoute::to_cluster(cluster, unnamed.policy.idle_timeout);
        prefix_ranges.is_empty()
            && self.matches.server_names.contains(name)
            && other.action == ChainAction::Tcp(plain)
    }
}

impl Entry {
    /// Where nothing is redirected, what is no HTTP has nowhere to go but to a service.
    fn is_bound_and_open(&self) -> bool {
        self.is_open && self.capture == Capture::Bound
    }

    fn new(request: Request) -> Self {
        let mut chains: Vec<ChainInput> = Vec::with_capacity(request.chains.len());
        // One service may ask for the same match twice, by two rules of a VirtualService.
        for mut chain in request.chains {
            if chains.iter().all(|earlier| chain.matches.subtract(&earlier.matches)) {
                chains.push(chain);
            }
        }
        Self {
            protocol: request.protocol,
            capture: request.capture,
            chains,
            pod: request.pod,
            inspects_tls: false,
            is_open: false,
            locked: false,
        }
    }
}

fn conflict(request: &Request, why: &str) -> Diagnostic {
    let listener = names::listener(&request.bind, request.port);
    let hint = "give it another port or an address of its own";
    codes::OUTBOUND_CONFLICT
        .diagnostic(format!("not reachable through `{listener}`: {why}"))
        .object(request.origin.clone())
        .hint(hint)
}
