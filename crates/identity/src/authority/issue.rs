//! Certificates that an authority gives.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use model::Identity;

use super::{Authority, AuthoritySettings, Inner, IssueError};
use crate::{
    MintError, PrivateKeyPem,
    bundle::Bundle,
    issuer::{LeafName, Validity, make_leaf},
    key::generate,
    request::parse_request,
    state::{State, bound},
    store::Store,
};

/// The shortest life of a certificate, and how it is spread around its half when it is renewed.
const SHORTEST: Duration = Duration::from_secs(1);
/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct WorkloadCertificate {
    /// The leaf, then its intermediates, without the root.
    pub chain_pem: Arc<str>,
    /// The key of the leaf.
    pub key_pem: PrivateKeyPem,
    /// From when on it is valid; a little before it was made.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// When to ask for the next one: around half of its life, at a different time for each.
    pub renew_at: SystemTime,
}

/// A certificate for a key that its owner keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The certificate.
    pub leaf_pem: String,
    /// The intermediates, the one that has signed it first.
    pub intermediates_pem: Arc<[Arc<str>]>,
    /// All trusted roots.
    pub roots_pem: Arc<str>,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

impl Authority {
    /// Makes a key and a certificate for a workload.
    pub fn issue(&self, identity: &Identity) -> Result<WorkloadCertificate, IssueError> {
        self.require_own(identity)?;
        self.issue_for(&LeafName::Workload(identity))
    }

    /// Makes a key and a certificate for a server with these DNS names and IP addresses.
    pub fn server_certificate(
        &self,
        dns_names: &[String],
    ) -> Result<WorkloadCertificate, IssueError> {
        self.issue_for(&LeafName::Server(dns_names))
    }

    /// Signs for the key of a signing request, in PEM or DER. What the request says of names is
    /// not read. A `lifetime` above the longest one is cut.
    pub fn sign(
        &self,
        request: &[u8],
        identity: &Identity,
        lifetime: Option<Duration>,
    ) -> Result<Chain, IssueError> {
        self.require_own(identity)?;
        let request = parse_request(request)?;
        let AuthoritySettings { lifetime: usual, longest_lifetime, .. } = self.0.settings;
        let lifetime = lifetime.unwrap_or(usual).clamp(SHORTEST, longest_lifetime.max(usual));
        self.note_lifetime(lifetime)?;
        let bundle = self.usable()?;
        let name = LeafName::Workload(identity);
        let (leaf, Validity { not_after, .. }) =
            make_leaf(&*self.0.ambient, &bundle.signer, &name, &request.key, lifetime)?;
        Ok(Chain {
            leaf_pem: leaf.pem(),
            intermediates_pem: bundle.chain_pem.clone(),
            roots_pem: bundle.roots_pem.clone(),
            not_after,
        })
    }

    fn issue_for(&self, name: &LeafName<'_>) -> Result<WorkloadCertificate, IssueError> {
        let lifetime = self.0.settings.lifetime.max(SHORTEST);
        self.note_lifetime(lifetime)?;
        let bundle = self.usable()?;
        let (key, key_pem) = generate().map_err(MintError::from)?;
        let (leaf, validity) = make_leaf(&*self.0.ambient, &bundle.signer, name, &key, lifetime)?;
        let mut chain = leaf.pem();
        bundle.chain_pem.iter().for_each(|it| chain.push_str(it));
        let Validity { not_before, not_after } = validity;
        let renew_at = self.renewal(not_after)?;
        Ok(WorkloadCertificate {
            chain_pem: chain.into(),
            key_pem,
            not_before,
            not_after,
            renew_at,
        })
    }

    /// Between 40 % and 60 % of what is left.
    fn renewal(&self, not_after: SystemTime) -> Result<SystemTime, MintError> {
        let now = self.0.ambient.now();
        let left = not_after.duration_since(now).unwrap_or_default();
        let random = self.0.ambient.random()?;
        let share = f64::from(u16::from_be_bytes([random[0], random[1]])) / f64::from(u16::MAX);
        Ok(now + left.mul_f64(0.4 + 0.2 * share))
    }

    fn usable(&self) -> Result<Arc<Bundle>, IssueError> {
        let bundle = self.0.bundle.load_full();
        match bundle.signer.not_after > self.0.ambient.now() {
            true => Ok(bundle),
            false => Err(IssueError::Expired),
        }
    }

    fn require_own(&self, identity: &Identity) -> Result<(), IssueError> {
        let trust_domain = &self.0.settings.trust_domain;
        match identity.trust_domain == *trust_domain {
            true => Ok(()),
            false => Err(IssueError::ForeignTrustDomain {
                identity: identity.clone(),
                trust_domain: trust_domain.clone(),
            }),
        }
    }

    /// A rotation waits for the longest life of a leaf: a longer one is on disk before it is given.
    fn note_lifetime(&self, lifetime: Duration) -> Result<(), IssueError> {
        let Inner { settings, loaded, .. } = &*self.0;
        let longest_leaf = bound(lifetime);
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if settings.cacerts.is_some() || loaded.longest_leaf >= longest_leaf {
            return Ok(());
        }
        let longest = |state: &State| {
            let next =
                State { longest_leaf: longest_leaf.max(state.longest_leaf), ..state.clone() };
            Ok(Some(next))
        };
        let noted = Store::new(&settings.directory).change(longest);
        loaded.longest_leaf =
            noted.map_err(|error| IssueError::Note(Box::new(error)))?.longest_leaf;
        Ok(())
    }
}
