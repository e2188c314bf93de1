//! Who a caller is: a certificate or a token → an identity, or why not.
//!
//! - What is checked is checked at this moment: roots that are no longer trusted, an expired
//!   certificate or a key that left the JWKS end it.
//! - An identity is always of the authority's own trust domain. A certificate of an alias, which is
//!   another name of the same mesh, proves the same workload of the own one.
//! - Files with keys are read again on a period; a broken one keeps its last good keys.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use model::Identity;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xds::PeerInfo;

use crate::{
    Ambient, Authority, FileError, KeySet, KeySetError, ServiceAccount, SystemAmbient, Token,
    TokenError, TokenRules, bundle::unix_time, certificate::parse_certificate, files,
    parse_key_set, verify_token,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What a caller has shown.
#[derive(Clone)]
pub enum Credential {
    /// The certificates of the TLS connection, leaf first. Whoever accepted the connection has
    /// checked that the caller has the key.
    ClientCertificate(Arc<[CertificateDer<'static>]>),
    /// A token in the header `authorization`.
    Bearer(Token),
}

impl fmt::Debug for Credential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientCertificate(chain) => {
                out.debug_tuple("ClientCertificate").field(&chain.len()).finish()
            }
            Self::Bearer(token) => out.debug_tuple("Bearer").field(token).finish(),
        }
    }
}

impl Credential {
    /// What a client has shown, the certificate first. An expired certificate beside a good token
    /// is a proxy that comes back after a long time.
    pub fn of(peer: &PeerInfo) -> Vec<Self> {
        let mut found = Vec::new();
        if !peer.certificates.is_empty() {
            found.push(Self::ClientCertificate(peer.certificates.clone()));
        }
        let value = peer.authorization.as_ref().and_then(|value| value.to_str().ok());
        let bearer = value
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        found.extend(bearer.map(|(_, token)| Self::Bearer(Token::new(token.trim().to_owned()))));
        found
    }
}

/// Who a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The identity.
    pub identity: Identity,
    /// Until when the credential proves it.
    pub expires: SystemTime,
}

/// Tokens of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// Which tokens are accepted.
    pub rules: TokenRules,
    /// A file with the issuer's JSON Web Key Set.
    pub jwks: PathBuf,
}

/// Why the keys of an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not what it should be.
    #[error("failed to use `{}`", path.display())]
    KeySet {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: KeySetError,
    },
    /// Without an audience, a token for any other service would do.
    #[error("tokens of `{issuer}` need at least one audience")]
    NoAudience {
        /// The issuer.
        issuer: String,
    },
}

/// Why it is not known who a caller is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// The caller has shown nothing.
    #[error(
        "the caller shows neither a client certificate nor a bearer token: connect with TLS and \
         one of them"
    )]
    NoCredential,
    /// The certificate is not good now.
    #[error("the client certificate is not accepted: {0}")]
    Certificate(String),
    /// The certificate is good, but not a workload's.
    #[error("the client certificate must name exactly one SPIFFE identity of a workload")]
    NotAWorkload,
    /// The identity belongs to another trust domain.
    #[error("the caller is of the trust domain `{0}`, not of this mesh's")]
    ForeignTrustDomain(Arc<str>),
    /// The token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token names a service account that cannot be part of an identity.
    #[error("the service account of the token cannot be part of an identity")]
    BadServiceAccount,
    /// No issuer of tokens is known.
    #[error("tokens are not accepted here: no issuer is configured")]
    NoIssuers,
}

/// Finds out who callers are. Clones share their state.
#[derive(Clone, Debug)]
pub struct Authenticators(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    authority: Authority,
    ambient: Arc<dyn Ambient>,
    issuers: Vec<Issuer>,
    aliases: TrustDomainAliases,
    changed: watch::Sender<u64>,
}

/// The other names of the mesh's trust domain, as the mesh's configuration says now.
pub type TrustDomainAliases = watch::Receiver<Arc<[Arc<str>]>>;

/// None, for ever.
fn no_aliases() -> TrustDomainAliases {
    watch::channel(Arc::from([])).1
}

#[derive(Debug)]
struct Issuer {
    settings: TokenSettings,
    keys: ArcSwap<KeySet>,
    /// The error of the last look, to report each once.
    problem: Mutex<Option<String>>,
}

impl Authenticators {
    /// Accepts certificates of the authority, and tokens of these issuers.
    pub fn open(authority: Authority, tokens: Vec<TokenSettings>) -> Result<Self, JwksError> {
        Self::open_for(authority, tokens, no_aliases())
    }

    /// As [`Authenticators::open`], also for certificates of the mesh's other names.
    pub fn open_for(
        authority: Authority,
        tokens: Vec<TokenSettings>,
        aliases: TrustDomainAliases,
    ) -> Result<Self, JwksError> {
        Self::open_with(authority, tokens, aliases, Arc::new(SystemAmbient::default()))
    }

    /// As [`Authenticators::open_for`], with another clock.
    pub fn open_with(
        authority: Authority,
        tokens: Vec<TokenSettings>,
        aliases: TrustDomainAliases,
        ambient: Arc<dyn Ambient>,
    ) -> Result<Self, JwksError> {
        let open = |settings: TokenSettings| {
            if settings.rules.audiences.is_empty() {
                return Err(JwksError::NoAudience { issuer: settings.rules.issuer });
            }
            let keys = ArcSwap::from_pointee(read_keys(&settings)?);
            Ok(Issuer { settings, keys, problem: Mutex::default() })
        };
        let issuers = tokens.into_iter().map(open).collect::<Result<_, _>>()?;
        let changed = watch::Sender::new(1);
        Ok(Self(Arc::new(Inner { authority, ambient, issuers, aliases, changed })))
    }

    /// Finds out who the caller is.
    pub async fn authenticate(
        &self,
        credential: &Credential,
    ) -> Result<Proven, AuthenticationError> {
        // Nothing is waited for yet; asking Kubernetes for a review of a token will be.
        let now = self.0.ambient.now();
        match credential {
            Credential::ClientCertificate(chain) => self.by_certificate(chain, now),
            Credential::Bearer(token) => self.by_token(token, now),
        }
    }

    /// The first identity that one of the credentials proves; otherwise why the last one does not.
    pub async fn authenticate_any(
        &self,
        credentials: &[Credential],
    ) -> Result<Proven, AuthenticationError> {
        let mut last = AuthenticationError::NoCredential;
        for credential in credentials {
            match self.authenticate(credential).await {
                Ok(proven) => return Ok(proven),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn by_certificate(
        &self,
        chain: &[CertificateDer<'static>],
        now: SystemTime,
    ) -> Result<Proven, AuthenticationError> {
        let (leaf, intermediates) = chain.split_first().ok_or(AuthenticationError::NoCredential)?;
        let verifier = self.0.authority.client_verifier();
        verifier
            .verify_client_cert(leaf, intermediates, unix_time(now))
            .map_err(|error| AuthenticationError::Certificate(error.to_string()))?;
        let facts = parse_certificate(leaf).map_err(|_| AuthenticationError::NotAWorkload)?;
        let [uri] = facts.uris.as_slice() else {
            return Err(AuthenticationError::NotAWorkload);
        };
        let identity: Identity = uri.parse().map_err(|_| AuthenticationError::NotAWorkload)?;
        let own = self.0.authority.trust_domain();
        let is_alias = |domain: &Arc<str>| self.0.aliases.borrow().contains(domain);
        if identity.trust_domain != *own && !is_alias(&identity.trust_domain) {
            return Err(AuthenticationError::ForeignTrustDomain(identity.trust_domain));
        }
        let identity = Identity { trust_domain: own.clone(), ..identity };
        Ok(Proven { identity, expires: facts.not_after })
    }

    fn by_token(&self, token: &Token, now: SystemTime) -> Result<Proven, AuthenticationError> {
        let Inner { authority, issuers, .. } = &*self.0;
        if issuers.is_empty() {
            return Err(AuthenticationError::NoIssuers);
        }
        let keys: Vec<_> = issuers.iter().map(|issuer| issuer.keys.load_full()).collect();
        let accepted =
            issuers.iter().zip(&keys).map(|(issuer, keys)| (&issuer.settings.rules, &**keys));
        let ServiceAccount { namespace, name, expires } =
            verify_token(token.expose(), accepted, now)?;
        let trust_domain = authority.trust_domain();
        // Parsed as a whole: a name with a slash must not become another identity.
        let text = format!("spiffe://{trust_domain}/ns/{namespace}/sa/{name}");
        let identity = text.parse().map_err(|_| AuthenticationError::BadServiceAccount)?;
        Ok(Proven { identity, expires })
    }

    /// The clock that credentials are judged by.
    pub(crate) fn now(&self) -> SystemTime {
        self.0.ambient.now()
    }

    /// A number that grows when roots, keys or aliases change: who was believed may be no more. Only
    /// while [`Authenticators::run`] runs does it know of roots and aliases.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn note_change(&self) {
        self.0.changed.send_modify(|generation| *generation += 1);
    }

    /// Looks at the files now. A file that cannot be used keeps its last good keys.
    pub fn refresh(&self) {
        let changed = self.0.issuers.iter().filter(|issuer| issuer.refresh()).count();
        if changed > 0 {
            self.note_change();
        }
    }

    /// Looks at the files on a period until `shutdown`, and notices what the authority changes.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut authority, mut aliases) = (self.0.authority.changed(), self.0.aliases.clone());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Ok(()) = authority.changed() => {
                    self.note_change();
                    continue;
                }
                Ok(()) = aliases.changed() => {
                    self.note_change();
                    continue;
                }
                _ = look.tick() => (),
            }
            let own = self.clone();
            // A panic in there has been printed, and the next look tries again.
            let _ = tokio::task::spawn_blocking(move || own.refresh()).await;
        }
    }
}

impl Issuer {
    /// Whether there are other keys.
    fn refresh(&self) -> bool {
        let path = self.settings.jwks.display();
        let mut changed = false;
        let problem = match read_keys(&self.settings) {
            Ok(keys) => {
                changed = keys != **self.keys.load();
                if changed {
                    let skipped = &keys.skipped;
                    tracing::info!(%path, keys = keys.keys.len(), ?skipped, "Keys have changed");
                    self.keys.store(Arc::new(keys));
                }
                None
            }
            Err(error) => Some(crate::authority::error_chain(&error)),
        };
        let mut last = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = problem.as_ref().filter(|problem| Some(*problem) != last.as_ref()) {
            tracing::error!(problem, "Keys of tokens are not used; the last good ones are");
        }
        *last = problem;
        changed
    }
}

fn read_keys(settings: &TokenSettings) -> Result<KeySet, JwksError> {
    let part = files::read(&settings.jwks)?;
    parse_key_set(&part.bytes)
        .map_err(|source| JwksError::KeySet { path: settings.jwks.clone(), source })
}
