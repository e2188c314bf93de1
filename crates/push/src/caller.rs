//! Who is at the other end of a stream, and what such a one may claim to be.
//!
//! - What a proxy is sent as configuration depends on what it claims; what it is given as secrets
//!   depends on what it has proven. A claim that contradicts the proof ends the stream.
//! - A proof that cannot be believed is worse than none.
//! - Not here: certificates and tokens themselves (whoever implements [`Authenticator`]).

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use model::{Identity, Proxy};
use snapshot::Mesh;
use tokio::sync::watch;
use xds::{Code, PeerInfo, Status};

use crate::own::Issuer;

#[cfg(test)]
mod tests;

/// What a client has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub identity: Identity,
    /// When the certificate or token ends. The stream ends with it.
    pub expires: SystemTime,
}

/// What a look at the proof of a client gives; an error says why it is not believed.
pub type Authentication<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Proof>, String>> + Send + 'a>>;

/// Whoever believes clients.
pub trait Authenticator: Send + Sync + 'static {
    /// `None` when the client shows nothing.
    fn authenticate<'a>(&'a self, peer: &'a PeerInfo) -> Authentication<'a>;

    /// Changes when what was believed may be believed no more.
    fn changed(&self) -> watch::Receiver<u64>;
}

/// Which clients without a proof are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unproven {
    /// Those on this machine, or in this pod.
    #[default]
    Loopback,
    Anyone,
    Nobody,
}

/// Whom the streams of a service are believed and what they get for it.
#[derive(Clone, Default)]
pub struct Access {
    /// Without one, nobody has an identity.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Without one, nobody gets a certificate.
    pub issuer: Option<Arc<dyn Issuer>>,
    pub unproven: Unproven,
}

/// The client of one stream.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// What it has proven.
    pub proof: Option<Proof>,
    /// Nobody on the way can read what it is sent.
    pub(crate) is_private: bool,
}

impl Access {
    /// Who the client is, or why it is not served.
    pub async fn admit(&self, peer: &PeerInfo) -> Result<Caller, Status> {
        let refuse = |why: String| Status::new(Code::Unauthenticated, why);
        let is_private = peer.is_private();
        if peer.authorization.is_some() && !is_private {
            let why = "a token came over plain text, and may be known to others by now: use TLS";
            return Err(refuse(why.to_owned()));
        }
        let proof = match &self.authenticator {
            Some(authenticator) => authenticator.authenticate(peer).await.map_err(refuse)?,
            None => None,
        };
        let is_served = match self.unproven {
            Unproven::Anyone => true,
            Unproven::Loopback => peer.is_loopback(),
            Unproven::Nobody => false,
        };
        if proof.is_none() && !is_served {
            let why = "nothing proves who this proxy is: show a client certificate or a token \
                       (see `meltemi bootstrap --certificate` and `--token-file`)";
            return Err(refuse(why.to_owned()));
        }
        Ok(Caller { proof, is_private })
    }
}

impl Caller {
    /// Whether a client may claim to be this proxy.
    pub fn may_be(&self, proxy: &Proxy, mesh: &Mesh) -> Result<(), Status> {
        let Some(Proof { identity, .. }) = &self.proof else { return Ok(()) };
        let Identity { trust_domain, namespace, service_account } = identity;
        let refuse = |claim: &str| {
            let message = format!("the stream has proven `{identity}`, and claims {claim}");
            Err(Status::new(Code::PermissionDenied, message))
        };
        let own = std::iter::once(&*mesh.trust_domain);
        let mut domains = own.chain(mesh.config.trust_domain_aliases.iter().map(String::as_str));
        if !domains.any(|domain| domain == &**trust_domain) {
            return refuse(&format!("a place in the trust domain `{}`", mesh.trust_domain));
        }
        if *namespace != proxy.namespace {
            return refuse(&format!("the namespace `{}`", proxy.namespace));
        }
        let account = &proxy.service_account;
        if !account.is_empty() && account != service_account {
            return refuse(&format!("the service account `{account}`"));
        }
        Ok(())
    }

    /// Whose secrets the client may be sent, if anybody's.
    pub(crate) fn holder(&self) -> Option<&Identity> {
        self.proof.as_ref().filter(|_| self.is_private).map(|proof| &proof.identity)
    }
}
