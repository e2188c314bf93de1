//! The mesh in the form in which checks ask about it.
//!
//! Selectors are answered from lists by label, per namespace and for the whole mesh, so that a
//! question costs what it finds rather than what there is.

mod instance;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use api::{Object, Spec, istio::destination_rule::DestinationRule};
use model::{Hostname, Kind, Labels, Namespace, ObjectKey, Service, Shared, TargetPort};
use snapshot::{Reader, Snapshot, resolve_short_name};

pub(crate) use self::instance::Instance;
use self::instance::instance;
use crate::gateway_view::GatewayView;

/// A label, in a namespace or in the whole mesh.
type Pair = (Option<Namespace>, Box<str>, Box<str>);

/// What checks ask.
pub(crate) struct Facts<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) reader: Reader<'a>,
    pub(crate) domain: &'a str,
    pub(crate) root: &'a Namespace,
    pub(crate) instances: Vec<Instance<'a>>,
    by_namespace: BTreeMap<&'a Namespace, Vec<usize>>,
    by_label: HashMap<Pair, Vec<usize>>,
    /// The services of each instance: those whose selector selects it.
    services_of: Vec<Vec<&'a Shared<Service>>>,
    /// Keys of labels that some instance has.
    label_keys: BTreeSet<Box<str>>,
    /// The namespaces that there are; empty unless all seem to be listed.
    pub(crate) namespaces: BTreeSet<&'a str>,
    /// The namespaces of which Pods are listed.
    pod_namespaces: BTreeSet<&'a Namespace>,
    /// The instances that Gateways select.
    at_gateways: HashSet<usize>,
    /// DestinationRules as they are written, by the host that they are for.
    rules: HashMap<Hostname, Vec<(&'a ObjectKey, &'a DestinationRule)>>,
    gateways: BTreeMap<&'a ObjectKey, GatewayView<'a>>,
    /// Hosts of services by every name above them, and those that are wildcards.
    parents: HashSet<Box<str>>,
    wildcards: HashSet<Box<str>>,
    /// Entries of lists that were looked at: what answers cost.
    looked_at: Cell<u64>,
    /// Some instance that is no gateway has a proxy, so that one without has none.
    pub(crate) proxies_are_known: bool,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let objects = snapshot.objects();
        let kinds = [Kind::Pod, Kind::WorkloadEntry, Kind::WorkloadGroup];
        let instances: Vec<Instance<'a>> =
            kinds.into_iter().flat_map(|kind| objects.of_kind(kind)).filter_map(instance).collect();
        let mesh = snapshot.mesh();
        let mut facts = Self {
            snapshot,
            reader: Reader::new(snapshot),
            domain: &mesh.domain,
            root: &mesh.root_namespace,
            by_namespace: BTreeMap::new(),
            by_label: HashMap::new(),
            services_of: vec![Vec::new(); instances.len()],
            label_keys: BTreeSet::new(),
            namespaces: all_namespaces(snapshot),
            pod_namespaces: objects.of_kind(Kind::Pod).map(|it| &it.key.namespace).collect(),
            at_gateways: HashSet::new(),
            rules: HashMap::new(),
            gateways: BTreeMap::new(),
            parents: HashSet::new(),
            wildcards: HashSet::new(),
            looked_at: Cell::new(0),
            proxies_are_known: false,
            instances,
        };
        facts.index();
        facts.view_gateways();
        let has_sidecar = |(at, instance): (usize, &Instance<'_>)| {
            instance.has_proxy && instance.pod().is_some() && !facts.at_gateways.contains(&at)
        };
        facts.proxies_are_known = facts.instances.iter().enumerate().any(has_sidecar);
        facts
    }

    fn index(&mut self) {
        for (at, instance) in self.instances.iter().enumerate() {
            let namespace = &instance.object.key.namespace;
            self.by_namespace.entry(namespace).or_default().push(at);
            for (key, value) in instance.labels.iter() {
                for scope in [None, Some(namespace.clone())] {
                    let pair = (scope, key.into(), value.into());
                    self.by_label.entry(pair).or_default().push(at);
                }
                if !self.label_keys.contains(key) {
                    self.label_keys.insert(key.into());
                }
            }
        }
        for object in self.objects(Kind::DestinationRule) {
            let Spec::DestinationRule(rule) = &object.spec else { continue };
            let host = self.resolve(&rule.host, &object.key.namespace);
            self.rules.entry(host).or_default().push((&object.key, rule));
        }
        for service in self.snapshot.services() {
            let host = service.hostname().as_str();
            if let Some(suffix) = host.strip_prefix('*') {
                self.wildcards.insert(suffix.trim_start_matches('.').into());
            }
            self.parents.extend(parents(host).map(Box::from));
        }
        for service in self.snapshot.services().filter(|it| !it.selector.is_empty()) {
            for at in self.select(Some(service.namespace()), &service.selector) {
                self.services_of[at].push(service);
            }
        }
    }

    /// The instances that a selector selects, in a namespace or in the whole mesh. The empty
    /// selector selects all.
    pub(crate) fn select(&self, namespace: Option<&Namespace>, selector: &Labels) -> Vec<usize> {
        let all = |labels: &Labels| selector.selects(labels);
        let mut shortest: Option<&[usize]> = None;
        for (key, value) in selector.iter() {
            let pair = (namespace.cloned(), Box::from(key), Box::from(value));
            let Some(list) = self.by_label.get(&pair) else { return Vec::new() };
            if shortest.is_none_or(|known| list.len() < known.len()) {
                shortest = Some(list);
            }
        }
        match (shortest, namespace) {
            (Some(list), _) => {
                self.look_at(list.len());
                list.iter().copied().filter(|at| all(&self.instances[*at].labels)).collect()
            }
            (None, Some(namespace)) => {
                self.look_at(self.in_namespace(namespace).len());
                self.in_namespace(namespace).to_vec()
            }
            (None, None) => {
                self.look_at(self.instances.len());
                (0..self.instances.len()).collect()
            }
        }
    }

    /// Notes what a question costs.
    pub(crate) fn look_at(&self, entries: usize) {
        self.looked_at.set(self.looked_at.get() + entries as u64);
    }

    pub(crate) fn looked_at(&self) -> u64 {
        self.looked_at.get()
    }

    /// As [`Facts::select`], for a policy of this namespace: one in the root namespace is for all.
    pub(crate) fn select_for_policy(&self, namespace: &Namespace, selector: &Labels) -> Vec<usize> {
        self.select((namespace != self.root).then_some(namespace), selector)
    }

    /// Whether it can be said that a policy selects nothing: instances are listed where it looks.
    pub(crate) fn can_judge(&self, namespace: &Namespace, selector: &Labels) -> bool {
        match namespace == self.root {
            // Elsewhere may be more than is listed: only a label that is in use is judged.
            true => selector.iter().any(|(key, _)| self.label_keys.contains(key)),
            // Workloads of another sort say nothing about those that Kubernetes runs.
            false => self.pod_namespaces.contains(namespace),
        }
    }

    pub(crate) fn in_namespace(&self, namespace: &Namespace) -> &[usize] {
        self.by_namespace.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn services_of(&self, instance: usize) -> &[&'a Shared<Service>] {
        &self.services_of[instance]
    }

    /// The instances behind a service, where it selects any.
    pub(crate) fn instances_of(&self, service: &Service) -> Vec<usize> {
        match service.selector.is_empty() {
            true => Vec::new(),
            false => self.select(Some(service.namespace()), &service.selector),
        }
    }

    /// The ports on which an instance is known to serve: those that it declares, and those to
    /// which services lead.
    pub(crate) fn ports_of(&self, instance: usize) -> BTreeSet<u16> {
        let declared = self.instances[instance].declared.iter().map(|(_, port)| *port);
        let services = self.services_of(instance).iter().flat_map(|service| service.ports.iter());
        let served = services.filter_map(|port| self.target(instance, &port.target));
        declared.chain(served).collect()
    }

    /// The port of an instance that a service's port leads to.
    pub(crate) fn target(&self, instance: usize, target: &TargetPort) -> Option<u16> {
        match target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Named(name) => {
                let declared = self.instances[instance].declared.iter();
                declared.clone().find(|(known, _)| **known == **name).map(|(_, port)| *port)
            }
        }
    }

    /// The DestinationRules with exactly this host, in any namespace, in the order of their keys.
    pub(crate) fn rules_for(&self, host: &Hostname) -> &[(&'a ObjectKey, &'a DestinationRule)] {
        self.rules.get(host).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn rules(
        &self,
    ) -> impl Iterator<Item = (&Hostname, &[(&'a ObjectKey, &'a DestinationRule)])> {
        self.rules.iter().map(|(host, rules)| (host, rules.as_slice()))
    }

    pub(crate) fn has_services(&self) -> bool {
        self.snapshot.service_count() > 0
    }

    /// Whether a service's host is one that this wildcard stands for.
    pub(crate) fn has_host_below(&self, wildcard: &Hostname) -> bool {
        let suffix = wildcard.as_str().trim_start_matches('*').trim_start_matches('.');
        self.parents.contains(suffix)
    }

    /// Whether a service's host is a wildcard that stands for this one.
    pub(crate) fn has_wildcard_over(&self, host: &Hostname) -> bool {
        self.wildcards.contains("") || parents(host.as_str()).any(|it| self.wildcards.contains(it))
    }

    pub(crate) fn resolve(&self, host: &str, namespace: &Namespace) -> Hostname {
        resolve_short_name(host, namespace, self.domain)
    }

    pub(crate) fn objects(&self, kind: Kind) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.snapshot.objects().of_kind(kind)
    }

    pub(crate) fn has(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.snapshot.objects().get(&ObjectKey::new(kind, namespace, name)).is_some()
    }

    /// Whether a Gateway selects the instance.
    pub(crate) fn is_gateway(&self, instance: usize) -> bool {
        self.at_gateways.contains(&instance)
    }

    /// Whether Pods of this namespace are listed.
    pub(crate) fn lists_pods(&self, namespace: &Namespace) -> bool {
        self.pod_namespaces.contains(namespace)
    }

    /// A Gateway by `namespace/name`.
    pub(crate) fn gateway(&self, name: &str) -> Option<&GatewayView<'a>> {
        let (namespace, name) = name.split_once('/')?;
        self.gateways.get(&ObjectKey::new(Kind::Gateway, namespace, name))
    }

    /// All Gateways, in the order of their keys.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = &GatewayView<'a>> {
        self.gateways.values()
    }

    fn view_gateways(&mut self) {
        let scoped = self.snapshot.mesh().features.flag("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false);
        for object in self.objects(Kind::Gateway) {
            let Spec::Gateway(gateway) = &object.spec else { continue };
            let namespace = scoped.then_some(&object.key.namespace);
            let selected = self.select(namespace, &labels(&gateway.selector));
            let namespaces =
                selected.iter().map(|at| self.instances[*at].namespace().clone()).collect();
            if !gateway.selector.is_empty() {
                self.at_gateways.extend(selected);
            }
            let view = GatewayView::new(&object.key, gateway, namespaces);
            self.gateways.insert(&object.key, view);
        }
    }
}

/// A folder often holds a team's own namespaces only. Where those that Kubernetes always has are
/// listed, all are.
fn all_namespaces(snapshot: &Snapshot) -> BTreeSet<&str> {
    let listed = snapshot.objects().of_kind(Kind::Namespace).map(|it| it.key.name.as_str());
    let listed: BTreeSet<&str> = listed.collect();
    match listed.contains("default") || listed.contains("kube-system") {
        true => listed,
        false => BTreeSet::new(),
    }
}

/// `b.c` and `c` of `a.b.c`.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(at, _)| &host[at + 1..])
}

pub(crate) fn labels<'m>(pairs: impl IntoIterator<Item = (&'m String, &'m String)>) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}
