//! Why a cluster that a rule leads to does not exist, in the words of the rule.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
};

use api::{
    Object, Spec,
    istio::virtual_service::{Destination, VirtualService},
};
use model::{Diagnostic, Hostname, ObjectKey};
use snapshot::{Reader, Snapshot, resolve_short_name};

use super::codes;

/// Looks up what rules name.
pub(super) struct Destinations<'a> {
    objects: HashMap<&'a ObjectKey, &'a Object>,
    reader: Reader<'a>,
    domain: &'a str,
    /// Each is told once: many classes have the same rule.
    told: RefCell<HashSet<(String, Option<ObjectKey>)>>,
}

/// `outbound|80|v1|cart.shop.svc.cluster.local`, read.
struct Wanted {
    port: u16,
    subset: String,
    hostname: Hostname,
}

impl Wanted {
    fn parse(cluster: &str) -> Option<Self> {
        let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
        let port = parts.next()?.parse().ok()?;
        let subset = parts.next()?.to_owned();
        Some(Self { port, subset, hostname: Hostname::new(parts.next()?) })
    }
}

impl<'a> Destinations<'a> {
    pub(super) fn new(objects: &'a [Object], snapshot: &'a Snapshot) -> Self {
        Self {
            objects: objects.iter().map(|object| (&object.key, object)).collect(),
            reader: Reader::new(snapshot),
            domain: &snapshot.mesh().domain,
            told: RefCell::default(),
        }
    }

    /// The finding that `cluster`, which something made of `origins` names, does not exist;
    /// `None` where that is no mistake, or was told before. `clusters` are those that do exist.
    pub(super) fn explain(
        &self,
        cluster: &str,
        origins: &[ObjectKey],
        clusters: &BTreeSet<&str>,
    ) -> Option<Diagnostic> {
        let wanted = Wanted::parse(cluster)?;
        let (message, hint) = self.reason(&wanted, clusters)?;
        let (rule, field) = self.find(&wanted, origins)?;
        if !self.told.borrow_mut().insert((message.clone(), Some(rule.clone()))) {
            return None;
        }
        let finding = codes::NO_SUCH_DESTINATION.diagnostic(message);
        Some(finding.object(rule.clone()).field(field).hint(hint))
    }

    fn reason(&self, wanted: &Wanted, clusters: &BTreeSet<&str>) -> Option<(String, &'static str)> {
        let Wanted { port, subset, hostname } = wanted;
        let services = self.reader.services_named(hostname);
        if services.is_empty() {
            let message = format!("there is no service `{hostname}`");
            return Some((message, "check the host, or add a Service or a ServiceEntry"));
        }
        if !services.iter().any(|service| service.port(*port).is_some()) {
            let message = format!("the service `{hostname}` has no port {port}");
            return Some((message, "set `destination.port.number` to a port of the service"));
        }
        let whole = format!("outbound|{port}||{hostname}");
        if !subset.is_empty() && clusters.contains(whole.as_str()) {
            let message = format!("the service `{hostname}` has no subset `{subset}`");
            return Some((message, "define the subset in the DestinationRule of the service"));
        }
        None
    }

    /// The rule among the origins that names the destination, and where it does.
    fn find<'o>(
        &self,
        wanted: &Wanted,
        origins: &'o [ObjectKey],
    ) -> Option<(&'o ObjectKey, String)> {
        origins.iter().find_map(|origin| {
            let Spec::VirtualService(rule) = &self.objects.get(origin)?.spec else { return None };
            let is_meant = |destination: &Destination| {
                let port = destination.port.as_ref().map(|port| port.number);
                destination.subset == wanted.subset
                    && port.is_none_or(|port| port == u32::from(wanted.port))
                    && resolve_short_name(&destination.host, &origin.namespace, self.domain)
                        == wanted.hostname
            };
            let all = destinations(rule).into_iter();
            let found = all.filter(|(_, it)| is_meant(it)).map(|(field, _)| field).next()?;
            Some((origin, found))
        })
    }
}

/// Every destination of a rule, with its field.
fn destinations<'r>(rule: &'r VirtualService) -> Vec<(String, &'r Destination)> {
    let mut all = Vec::new();
    let mut add = |field: String, destination: Option<&'r Destination>| {
        all.extend(destination.map(|it| (field, it)));
    };
    for (index, http) in rule.http.iter().enumerate() {
        for (at, route) in http.route.iter().enumerate() {
            add(format!("spec.http[{index}].route[{at}].destination"), route.destination.as_ref());
        }
        add(format!("spec.http[{index}].mirror"), http.mirror.as_ref());
        for (at, mirror) in http.mirrors.iter().enumerate() {
            let field = format!("spec.http[{index}].mirrors[{at}].destination");
            add(field, mirror.destination.as_ref());
        }
    }
    let tls = rule.tls.iter().map(|it| &it.route).enumerate();
    let tcp = rule.tcp.iter().map(|it| &it.route).enumerate();
    let both = tls.map(|it| ("tls", it)).chain(tcp.map(|it| ("tcp", it)));
    for (kind, (index, routes)) in both {
        for (at, route) in routes.iter().enumerate() {
            let field = format!("spec.{kind}[{index}].route[{at}].destination");
            add(field, route.destination.as_ref());
        }
    }
    all
}
