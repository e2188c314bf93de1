//! Policies as readers find them: by namespace, oldest first.
//!
//! - Not here: which of several policies wins, and what it means to Envoy (`compile`).

use std::sync::Arc;

use api::{
    Spec,
    istio::{
        LabelSelector, PolicyTargetReference,
        authorization_policy::AuthorizationPolicy,
        peer_authentication::{MutualTlsMode, PeerAuthentication},
        request_authentication::RequestAuthentication,
        telemetry::Telemetry,
    },
    meta::ObjectMeta,
};
use model::{Kind, Labels, Namespace, ObjectKey, Shared};

use crate::{Snapshot, hash::SharedMap};

/// The label by which a gateway of the Gateway API knows its object.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// One policy.
#[derive(Clone, Debug)]
pub struct PolicyRecord<S> {
    pub key: ObjectKey,
    /// In seconds since the epoch; 0 when the object has none.
    pub created: i64,
    /// `None` applies to the whole namespace (in the root namespace: to the mesh).
    pub selector: Option<Labels>,
    /// Annotations may change what a policy does (`istio.io/dry-run`).
    pub meta: Arc<ObjectMeta>,
    pub spec: Arc<S>,
}

impl<S: Policy> PolicyRecord<S> {
    /// Whether the policy is for a proxy with these labels, which is in its namespace or, if that
    /// is the root namespace, anywhere. One with targets is for the gateways that they name.
    pub fn selects(&self, labels: &Labels) -> bool {
        let mut targets = self.spec.targets().peekable();
        if targets.peek().is_some() {
            let gateway = labels.get(GATEWAY_NAME);
            return targets.any(|it| it.kind == "Gateway" && gateway == Some(it.name.as_str()));
        }
        self.selector.as_ref().is_none_or(|selector| selector.selects(labels))
    }

    /// Whether the policy says for whom it is, by labels or by name.
    pub fn names_workloads(&self) -> bool {
        self.selector.is_some() || self.spec.targets().next().is_some()
    }
}

/// The policies of each namespace, oldest first.
pub(crate) type PolicyTable<S> = SharedMap<Namespace, Arc<[Shared<PolicyRecord<S>>]>>;

/// The kinds of policies.
pub trait Policy: Sized + 'static {
    const KIND: Kind;

    fn of(spec: &Spec) -> Option<&Arc<Self>>;

    fn selector(&self) -> Option<&LabelSelector>;

    /// What the policy is attached to by name.
    fn targets(&self) -> impl Iterator<Item = &PolicyTargetReference>;

    #[doc(hidden)]
    fn table(policies: &Policies) -> &PolicyTable<Self>;

    #[doc(hidden)]
    fn table_mut(policies: &mut Policies) -> &mut PolicyTable<Self>;
}

/// All policies of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    peer_authentications: PolicyTable<PeerAuthentication>,
    request_authentications: PolicyTable<RequestAuthentication>,
    authorization_policies: PolicyTable<AuthorizationPolicy>,
    telemetries: PolicyTable<Telemetry>,
}

impl Snapshot {
    /// The policies of a kind in a namespace, oldest first.
    pub(crate) fn policies<S: Policy>(&self, namespace: &Namespace) -> &[Shared<PolicyRecord<S>>] {
        S::table(&self.policies).get(namespace).map(|records| &**records).unwrap_or_default()
    }
}

impl Snapshot {
    /// Whether a PeerAuthentication of a namespace says `DISABLE`, for whomever.
    pub(crate) fn disables_mtls(&self, namespace: &Namespace) -> bool {
        self.policies::<PeerAuthentication>(namespace).iter().any(|record| {
            let ports = record.spec.port_level_mtls.iter().flat_map(|ports| ports.values());
            let modes = record.spec.mtls.iter().chain(ports).map(|mtls| mtls.mode);
            modes.into_iter().any(|mode| mode == MutualTlsMode::Disable)
        })
    }
}

macro_rules! policy {
    ($kind:ident, $table:ident, |$policy:ident| $targets:expr) => {
        impl Policy for $kind {
            const KIND: Kind = Kind::$kind;

            fn of(spec: &Spec) -> Option<&Arc<Self>> {
                match spec {
                    Spec::$kind(policy) => Some(policy),
                    _ => None,
                }
            }

            fn selector(&self) -> Option<&LabelSelector> {
                self.selector.as_ref()
            }

            fn targets(&self) -> impl Iterator<Item = &PolicyTargetReference> {
                let $policy = self;
                $targets
            }

            fn table(policies: &Policies) -> &PolicyTable<Self> {
                &policies.$table
            }

            fn table_mut(policies: &mut Policies) -> &mut PolicyTable<Self> {
                &mut policies.$table
            }
        }
    };
}

policy!(PeerAuthentication, peer_authentications, |_policy| std::iter::empty());
policy!(RequestAuthentication, request_authentications, |policy| {
    policy.target_ref.iter().chain(&policy.target_refs)
});
policy!(AuthorizationPolicy, authorization_policies, |policy| {
    policy.target_ref.iter().chain(&policy.target_refs)
});
policy!(Telemetry, telemetries, |policy| policy.target_ref.iter().chain(&policy.target_refs));
