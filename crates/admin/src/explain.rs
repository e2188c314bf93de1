//! Why a host is in the scope of a workload, or is not: which object, rule or decision says so.
//!
//! - Pure: the answer follows from the snapshot, one proxy of the workload, and what its class has
//!   asked for.

use std::collections::BTreeSet;

use compile::{Client, ClientFence, Scope, Visible, names};
use model::{Hostname, Proxy, Service, Shared};
use push::Told;
use serde::{Deserialize, Serialize};
use snapshot::{
    Dispatch, DispatchTarget, Domain, DomainStatus, Reader, Snapshot, VirtualServiceRecord,
};

use crate::savings::unfenced;

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeReason {
    /// `declared`, `learned`, `not-exported` and others: stable words.
    pub kind: String,
    /// The object that says so, the mode, or what was switched off; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// What holds for a host and the proxies of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_in: bool,
    /// Those that speak for it first, each once.
    pub(crate) reasons: Vec<ScopeReason>,
}

impl Verdict {
    fn add(&mut self, kind: &str, by: impl ToString) {
        let reason = ScopeReason { kind: kind.to_owned(), by: by.to_string() };
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// What is known of a host, but by no call of it.
    pub(crate) fn known_without_a_call(&mut self, is_seeded: bool) {
        let known = if is_seeded { "seeded" } else { "pinned" };
        for reason in self.reasons.iter_mut().filter(|it| it.kind == "learned") {
            reason.kind = known.to_owned();
        }
    }

    fn of(is_in: bool, kind: &str, by: impl ToString) -> Self {
        let mut verdict = Self { is_in, ..Self::default() };
        verdict.add(kind, by);
        verdict
    }
}

/// `told` is what the class of the proxy has asked for, and what it cannot ask for any more.
pub(crate) fn explain(proxy: &Proxy, host: &Hostname, told: &Told, snapshot: &Snapshot) -> Verdict {
    let reader = Reader::new(snapshot);
    let client = Client::reduce(proxy, &reader);
    let visible = Scope::select(&unfenced(&client), &reader);
    let service = visible.service(host).cloned();
    if service.is_none() && !is_ruled(host, &visible) {
        return unseen(host, &client, snapshot);
    }
    let Some(fence) = &client.fence else {
        return match snapshot.fence_off(&proxy.workload()) {
            Some(target) => Verdict::of(true, "fence-off", target),
            None => Verdict::of(true, "not-fenced", ""),
        };
    };
    if told.everything {
        return Verdict::of(true, "everything", "");
    }
    let asked: BTreeSet<Hostname> = told.asked.iter().cloned().collect();
    let visible = Visible::new(visible, &client.namespace, &reader);
    let fenced = visible.fenced(fence, &asked, &reader);
    let scope = &fenced.scope;
    let is_in = match &service {
        Some(_) => scope.service(host).is_some(),
        None => is_ruled(host, scope),
    };
    let mut verdict = Verdict { is_in, ..Verdict::default() };
    by_fences(proxy, host, service.as_ref(), snapshot, &mut verdict);
    if asked.contains(host) {
        verdict.add("asked", "");
    }
    let is_learned = reader.learned(&fence.workload).is_some_and(|hosts| hosts.contains(host));
    match (is_learned, fence.mode.learns()) {
        (true, true) if !fence.declared.bars(host) => verdict.add("learned", ""),
        (true, false) => verdict.add("mode-without-learning", fence.mode),
        (_, _) => (),
    }
    let rules = scope.listeners.iter().flat_map(|it| &it.rules);
    // A rule for the host itself leads to it as well.
    let rules: BTreeSet<_> =
        rules.filter(|rule| !rule.hosts.contains(host)).map(|rule| &rule.key).collect();
    let leads = |record: &Shared<VirtualServiceRecord>| record.imports().contains(host.as_str());
    for key in rules {
        if reader.virtual_service(key).is_some_and(leads) {
            verdict.add("led-to", key);
        }
    }
    by_ways_out(&client, host, scope, &reader, &mut verdict);
    if scope.detour.is_some() && visible.is_hidden(host) {
        verdict.add("not-public", "");
    }
    if service.as_ref().is_some_and(|service| fenced.shares_port(service)) {
        verdict.add("shared-port", "");
    }
    if verdict.is_in && verdict.reasons.is_empty() {
        verdict.add("alias", "");
    }
    if !verdict.is_in && verdict.reasons.is_empty() {
        by_mode(fence, service.as_ref(), told, scope.detour.is_some(), &mut verdict);
    }
    verdict
}

/// Whether a rule of a scope is for the host, which need not be a service.
fn is_ruled(host: &Hostname, scope: &Scope) -> bool {
    scope.listeners.iter().any(|listener| {
        !listener.untold.rule_hosts.contains(host)
            && listener.rules.iter().any(|rule| rule.hosts.contains(host))
    })
}

/// What becomes of a first call.
fn by_mode(
    fence: &ClientFence,
    service: Option<&Shared<Service>>,
    told: &Told,
    has_detour: bool,
    verdict: &mut Verdict,
) {
    let kind = match fence.loads_on_demand {
        true => "waits-for-a-call",
        false if has_detour => "by-gateway",
        false if fence.mode.learns() => "not-learned",
        false => "not-declared",
    };
    let ports = service.into_iter().flat_map(|it| it.ports.iter()).map(|it| it.number);
    let (closed, open): (Vec<u16>, Vec<u16>) =
        ports.partition(|port| fence.loads_on_demand && told.closed_ports.contains(port));
    if !closed.is_empty() {
        let closed: Vec<String> = closed.iter().map(u16::to_string).collect();
        verdict.add("port-closed", closed.join(", "));
    }
    if closed.is_empty() || !open.is_empty() {
        verdict.add(kind, fence.mode);
    }
}

/// Calls of what the workload was not told of are sent there.
fn by_ways_out(
    client: &Client,
    host: &Hostname,
    scope: &Scope,
    reader: &Reader<'_>,
    verdict: &mut Verdict,
) {
    let leads_there = |cluster: &str| names::service_of(cluster).as_ref() == Some(host);
    if scope.detour.as_ref().is_some_and(|detour| leads_there(&detour.gateway)) {
        verdict.add("lazy-gateway", "");
    }
    if let Some(sidecar) = &client.sidecar
        && scope.egress_proxy.as_deref().is_some_and(leads_there)
    {
        verdict.add("egress-proxy", sidecar);
    }
    for Dispatch { name, target, .. } in &reader.fencing().dispatches {
        if let DispatchTarget::Cluster(cluster) = target
            && leads_there(cluster)
        {
            verdict.add("dispatch", name);
        }
    }
}

/// Why a workload may not see a host.
fn unseen(host: &Hostname, client: &Client, snapshot: &Snapshot) -> Verdict {
    let reader = Reader::new(snapshot);
    let rules = reader.visible_virtual_services(&client.namespace);
    let is_for_host =
        |it: &&Shared<VirtualServiceRecord>| it.binds_to_mesh() && it.hosts.contains(host);
    let is_exported = rules.iter().any(is_for_host)
        || reader.visible_services(&client.namespace).iter().any(|it| it.hostname() == host);
    if let (Some(sidecar), true) = (&client.sidecar, is_exported) {
        return Verdict::of(false, "sidecar", sidecar);
    }
    if let Some(first) = reader.services_named(host).first() {
        return Verdict::of(false, "not-exported", &first.origin);
    }
    match snapshot.virtual_services().find(is_for_host) {
        Some(rule) => Verdict::of(false, "not-exported", &rule.key),
        None => Verdict::of(false, "not-defined", ""),
    }
}

/// What is written down about it.
fn by_fences(
    proxy: &Proxy,
    host: &Hostname,
    service: Option<&Shared<Service>>,
    snapshot: &Snapshot,
    verdict: &mut Verdict,
) {
    let namespace = |it: &Shared<Service>| format!("{}/*", it.namespace());
    let may_be_covered = verdict.is_in && service.is_none();
    for fence in snapshot.fences_around(&proxy.namespace, &proxy.labels) {
        let of_namespace = service.filter(|it| fence.declared.has_by_namespace(it)).map(namespace);
        let holds = |(key, domain): &(&String, &Domain)| {
            domain.hosts.contains(host)
                || of_namespace.as_ref() == Some(*key)
                || key.as_str() == "*/*"
                || key.starts_with('*') && Hostname::new(key).covers(host)
                // What is declared may be called by a rule with a wildcard.
                || may_be_covered && host.covers(&Hostname::new(key))
        };
        for (key, domain) in fence.domains.iter().filter(holds) {
            let kind = match domain.status {
                DomainStatus::Active => "declared",
                DomainStatus::ExpireWait => "declared-no-longer",
                DomainStatus::Expire => "deadline",
            };
            verdict.add(kind, format!("{}: {key}", fence.key));
        }
    }
    let always = &snapshot.fencing().always;
    if always.names(host) || service.is_some_and(|service| always.has(service)) {
        verdict.add("stable-host", "");
    }
    let root = &snapshot.mesh().root_namespace;
    if service.is_some_and(|service| service.namespace() == root) {
        verdict.add("root-namespace", root);
    }
}

#[cfg(test)]
mod tests;
