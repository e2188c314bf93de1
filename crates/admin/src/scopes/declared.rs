//! What of a workload's scope needs no call: what its fences declare.

use std::collections::BTreeMap;

use model::{Hostname, Labels, Namespace, Proxy};
use scope::Sensor;
use snapshot::{Domain, DomainStatus, Reader, Snapshot};

use super::answer::ScopeEdge;

/// Adds it to what is learned. What a fence bars is said to be over, whoever has seen it.
pub(super) fn add_declared(
    proxy: &Proxy,
    snapshot: &Snapshot,
    edges: &mut BTreeMap<String, ScopeEdge>,
) {
    let declared = Sensor::Declared.to_string();
    let fences = snapshot.fences_around(&proxy.namespace, &proxy.labels);
    for (key, domain) in fences.into_iter().flat_map(|fence| &fence.domains) {
        let state = match domain.status {
            DomainStatus::Active => "declared",
            DomainStatus::ExpireWait => "declared-no-longer",
            DomainStatus::Expire => "deadline",
        };
        add(edges, key, &declared, state);
    }
    let Some(fence) = Reader::new(snapshot).fence(proxy) else { return };
    for edge in edges.values_mut() {
        if fence.declared.bars(&Hostname::new(&edge.host)) {
            edge.state = "deadline".to_owned();
        }
    }
}

fn add(edges: &mut BTreeMap<String, ScopeEdge>, key: &str, source: &str, state: &str) {
    let edge = edges.entry(key.to_owned()).or_insert_with(|| ScopeEdge {
        host: key.to_owned(),
        state: state.to_owned(),
        ..ScopeEdge::default()
    });
    if !edge.sensors.iter().any(|it| it == source) {
        edge.sensors.insert(0, source.to_owned());
    }
}

/// The fence and its key whose deadline keeps a host out of the scope of workloads with these labels.
pub(super) fn barred_by(
    host: &Hostname,
    namespace: &Namespace,
    labels: &Labels,
    snapshot: &Snapshot,
) -> Option<String> {
    if !snapshot.planned_fence(namespace, labels).declared.bars(host) {
        return None;
    }
    let bars =
        |(key, domain): &(&String, &Domain)| domain.bars() && Hostname::new(key).covers(host);
    snapshot.fences_around(namespace, labels).into_iter().find_map(|fence| {
        let (key, _) = fence.domains.iter().find(bars)?;
        Some(format!("{}: {key}", fence.key))
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::fixture::{full, mesh, web};

    const FENCE: &str = "
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec:
  enable: true
  host:
    pay.bank.svc.cluster.local: {}
    '*.infra.svc.cluster.local': {deadline: {expire: {seconds: 1}}}
    old.bank.svc.cluster.local: {deadline: {expire: {seconds: 1}}}
";

    fn learned(hosts: &[&str]) -> BTreeMap<String, ScopeEdge> {
        let edge = |host: &&str| {
            let (host, sensors) = (full(host).to_string(), vec!["import".to_owned()]);
            let edge =
                ScopeEdge { host, sensors, state: "learned".to_owned(), ..ScopeEdge::default() };
            (edge.host.clone(), edge)
        };
        hosts.iter().map(edge).collect()
    }

    fn render(edges: &BTreeMap<String, ScopeEdge>) -> String {
        let line = |it: &ScopeEdge| format!("{} {} {}\n", it.host, it.sensors.join(","), it.state);
        edges.values().map(line).collect::<String>().replace(".svc.cluster.local", "")
    }

    #[test]
    fn what_a_deadline_bars_is_over_whoever_has_seen_it() {
        let snapshot = mesh(&[FENCE]).snapshot();
        let mut edges = learned(&["cart.shop", "log.infra", "old.bank", "pay.bank"]);
        add_declared(&web("learned"), &snapshot, &mut edges);
        expect![[r#"
            *.infra declared deadline
            cart.shop import learned
            log.infra import deadline
            old.bank declared,import deadline
            pay.bank declared,import learned
        "#]]
        .assert_eq(&render(&edges));
    }

    #[test]
    fn a_host_is_barred_by_the_key_whose_deadline_is_over() {
        let snapshot = mesh(&[FENCE]).snapshot();
        let labels = web("").labels;
        let by = |host: &str| barred_by(&full(host), &"shop".into(), &labels, &snapshot);
        let key = |key: &str| Some(format!("ServiceFence shop/web: {}", full(key)));
        assert_eq!(by("old.bank"), key("old.bank"));
        assert_eq!(by("log.infra"), key("*.infra"));
        assert_eq!(by("pay.bank"), None);
        assert_eq!(by("cart.shop"), None);
        assert_eq!(barred_by(&full("old.bank"), &"bank".into(), &labels, &snapshot), None);
    }
}
