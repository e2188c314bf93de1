//! Objects as people wrote them → one immutable, indexed view of the mesh.
//!
//! - [`Index`] is the writer's side: it takes [`Change`]s, keeps what derives from them (services,
//!   endpoints, resolved rules) and says which [`ReadKey`]s changed.
//! - [`Snapshot`] is the readers' side: shared parts, never changed, cheap to hold. It is read
//!   through a [`Reader`] only, which records each read, so that what depends on a key is known.
//! - Pure: no clock, I/O or randomness; the same objects give the same snapshot in any order.
//! - Not here: who writes and when (`store`), what Envoy is told (`compile`).

mod change;
mod fence;
mod hash;
mod hosts;
mod identities;
mod index;
mod key_set;
mod mesh;
mod objects;
mod policy;
mod reader;
mod reads;
mod rules;
mod view;

pub use change::{Change, ChangeSet, Happening, ReadKey};
pub use fence::{
    Declared, Dispatch, DispatchTarget, Domain, DomainAlias, DomainAliases, DomainSource,
    DomainStatus, Domains, ExportedScope, ExportedScopes, FENCED_LABEL, Fence, FenceOrigin,
    FenceRecord, FenceWaits, FencingSettings, LabelExpression, LazyGateway, Learned, Member,
    NamespaceNames, NamespaceScope, NamespaceSelector, SCOPE_LABEL, WorkloadLabel,
};
pub use hosts::{is_short_name, resolve_short_name};
pub use identities::{EndpointIdentities, MutualEndpoints};
pub use index::Index;
pub use key_set::KeySource;
pub use mesh::{Features, Mesh, OutboundPolicy, PathNormalization};
pub use objects::Objects;
pub use policy::{Policy, PolicyRecord};
pub use reader::Reader;
pub use reads::{KeyHash, Reads};
pub use rules::{DestinationRuleRecord, GatewayRecord, SidecarRecord, VirtualServiceRecord};
pub use view::{EndpointSet, Snapshot};
