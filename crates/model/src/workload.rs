//! One running instance, with or without a Service.

use std::{net::IpAddr, sync::Arc};

use crate::{Labels, Locality, Namespace, ObjectKey};

/// A pod or a WorkloadEntry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    pub origin: ObjectKey,
    pub namespace: Namespace,
    /// Name of what it belongs to (the Deployment's, say), for telemetry.
    pub workload_name: Arc<str>,
    pub addresses: Arc<[IpAddr]>,
    pub labels: Labels,
    pub service_account: Arc<str>,
    pub locality: Locality,
    pub network: Arc<str>,
    pub node: Arc<str>,
    /// Named container ports of a pod: name and number.
    pub named_ports: Arc<[(Arc<str>, u16)]>,
    pub ready: bool,
}
