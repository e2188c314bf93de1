//! Which clusters a gateway needs: those that its listeners and routes name, and no others.

use std::collections::{BTreeMap, BTreeSet};

use model::Hostname;

use crate::{ClusterForm, ClusterRef, Compiled};

/// The clusters that compiled listeners and routes name, by host. Those that stand for no service
/// are left out.
pub fn gateway_clusters<'a>(
    compiled: impl IntoIterator<Item = &'a Compiled>,
) -> BTreeMap<Hostname, BTreeSet<ClusterRef>> {
    let mut wanted: BTreeMap<Hostname, BTreeSet<ClusterRef>> = BTreeMap::new();
    for name in compiled.into_iter().flat_map(|it| &it.clusters) {
        if let Some((hostname, cluster)) = parse(name) {
            wanted.entry(hostname).or_default().insert(cluster);
        }
    }
    wanted
}

fn parse(name: &str) -> Option<(Hostname, ClusterRef)> {
    let (form, separator, rest) = match name.strip_prefix("outbound|") {
        Some(rest) => (ClusterForm::Outbound, "|", rest),
        None => (ClusterForm::Sni, "_.", name.strip_prefix("outbound_.")?),
    };
    let mut parts = rest.splitn(3, separator);
    let port = parts.next()?.parse().ok()?;
    let subset = parts.next()?.into();
    Some((Hostname::new(parts.next()?), ClusterRef { form, port, subset }))
}
