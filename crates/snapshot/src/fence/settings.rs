//! How fences are made and what all of them hold: settings of the process.
//!
//! - Not here: how people write them (`api::slime::lazyload`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Hostname, Labels, Namespace, ScopeMode};

use super::{Declared, DomainAliases};

/// Settings of fences. They hold as long as the process.
#[derive(Clone, Debug)]
pub struct FencingSettings {
    /// What a fence means for workloads that do not say how much they are sent.
    pub mode: ScopeMode,
    /// What takes the place of `on-demand` for proxies that cannot ask.
    pub without_on_demand: ScopeMode,
    /// What mode `gateway` leads to; without it, the mode is the same as `learned`.
    pub gateway: Option<LazyGateway>,
    /// Fences are made from Services that ask for it, or whose Namespace does.
    pub auto: bool,
    /// Such a Service need not ask.
    pub by_default: bool,
    /// The label with the name of a fence that does not select its workloads in another way.
    pub name_label: String,
    /// Workloads with a label of their own are fenced.
    pub workload_label: Option<WorkloadLabel>,
    pub namespaces: NamespaceScope,
    /// What every fenced workload is sent.
    pub always: Declared,
    pub aliases: DomainAliases,
    /// Where calls of hosts go that the mesh does not know.
    pub dispatches: Vec<Dispatch>,
    /// Calls of unknown hosts leave the mesh. Where nothing names a mode, this is `passthrough`.
    pub passthrough_by_default: bool,
    /// How long a dependency stays that nothing asks for any more, in seconds.
    pub expire_wait: i64,
}

impl Default for FencingSettings {
    fn default() -> Self {
        Self {
            mode: ScopeMode::OnDemand,
            without_on_demand: ScopeMode::Full,
            gateway: None,
            auto: true,
            by_default: false,
            name_label: "app".to_owned(),
            workload_label: None,
            namespaces: NamespaceScope::default(),
            always: Declared::default(),
            aliases: DomainAliases::default(),
            dispatches: Vec::new(),
            passthrough_by_default: false,
            expire_wait: Self::EXPIRE_WAIT,
        }
    }
}

impl FencingSettings {
    /// The usual [`expire_wait`](Self::expire_wait).
    pub const EXPIRE_WAIT: i64 = 300;
}

/// The gateway that has what is exported to the whole mesh, for those who are told less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LazyGateway {
    /// Of its Service, in full.
    pub host: Hostname,
    /// Of its Service and of itself.
    pub port: u16,
    /// By which others know it: that of its pods.
    pub namespace: Namespace,
    pub service_account: Arc<str>,
}

impl LazyGateway {
    /// The usual [`port`](Self::port).
    pub const PORT: u16 = 15080;
}

/// A label of pods, each value of which is a workload with a fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadLabel {
    pub key: String,
    /// What the names of the fences begin with.
    pub alias: String,
}

impl WorkloadLabel {
    /// The name that the fence of a value has.
    pub fn fence_name(&self, value: &str) -> String {
        format!("{}-{value}.workload.identity", self.alias)
    }
}

/// The namespaces in which fences are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceScope {
    pub names: NamespaceNames,
    /// One of these selects the Namespace; none at all select each.
    pub selectors: Vec<NamespaceSelector>,
}

/// Namespaces by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceNames {
    #[default]
    All,
    Only(BTreeSet<Namespace>),
    AllBut(BTreeSet<Namespace>),
}

/// Kubernetes' selector over labels: all that it says must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceSelector {
    pub labels: Labels,
    pub expressions: Vec<LabelExpression>,
}

/// What must hold for the value of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelExpression {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    DoesNotExist(String),
}

impl NamespaceScope {
    /// Whether a namespace with these labels (`None`: nobody wrote an object for it) is one of them.
    pub(crate) fn includes(
        &self,
        name: &Namespace,
        labels: Option<&BTreeMap<String, String>>,
    ) -> bool {
        let is_named = match &self.names {
            NamespaceNames::All => true,
            NamespaceNames::Only(names) => names.contains(name),
            NamespaceNames::AllBut(names) => !names.contains(name),
        };
        let no_labels = BTreeMap::new();
        let labels = labels.unwrap_or(&no_labels);
        is_named
            && (self.selectors.is_empty() || self.selectors.iter().any(|it| it.selects(labels)))
    }
}

impl NamespaceSelector {
    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |(key, value): (&str, &str)| labels.get(key).is_some_and(|it| it == value);
        self.labels.iter().all(has) && self.expressions.iter().all(|it| it.holds(labels))
    }
}

impl LabelExpression {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|it| values.contains(it)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|it| !values.contains(it)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

/// A way for calls of some hosts that the mesh does not know, before what is done with others.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub name: String,
    pub target: DispatchTarget,
    /// Hosts as virtual hosts name them.
    pub domains: Vec<String>,
    /// RE2 over the authority, judged after `domains`.
    pub domain_regex: Option<String>,
}

/// Where a [`Dispatch`] leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DispatchTarget {
    /// To where the caller wanted to.
    Passthrough,
    /// To the gateway that has the whole mesh.
    Gateway,
    /// A cluster by its name in Envoy.
    Cluster(String),
}
