//! Who the proxy says it is: `node`, as Istio's agent fills it in.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use api::{
    Object,
    istio::{mesh_config::MeshConfig, mesh_proxy_config::MeshProxyConfig},
};
use model::{Kind as ObjectKind, Locality, ObjectKey, Proxy, Workload};
use serde_json::{Map, Value, json};
use snapshot::{Change, Index, Reader, Snapshot};
use source_directory::load_once;

use super::{Bootstrap, Interception, Kind, envoy::XDS_CLUSTER, pairs};
use crate::{environment::Environment, settings::istiod};

/// The Istio version that our proxies claim: EnvoyFilters match on it.
const ISTIO_VERSION: &str = "1.30.0";

/// The objects of `--config`, resolved; empty without one.
pub(super) struct Mesh {
    objects: Vec<Object>,
    pub(super) snapshot: Arc<Snapshot>,
}

/// What the objects say of the workload.
#[derive(Default)]
pub(super) struct Known {
    workload: Option<Workload>,
    pub(super) annotations: BTreeMap<String, String>,
    /// The settings of all proxies of the mesh.
    pub(super) defaults: MeshProxyConfig,
}

impl Mesh {
    pub(super) fn load(args: &Bootstrap, environment: &Environment) -> Self {
        // What is wrong with the files is the matter of `meltemi check`.
        let (objects, _) = load_once(&args.config, args.mesh_config.as_deref());
        let features = istiod::features(environment);
        let mut index = Index::new(Arc::new(MeshConfig::default()), features, &args.domain);
        index.apply(objects.iter().cloned().map(Change::Put));
        Self { objects, snapshot: index.snapshot() }
    }

    /// The Pod or WorkloadEntry of this name.
    pub(super) fn find(&self, name: &str, namespace: &str) -> Known {
        let keys = [ObjectKind::Pod, ObjectKind::WorkloadEntry]
            .map(|kind| ObjectKey::new(kind, namespace, name));
        let reader = Reader::new(&self.snapshot);
        let mut found = self.objects.iter().filter(|object| keys.contains(&object.key));
        let annotations = found.clone().next().map(|object| object.meta.annotations.clone());
        let workload = found.find_map(|object| crate::check::workload(object, &reader));
        Known {
            workload: workload.cloned(),
            annotations: annotations.unwrap_or_default(),
            defaults: reader.mesh().config.default_config.clone().unwrap_or_default(),
        }
    }
}

impl Bootstrap {
    pub(super) fn node(&self, known: &Known) -> anyhow::Result<Value> {
        let (name, namespace) = self.workload_name().context("the workload has no namespace")?;
        let kind = match self.kind {
            Kind::Sidecar | Kind::Grpc => "sidecar",
            Kind::Gateway => "router",
        };
        let addresses = self.node_addresses(known);
        let address = addresses.first().map_or("127.0.0.1", String::as_str);
        let domain = format!("{namespace}.svc.{}", self.domain);
        let mut node = json!({
            "id": format!("{kind}~{address}~{name}.{namespace}~{domain}"),
            "cluster": format!("{name}.{namespace}"),
            "metadata": self.node_metadata(name, namespace, known)?,
        });
        let locality = self.node_locality(known);
        if !locality.is_empty() {
            node["locality"] = json!({
                "region": &*locality.region,
                "zone": &*locality.zone,
                "sub_zone": &*locality.subzone,
            });
        }
        Ok(node)
    }

    /// The proxy as the control plane would read it.
    pub(super) fn proxy(&self, known: &Known) -> anyhow::Result<Proxy> {
        let node = self.node(known)?;
        let id = node["id"].as_str().unwrap_or_default();
        let metadata = node["metadata"].as_object().cloned().unwrap_or_default();
        Ok(Proxy::parse(id, metadata, self.node_locality(known))?)
    }

    fn node_addresses(&self, known: &Known) -> Vec<String> {
        let own = known.workload.as_ref().map(|it| &*it.addresses).unwrap_or_default();
        let written = if self.addresses.is_empty() { own } else { &self.addresses };
        match written.is_empty() {
            true => vec!["127.0.0.1".to_owned()],
            false => written.iter().map(ToString::to_string).collect(),
        }
    }

    fn node_locality(&self, known: &Known) -> Locality {
        match (&self.locality, &known.workload) {
            (Some(text), _) => Locality::parse(text),
            (None, Some(workload)) => workload.locality.clone(),
            (None, None) => Locality::default(),
        }
    }

    fn node_metadata(
        &self,
        name: &str,
        namespace: &str,
        known: &Known,
    ) -> anyhow::Result<Map<String, Value>> {
        let interception = match self.interception {
            Interception::Redirect => "REDIRECT",
            Interception::Tproxy => "TPROXY",
            Interception::None => "NONE",
        };
        let mut metadata = Map::new();
        let mut set = |key: &str, value: &str| {
            if !value.is_empty() {
                metadata.insert(key.to_owned(), value.into());
            }
        };
        set("NAME", name);
        set("NAMESPACE", namespace);
        set("ISTIO_VERSION", ISTIO_VERSION);
        set("INSTANCE_IPS", &self.node_addresses(known).join(","));
        set("CLUSTER_ID", &self.cluster_id);
        set("MESH_ID", &self.domain);
        set("INTERCEPTION_MODE", interception);
        match self.kind {
            Kind::Grpc => set("GENERATOR", "grpc"),
            Kind::Sidecar | Kind::Gateway => set("MELTEMI_RUNTIME", "true"),
        }
        let workload = known.workload.as_ref();
        let or = |flag: &Option<String>, own: fn(&Workload) -> &str| {
            flag.clone().or(workload.map(|it| own(it).to_owned())).unwrap_or_default()
        };
        set("SERVICE_ACCOUNT", &or(&self.service_account, |it| &it.service_account));
        set("NETWORK", &or(&self.network, |it| &it.network));
        set("NODE_NAME", &or(&self.node_name, |it| &it.node));
        set("WORKLOAD_NAME", workload.map_or("", |it| &it.workload_name));
        let own = workload.into_iter().flat_map(|it| it.labels.iter());
        let labels: Map<String, Value> = own
            .chain(pairs(&self.labels)?)
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        if self.kind != Kind::Grpc {
            // Istio's tags of spans, in a form that an expression finds in one step.
            let label = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key)?.as_str());
            let names = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
            let revisions =
                ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];
            let own = workload.map(|it| &*it.workload_name).filter(|name| !name.is_empty());
            let canonical = label(&names).or(own).unwrap_or(name);
            let revision = label(&revisions).unwrap_or("latest");
            metadata.insert("MELTEMI_CANONICAL_SERVICE".to_owned(), canonical.into());
            metadata.insert("MELTEMI_CANONICAL_REVISION".to_owned(), revision.into());
            if self.host_ip.is_some() && !self.node_agent_ports.is_empty() {
                let ports: Vec<String> =
                    self.node_agent_ports.iter().map(ToString::to_string).collect();
                metadata.insert("MELTEMI_NODE_AGENT".to_owned(), ports.join(",").into());
            }
        }
        // A token would have to be said with each report, and only the bootstrap knows it.
        if self.kind == Kind::Sidecar && self.token_file.is_none() {
            metadata.insert("MELTEMI_REPORTS".to_owned(), XDS_CLUSTER.into());
        }
        metadata.insert("LABELS".to_owned(), labels.into());
        for (key, text) in pairs(&self.metadata)? {
            let value = match text.starts_with(['{', '[']) {
                true => serde_json::from_str(text)
                    .with_context(|| format!("the value of `{key}` is not JSON"))?,
                false => text.into(),
            };
            metadata.insert(key.to_owned(), value);
        }
        Ok(metadata)
    }
}
