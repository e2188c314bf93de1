//! What a workload accepts: the mode of mutual TLS that PeerAuthentications come to.

use api::istio::peer_authentication::{MutualTls, MutualTlsMode, PeerAuthentication};
use model::{Labels, Namespace, Service};

use crate::facts::Facts;

/// The mode of a workload's port. A policy for chosen workloads wins over that of the namespace,
/// and that over the mesh's; in each place the oldest counts.
pub(crate) fn mode_of(
    facts: &Facts<'_>,
    namespace: &Namespace,
    own: &Labels,
    port: u16,
) -> MutualTlsMode {
    let in_place = |namespace: &Namespace, chosen: bool| {
        let policies = facts.reader.policies::<PeerAuthentication>(namespace).iter();
        let mut fitting = policies.filter(move |it| it.selector.is_some() == chosen);
        fitting.find(|it| it.selects(own)).map(|it| it.spec.clone())
    };
    let chosen = in_place(namespace, true).or_else(|| in_place(facts.root, true));
    let of_port = chosen.as_ref().and_then(|policy| {
        let ports = policy.port_level_mtls.as_ref()?;
        ports.get(&port.to_string()).map(|it| it.mode)
    });
    let whole = |policy: &PeerAuthentication| policy.mtls.as_ref().map(|it: &MutualTls| it.mode);
    let general = [in_place(namespace, false), in_place(facts.root, false)];
    let levels = chosen.iter().chain(general.iter().flatten()).filter_map(|it| whole(it));
    of_port
        .into_iter()
        .chain(levels)
        .find(|mode| *mode != MutualTlsMode::Unset)
        .unwrap_or(MutualTlsMode::Permissive)
}

/// The modes behind a port of a service, one for each instance; one for the namespace where none is
/// listed, and none where that cannot be said.
pub(crate) fn modes_behind(facts: &Facts<'_>, service: &Service, port: u16) -> Vec<MutualTlsMode> {
    let Some(port) = service.port(port) else { return Vec::new() };
    let instances = facts.instances_of(service);
    if !instances.is_empty() {
        let of = |at: &usize| {
            let number = facts.target(*at, &port.target)?;
            Some(mode_of(facts, service.namespace(), &facts.instances[*at].labels, number))
        };
        return instances.iter().filter_map(of).collect();
    }
    let chosen = [service.namespace(), facts.root].into_iter().any(|namespace| {
        let policies = facts.reader.policies::<PeerAuthentication>(namespace);
        policies.iter().any(|policy| policy.selector.is_some())
    });
    match chosen {
        true => Vec::new(),
        false => vec![mode_of(facts, service.namespace(), &Labels::default(), 0)],
    }
}
