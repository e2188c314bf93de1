//! Hosts of servers, and what they have in common with the hosts of rules.

use std::cmp::Ordering;

use model::{Hostname, Namespace};

/// A host that a server is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerHost {
    /// Only rules of this namespace may serve it.
    pub namespace: Option<Namespace>,
    pub host: Hostname,
}

impl ServerHost {
    fn parse(text: &str, own: &Namespace) -> Self {
        let (namespace, host) = match text.split_once('/') {
            None => (None, text),
            Some((".", host)) => (Some(own.clone()), host),
            Some(("*", host)) => (None, host),
            Some((namespace, host)) => (Some(namespace.into()), host),
        };
        Self { namespace, host: Hostname::new(host) }
    }

    fn admits(&self, namespace: &Namespace) -> bool {
        self.namespace.as_ref().is_none_or(|it| it == namespace)
    }
}

/// Reads the hosts of a server in the namespace `own`. `*/*` makes the other ones needless.
pub(super) fn parse_hosts(hosts: &[String], own: &Namespace) -> Vec<ServerHost> {
    let parse = |host: &String| ServerHost::parse(host, own);
    match hosts.iter().find(|host| *host == "*/*") {
        Some(everything) => vec![parse(everything)],
        None => hosts.iter().map(parse).collect(),
    }
}

/// The hosts that both a server and a rule of this namespace are for: the narrower one of each
/// pair that overlaps, each once.
pub(super) fn shared_hosts(
    server: &[ServerHost],
    rule: &[Hostname],
    namespace: &Namespace,
) -> Vec<Hostname> {
    let mut shared: Vec<Hostname> = Vec::new();
    for own in server.iter().filter(|host| host.admits(namespace)).map(|host| &host.host) {
        for other in rule {
            let narrower = match (other.covers(own), own.covers(other)) {
                (true, _) => own,
                (false, true) => other,
                (false, false) => continue,
            };
            if !shared.contains(narrower) {
                shared.push(narrower.clone());
            }
        }
    }
    shared
}

/// Names before wildcards, longer ones first.
pub(super) fn by_specificity(one: &Hostname, other: &Hostname) -> Ordering {
    let key = |host: &Hostname| (host.is_wildcard(), std::cmp::Reverse(host.as_str().len()));
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}
