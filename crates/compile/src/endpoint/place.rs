//! Where a client runs, and how much of that the endpoints of a cluster depend on.

use std::{collections::BTreeSet, sync::Arc};

use model::{Labels, Locality, Service};
use snapshot::Mesh;

use crate::{
    Client,
    traffic_policy::{
        CLUSTER_LABEL, HOST_LABEL, LocalitySettings, NETWORK_LABEL, REGION_LABEL, Rules,
        SUBZONE_LABEL, ZONE_LABEL,
    },
};

/// What a [`Client`] leaves out because only endpoints depend on it. Parts for which
/// [`place_needs`] does not ask may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    pub locality: Locality,
    pub node_name: Arc<str>,
    pub labels: Labels,
}

/// The parts of a [`Place`] that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceNeeds {
    pub locality: bool,
    pub node: bool,
    /// Keys of labels.
    pub labels: BTreeSet<Arc<str>>,
}

impl PlaceNeeds {
    /// Whether nothing matters: the endpoints are the same everywhere.
    pub fn is_empty(&self) -> bool {
        !self.locality && !self.node && self.labels.is_empty()
    }

    /// Asks for all that `other` asks for.
    pub fn extend(&mut self, other: &Self) {
        self.locality |= other.locality;
        self.node |= other.node;
        self.labels.extend(other.labels.iter().cloned());
    }

    fn add_preference(&mut self, entry: &str) {
        if entry.contains('=') {
            return;
        }
        match entry {
            REGION_LABEL | ZONE_LABEL | SUBZONE_LABEL => self.locality = true,
            HOST_LABEL => self.node = true,
            _ => {}
        }
        // A client that does not know where it runs may say so by a label.
        self.labels.insert(entry.into());
    }
}

/// What the endpoints of one port of a service, or of a subset, depend on.
pub fn place_needs(
    service: &Service,
    port: u16,
    subset: &str,
    rules: &Rules,
    mesh: &Mesh,
) -> PlaceNeeds {
    let mut needs = PlaceNeeds { node: service.node_local, ..PlaceNeeds::default() };
    match LocalitySettings::new(&rules.policy(port, subset), service, mesh) {
        LocalitySettings::Off => {}
        LocalitySettings::Distribute(_) | LocalitySettings::Failover(_) => needs.locality = true,
        LocalitySettings::Priority { labels, failover } => {
            needs.locality = !failover.is_empty();
            labels.iter().for_each(|label| needs.add_preference(label));
        }
    }
    needs
}

impl Place {
    /// Reads one entry of `failoverPriority`: a label, whose value is the client's own unless it
    /// says another one by `label=value`.
    pub(super) fn preference(&self, entry: &str, client: &Client) -> (Arc<str>, Arc<str>) {
        let (label, value) = match entry.split_once('=') {
            Some((label, value)) => (label, value),
            None => (entry, self.label(entry, client)),
        };
        (label.into(), value.into())
    }

    fn label<'a>(&'a self, label: &str, client: &'a Client) -> &'a str {
        let own = self.labels.get(label).unwrap_or_default();
        let known = match label {
            NETWORK_LABEL => &client.network,
            CLUSTER_LABEL => &client.cluster_id,
            REGION_LABEL => &self.locality.region,
            ZONE_LABEL => &self.locality.zone,
            SUBZONE_LABEL => &self.locality.subzone,
            HOST_LABEL => &self.node_name,
            _ => own,
        };
        if known.is_empty() { own } else { known }
    }
}
