//! What a proxy has acknowledged of its own identity: by what it proves who it is to others, and
//! whom it believes. Whoever replaces a root has to know both.

use compile::sds::{MESH_AUTHORITIES, OWN_CERTIFICATE};
use envoy::{
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
};
use prost::Message;

use crate::{ResourceKind, state::StreamState};

/// The public part of a proxy's own secrets, as PEM; empty where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldIdentity {
    /// Leaf and intermediates.
    pub certificate: String,
    /// The roots that it believes.
    pub authorities: String,
}

impl HeldIdentity {
    pub(super) fn of(state: &StreamState) -> Self {
        let held = state.held(ResourceKind::Secret);
        let secret = |name: &str| {
            let acknowledged = held.get(name)?.acknowledged.as_ref()?;
            Secret::decode(acknowledged.resource.decode_bytes()).ok()?.r#type
        };
        let certificate = match secret(OWN_CERTIFICATE) {
            Some(Type::TlsCertificate(it)) => text(it.certificate_chain),
            _ => String::new(),
        };
        let authorities = match secret(MESH_AUTHORITIES) {
            Some(Type::ValidationContext(it)) => text(it.trusted_ca),
            _ => String::new(),
        };
        Self { certificate, authorities }
    }
}

fn text(source: Option<DataSource>) -> String {
    match source.and_then(|it| it.specifier) {
        Some(Specifier::InlineBytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    }
}
