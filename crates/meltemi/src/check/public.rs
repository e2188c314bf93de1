//! What all namespaces see that have no Sidecar and are shown nothing apart, found once, with what
//! is special to each of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use compile::{EgressListener, OpenPorts, Scope, Untold};
use model::{Hostname, Namespace};

use super::special::Special;

/// A scope by what its parts belong to. Numbers are places in its one listener, which has all its
/// services.
pub(super) struct Public {
    pub(super) scope: Scope,
    services: HashMap<Namespace, Vec<usize>>,
    places: HashMap<Hostname, usize>,
    rules: HashMap<Namespace, Vec<usize>>,
    rules_for: HashMap<Hostname, Vec<usize>>,
    /// What is special to everybody.
    general: Vec<usize>,
}

impl Public {
    /// Of the scope of a namespace that sees exactly that.
    pub(super) fn new(scope: Scope, special: &Special) -> Self {
        let mut services: HashMap<_, Vec<_>> = HashMap::new();
        let (mut places, mut general) = (HashMap::new(), Vec::new());
        for (place, service) in scope.services.iter().enumerate() {
            services.entry(service.namespace().clone()).or_default().push(place);
            places.insert(service.hostname().clone(), place);
            if special.is_general(service) {
                general.push(place);
            }
        }
        let mut rules: HashMap<_, Vec<_>> = HashMap::new();
        let mut rules_for: HashMap<_, Vec<_>> = HashMap::new();
        for (place, rule) in scope.listeners.iter().flat_map(|it| &it.rules).enumerate() {
            rules.entry(rule.key.namespace.clone()).or_default().push(place);
            for host in rule.hosts.iter() {
                rules_for.entry(host.clone()).or_default().push(place);
            }
        }
        Self { scope, services, places, rules, rules_for, general }
    }

    /// The listener with what is special to a namespace alone: its own services and rules, those
    /// that are not for everybody, and services for which it has rules.
    pub(super) fn narrow(&self, special: &Special, own: &Namespace) -> Vec<EgressListener> {
        let narrow = |listener| self.narrow_listener(listener, special, own);
        self.scope.listeners.iter().map(narrow).collect()
    }

    fn narrow_listener(
        &self,
        listener: &EgressListener,
        special: &Special,
        own: &Namespace,
    ) -> EgressListener {
        let mut places: BTreeSet<usize> = self.general.iter().copied().collect();
        places.extend(self.services.get(own).into_iter().flatten());
        let (exact, wildcards) = special.hosts_of(own);
        places.extend(exact.filter_map(|host| self.places.get(host)));
        if !wildcards.is_empty() {
            let all = listener.services.iter().enumerate();
            let covered =
                all.filter(|(_, it)| wildcards.iter().any(|host| host.covers(it.hostname())));
            places.extend(covered.map(|(place, _)| place));
        }
        let services: Vec<_> =
            places.into_iter().map(|place| listener.services[place].clone()).collect();
        let mut rules: BTreeSet<usize> =
            self.rules.get(own).into_iter().flatten().copied().collect();
        rules.extend(services.iter().filter_map(|it| self.rules_for.get(it.hostname())).flatten());
        let rules = rules.into_iter().map(|place| listener.rules[place].clone()).collect();
        EgressListener {
            port: listener.port.clone(),
            bind: listener.bind.clone(),
            capture_mode: listener.capture_mode,
            services,
            rules,
            open_ports: OpenPorts::default(),
            is_narrow: false,
            untold: Untold::default(),
            detoured: Arc::default(),
        }
    }
}
