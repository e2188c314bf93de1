//! What of a workload's scope needs no call: what its fences declare, and what every fence holds.

use std::collections::BTreeMap;

use compile::names;
use model::{Hostname, Labels, Namespace, Proxy};
use scope::Sensor;
use snapshot::{DispatchTarget, Domain, DomainStatus, Reader, Snapshot};

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
    // No deadline of one fence ends what all have.
    for (source, key) in held_by_all(snapshot) {
        add(edges, &key, source, "declared");
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

/// What is in every fence, by the words of `explain` for where that is said.
fn held_by_all(snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let fencing = snapshot.fencing();
    let stable = fencing.always.namespaces.keys().map(|namespace| format!("{namespace}/*"));
    let stable = stable.chain(fencing.always.hosts.iter().map(|host| match host.as_str() {
        "*" => "*/*".to_owned(),
        host => host.to_owned(),
    }));
    let root = &snapshot.mesh().root_namespace;
    let has_services = snapshot.services().any(|service| service.namespace() == root);
    let root = has_services.then(|| format!("{root}/*"));
    let dispatched = fencing.dispatches.iter().filter_map(|dispatch| match &dispatch.target {
        DispatchTarget::Cluster(cluster) => names::service_of(cluster),
        DispatchTarget::Passthrough | DispatchTarget::Gateway => None,
    });
    let stable = stable.map(|key| ("stable-host", key));
    let root = root.into_iter().map(|key| ("root-namespace", key));
    stable.chain(root).chain(dispatched.map(|host| ("dispatch", host.to_string()))).collect()
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
    use std::sync::Arc;

    use expect_test::expect;
    use snapshot::{Change, Declared, Dispatch, Features, FencingSettings, Index};

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
            edge.infra dispatch declared
            log.infra import deadline
            old.bank declared,import deadline
            pay.bank declared,import learned
        "#]]
        .assert_eq(&render(&edges));
    }

    #[test]
    fn what_every_fence_holds_is_there_with_who_says_so() {
        let cluster = "outbound|80||edge.infra.svc.cluster.local".to_owned();
        let dispatch = |name: &str, target| Dispatch {
            name: name.to_owned(),
            target,
            domains: Vec::new(),
            domain_regex: None,
        };
        let always = Declared {
            namespaces: [("base".into(), Default::default())].into(),
            hosts: [full("log.infra"), "*.example.com".into()].into(),
            ..Declared::default()
        };
        let dispatches = vec![
            dispatch("edge", DispatchTarget::Cluster(cluster)),
            dispatch("out", DispatchTarget::Passthrough),
        ];
        let fencing = FencingSettings { always, dispatches, ..FencingSettings::default() };
        let index = Index::new(Arc::default(), Features::default(), "cluster.local");
        let mut index = index.with_fencing(fencing);
        let root = "
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system}
spec: {ports: [{port: 80, name: http}]}
";
        let (objects, findings) = api::parse_documents("mesh.yaml", root.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        index.apply(objects.into_iter().map(Change::Put));
        let mut edges = learned(&["log.infra"]);
        add_declared(&web("learned"), &index.snapshot(), &mut edges);
        expect![[r#"
            *.example.com stable-host declared
            base/* stable-host declared
            edge.infra dispatch declared
            istio-system/* root-namespace declared
            log.infra stable-host,import learned
        "#]]
        .assert_eq(&render(&edges));
        let mut edges = learned(&["log.infra"]);
        add_declared(&web("full"), &index.snapshot(), &mut edges);
        assert_eq!(render(&edges), "log.infra import learned\n", "it has no fence");
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
