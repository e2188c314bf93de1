//! The secrets of a proxy's own identity: `default` and `ROOTCA`, as views beside the engine's.
//!
//! - Made when a stream first asks, shared by all streams with the same identity, renewed while
//!   there is one of them, and forgotten with the last.
//! - A renewal that fails leaves what there was, and is tried again.
//! - Not here: who may have them (`caller`), and how certificates are signed (whoever implements
//!   [`Issuer`]).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use compile::{
    Compiled,
    sds::{MESH_AUTHORITIES, OWN_CERTIFICATE},
};
use envoy::{
    Resource,
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, Secret, TlsCertificate, secret::Type,
    },
    type_url,
};
use model::Identity;
use tokio::{
    sync::{OnceCell, watch},
    task, time,
};

use crate::{FacetView, ResourceKind};

#[cfg(test)]
mod tests;

/// How long after a failure the next try is.
const RETRY: Duration = Duration::from_secs(5);

/// A certificate with its key. It has no `Debug`, so that the key is never shown.
pub struct OwnCertificate {
    /// Leaf and intermediates.
    pub chain_pem: Arc<str>,
    pub key_pem: Arc<str>,
    /// When to ask for the next one.
    pub renew_at: SystemTime,
}

/// Whoever signs for identities. Calls may block.
pub trait Issuer: Send + Sync + 'static {
    /// A new key and its certificate; an error says why there is none.
    fn issue(&self, identity: &Identity) -> Result<OwnCertificate, String>;

    /// The authorities that the mesh believes, as PEM.
    fn roots(&self) -> Arc<str>;

    /// Changes when roots or the way of signing do.
    fn changed(&self) -> watch::Receiver<u64>;
}

/// A view that is replaced at each renewal.
pub(crate) type OwnView = watch::Receiver<Arc<FacetView>>;

/// The secrets of all identities that streams have asked for.
#[derive(Clone)]
pub(crate) struct OwnSecrets {
    issuer: Arc<dyn Issuer>,
    known: Arc<Mutex<HashMap<Identity, Weak<Lease>>>>,
}

/// Held by every stream of an identity.
#[derive(Debug, Default)]
pub(crate) struct Lease(OnceCell<OwnView>);

impl OwnSecrets {
    pub(crate) fn new(issuer: Arc<dyn Issuer>) -> Self {
        Self { issuer, known: Arc::default() }
    }

    /// The secrets of an identity; there are none yet if its certificate could not be made.
    pub(crate) async fn lease(&self, identity: &Identity) -> (Arc<Lease>, OwnView) {
        let lease = self.find(identity);
        let view = lease.0.get_or_init(|| self.start(identity, &lease)).await.clone();
        (lease, view)
    }

    fn find(&self, identity: &Identity) -> Arc<Lease> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = known.get(identity).and_then(Weak::upgrade) {
            return lease;
        }
        known.retain(|_, lease| lease.strong_count() > 0);
        let lease = Arc::new(Lease::default());
        known.insert(identity.clone(), Arc::downgrade(&lease));
        lease
    }

    /// Makes the first secrets, and leaves a task behind that renews them.
    async fn start(&self, identity: &Identity, lease: &Arc<Lease>) -> OwnView {
        let mut changed = self.issuer.changed();
        changed.mark_unchanged();
        let (first, next) = match self.make(identity).await {
            Ok((view, renew_at)) => (view, until(renew_at)),
            Err(()) => (FacetView::default(), RETRY),
        };
        let (sender, view) = watch::channel(Arc::new(first));
        let (own, identity, lease) = (self.clone(), identity.clone(), Arc::downgrade(lease));
        tokio::spawn(async move { own.renew(&identity, &lease, &sender, changed, next).await });
        view
    }

    async fn renew(
        self,
        identity: &Identity,
        lease: &Weak<Lease>,
        views: &watch::Sender<Arc<FacetView>>,
        mut changed: watch::Receiver<u64>,
        mut next: Duration,
    ) {
        while lease.strong_count() > 0 {
            tokio::select! {
                () = time::sleep(next) => (),
                // An issuer that is gone changes no more.
                Ok(()) = changed.changed() => (),
                // The lease holds one receiver; the last stream takes it along.
                () = views.closed() => return,
            }
            next = match self.make(identity).await {
                Ok((view, renew_at)) => {
                    views.send_replace(Arc::new(view));
                    until(renew_at)
                }
                Err(()) => RETRY,
            };
        }
    }

    /// The secrets as of now, and when to make them anew.
    async fn make(&self, identity: &Identity) -> Result<(FacetView, SystemTime), ()> {
        let (issuer, own) = (self.issuer.clone(), identity.clone());
        let issued = task::spawn_blocking(move || (issuer.issue(&own), issuer.roots())).await;
        let (issued, roots) = issued.map_err(|error| {
            tracing::error!(%identity, %error, "Issuing a certificate failed by a defect");
        })?;
        let certificate = issued.map_err(|error| {
            tracing::error!(%identity, error, "A workload gets no certificate");
        })?;
        let mut view = FacetView::default();
        let own = TlsCertificate {
            certificate_chain: Some(inline(&certificate.chain_pem)),
            private_key: Some(inline(&certificate.key_pem)),
            ..TlsCertificate::default()
        };
        let roots = CertificateValidationContext {
            trusted_ca: Some(inline(&roots)),
            ..CertificateValidationContext::default()
        };
        put(&mut view, OWN_CERTIFICATE, Type::TlsCertificate(own));
        put(&mut view, MESH_AUTHORITIES, Type::ValidationContext(roots));
        tracing::debug!(%identity, "Certificate issued");
        Ok((view, certificate.renew_at))
    }
}

/// Whether this is a secret of the asking proxy's own identity.
pub(crate) fn is_own(name: &str) -> bool {
    [OWN_CERTIFICATE, MESH_AUTHORITIES].contains(&name)
}

fn put(view: &mut FacetView, name: &str, kind: Type) {
    let secret = Secret { name: name.to_owned(), r#type: Some(kind) };
    let name: Arc<str> = name.into();
    let resource = Resource::from_message(name.clone(), type_url::SECRET, &secret);
    view.set(ResourceKind::Secret, &name, Some(Arc::new(Compiled::new(resource))));
}

fn inline(pem: &str) -> DataSource {
    let specifier = Specifier::InlineBytes(pem.as_bytes().to_vec());
    DataSource { specifier: Some(specifier), ..DataSource::default() }
}

/// A time that has passed is not waited for, but never tried in a tight loop either.
fn until(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::now()).unwrap_or_default().max(Duration::from_millis(100))
}
