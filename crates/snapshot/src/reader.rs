//! Reading a snapshot so that every read is known afterwards.

use std::{cell::RefCell, collections::BTreeSet, net::IpAddr, sync::Arc};

use api::k8s::secret::Secret;
use model::{
    Hostname, Labels, Namespace, ObjectKey, Proxy, Service, ServiceKey, Shared, Workload,
    WorkloadKey,
};

use crate::{
    DestinationRuleRecord, EndpointIdentities, EndpointSet, Fence, FencingSettings, GatewayRecord,
    KeyHash, KeySource, Learned, Mesh, Policy, PolicyRecord, ReadKey, Reads, SidecarRecord,
    Snapshot, VirtualServiceRecord, view::ServiceOrder,
};

/// One job's view of a snapshot. Every method notes what it looked at.
pub struct Reader<'a> {
    snapshot: &'a Snapshot,
    reads: RefCell<Vec<KeyHash>>,
}

impl<'a> Reader<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, reads: RefCell::default() }
    }

    /// Ends the job: what its result depends on.
    pub fn into_reads(self) -> Reads {
        Reads::new(self.reads.into_inner())
    }

    fn note(&self, key: ReadKey) {
        self.reads.borrow_mut().push(KeyHash::of(&key));
    }

    pub fn mesh(&self) -> &'a Shared<Mesh> {
        self.note(ReadKey::Mesh);
        &self.snapshot.mesh
    }

    /// Every service that `namespace` may see, oldest first. Notes the sets, not each service:
    /// read the ones that matter by [`Reader::service`].
    pub fn visible_services(&self, namespace: &Namespace) -> Vec<&'a Shared<Service>> {
        self.note(ReadKey::PublicServices);
        self.note(ReadKey::ServicesFor(namespace.clone()));
        let public = self.snapshot.public_services.iter();
        let own = self.snapshot.services_for.get(namespace).into_iter().flat_map(|set| set.iter());
        let mut orders: Vec<&'a ServiceOrder> = public.chain(own).collect();
        if orders.len() > self.snapshot.public_services.size() {
            orders.sort_unstable();
        }
        orders.into_iter().filter_map(|order| self.snapshot.services.get(&order.key)).collect()
    }

    pub fn service(&self, key: &ServiceKey) -> Option<&'a Shared<Service>> {
        self.note(ReadKey::Service(key.clone()));
        self.snapshot.services.get(key)
    }

    /// The services with exactly this host, sorted by namespace.
    pub fn services_named(&self, hostname: &Hostname) -> Vec<&'a Shared<Service>> {
        self.note(ReadKey::Hostname(hostname.clone()));
        let keys = self.snapshot.hostnames.get(hostname).map(|keys| &**keys).unwrap_or_default();
        keys.iter().filter_map(|key| self.snapshot.services.get(key)).collect()
    }

    /// The endpoints of a service; `None` when it has none.
    pub fn endpoints(&self, key: &ServiceKey) -> Option<&'a EndpointSet> {
        self.note(ReadKey::Endpoints(key.clone()));
        self.snapshot.endpoints.get(key)
    }

    /// Whose certificates the endpoints of a service show; of no endpoints, nobody's.
    pub fn identities(&self, key: &ServiceKey) -> Shared<EndpointIdentities> {
        self.note(ReadKey::Identities(key.clone()));
        self.snapshot
            .identities
            .get(key)
            .cloned()
            .unwrap_or_else(|| Shared::new(Default::default()))
    }

    /// The services that have an endpoint at this address.
    pub fn services_at(&self, address: IpAddr) -> Vec<&'a Shared<Service>> {
        self.note(ReadKey::Address(address));
        let Some(record) = self.snapshot.addresses.get(&address) else { return Vec::new() };
        record.services.iter().filter_map(|key| self.snapshot.services.get(key)).collect()
    }

    /// The pod or WorkloadEntry at this address.
    pub fn workload_at(&self, address: IpAddr) -> Option<&'a Shared<Workload>> {
        self.note(ReadKey::Address(address));
        self.snapshot.addresses.get(&address)?.workload.as_ref()
    }

    /// Every VirtualService that `namespace` may see, oldest first. Notes the sets; what a
    /// result takes from the content is noted by [`Reader::virtual_service`].
    pub fn visible_virtual_services(
        &self,
        namespace: &Namespace,
    ) -> Vec<&'a Shared<VirtualServiceRecord>> {
        self.note(ReadKey::PublicVirtualServices);
        self.note(ReadKey::VirtualServicesFor(namespace.clone()));
        let public = self.snapshot.public_virtual_services.iter();
        let own = self.snapshot.virtual_services_for.get(namespace);
        let mut orders: Vec<_> = public.chain(own.into_iter().flat_map(|set| set.iter())).collect();
        orders.sort_unstable();
        let find = |key: &ObjectKey| self.snapshot.virtual_services.get(key);
        orders.into_iter().filter_map(|order| find(&order.key)).collect()
    }

    pub fn virtual_service(&self, key: &ObjectKey) -> Option<&'a Shared<VirtualServiceRecord>> {
        self.note(ReadKey::VirtualService(key.clone()));
        self.snapshot.virtual_services.get(key)
    }

    /// The DestinationRules that apply to a service for clients in `client`, merged ones together,
    /// oldest first: those of the client's namespace, else of the service's, else of the root
    /// namespace; within one namespace those with the most specific host.
    pub fn destination_rules(
        &self,
        service: &ServiceKey,
        client: &Namespace,
        labels: &Labels,
    ) -> Vec<Shared<DestinationRuleRecord>> {
        let root = &self.mesh().root_namespace;
        let levels = [(client, true), (&service.namespace, false), (root, false)];
        for (level, (namespace, own)) in levels.iter().enumerate() {
            if levels[..level].iter().any(|(earlier, _)| earlier == namespace) {
                continue;
            }
            let (host, namespace) = (&service.hostname, *namespace);
            self.note(ReadKey::DestinationRules(host.clone(), namespace.clone()));
            let found = self.rules_in(host, namespace, |rule| {
                (*own || rule.visibility.includes(client))
                    && rule.selector.as_ref().is_none_or(|selector| selector.selects(labels))
            });
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn rules_in(
        &self,
        host: &Hostname,
        namespace: &Namespace,
        applies: impl Fn(&DestinationRuleRecord) -> bool,
    ) -> Vec<Shared<DestinationRuleRecord>> {
        let wildcards = self.snapshot.wildcard_rules.iter().filter(|wild| wild.covers(host));
        for pattern in std::iter::once(host).chain(wildcards) {
            let Some(rules) = self.snapshot.destination_rules.get(pattern) else { continue };
            let found: Vec<_> = rules
                .iter()
                .filter(|rule| rule.key.namespace == *namespace && applies(rule))
                .cloned()
                .collect();
            // A rule for chosen clients beats the one for all, and is not merged with it.
            let (chosen, general): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|rule| rule.selector.is_some());
            if let Some(first) = chosen.into_iter().next() {
                return vec![first];
            }
            if !general.is_empty() {
                return general;
            }
        }
        Vec::new()
    }

    /// The Sidecars of a namespace, oldest first.
    pub fn sidecars(&self, namespace: &Namespace) -> &'a [Shared<SidecarRecord>] {
        self.note(ReadKey::Sidecars(namespace.clone()));
        self.snapshot.sidecars.get(namespace).map(|records| &**records).unwrap_or_default()
    }

    /// The label keys by which rules choose the clients that they apply to.
    pub fn rule_labels(&self) -> &'a BTreeSet<Arc<str>> {
        self.note(ReadKey::RuleLabels);
        &self.snapshot.rule_labels
    }

    /// All Gateways, oldest first.
    pub fn gateways(&self) -> &'a Arc<[Shared<GatewayRecord>]> {
        self.note(ReadKey::Gateways);
        &self.snapshot.gateways
    }

    /// The policies of a kind in a namespace, oldest first.
    pub fn policies<S: Policy>(&self, namespace: &Namespace) -> &'a [Shared<PolicyRecord<S>>] {
        self.note(ReadKey::Policies(S::KIND, namespace.clone()));
        self.snapshot.policies(namespace)
    }

    /// Whether a PeerAuthentication of a namespace turns mTLS off for anybody: rare, and known without
    /// reading the policies, whose other changes are then nobody's.
    pub fn disables_mtls(&self, namespace: &Namespace) -> bool {
        self.note(ReadKey::PlainText(namespace.clone()));
        self.snapshot.disables_mtls(namespace)
    }

    /// One policy. Who reads chosen ones is left alone by changes of their neighbours.
    pub fn policy<S: Policy>(&self, key: &ObjectKey) -> Option<&'a Shared<PolicyRecord<S>>> {
        self.note(ReadKey::Policy(key.clone()));
        self.snapshot.policies::<S>(&key.namespace).iter().find(|record| record.key == *key)
    }

    /// A Secret (of kind [`Kind::Secret`](model::Kind)).
    pub fn secret(&self, key: &ObjectKey) -> Option<&'a Shared<Arc<Secret>>> {
        self.note(ReadKey::Secret(key.clone()));
        self.snapshot.secrets.get(key)
    }

    /// What limits the scope of a proxy's workload; `None` when nothing does.
    pub fn fence(&self, proxy: &Proxy) -> Option<Fence> {
        self.note(ReadKey::Mesh);
        self.note(ReadKey::Fences(proxy.namespace.clone()));
        let fence = self.snapshot.fence_of(&proxy.namespace, &proxy.labels)?;
        // Where there is no fence, there is nothing to switch off.
        let workload = proxy.workload();
        self.note(ReadKey::FenceSwitch(workload.clone()));
        self.snapshot.fence_off(&workload).is_none().then_some(fence)
    }

    /// How fences are made and what all of them hold. It never changes, so nothing is noted.
    pub fn fencing(&self) -> &'a FencingSettings {
        self.snapshot.fencing()
    }

    /// The hosts that a workload was seen to call.
    pub fn learned(&self, workload: &WorkloadKey) -> Option<&'a Learned> {
        self.note(ReadKey::Learned(workload.clone()));
        self.snapshot.learned.get(workload)
    }

    /// The fetched keys of a token issuer.
    pub fn key_set(&self, source: &KeySource) -> Option<&'a Shared<String>> {
        self.note(ReadKey::KeySet(source.clone()));
        self.snapshot.key_set(source)
    }
}
