//! Joins the authority to the streams: who is believed, who signs, and what the xDS port shows.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use identity::{
    Authenticators, Authority, AuthoritySettings, CertificateService, ClaimMapping, Credential,
    Metrics, Proven, SigningLimits, TokenRules, TokenSettings, TrustDomainAliases,
};
use model::Identity;
use push::{Access, Authentication, Authenticator, Issuer, OwnCertificate, Proof};
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use xds::{
    PeerInfo, TlsConfigs, UnaryMethod,
    tls::{self, Pem, TlsError},
};

use crate::settings::{AuthorityPlace, IdentitySettings};

/// Under which istiod's clients look for it; who else wants a name adds it by a setting.
const NAMES: [&str; 4] = ["istiod.istio-system.svc", "localhost", "127.0.0.1", "::1"];
/// How long after a failure the next try is.
const RETRY: Duration = Duration::from_secs(5);

/// An open authority.
#[derive(Clone)]
pub(super) struct Signer(Authority);

impl Signer {
    /// Opens the authority, and watches its files from then on.
    pub(super) fn open(
        place: &AuthorityPlace,
        trust_domain: &str,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let AuthorityPlace { directory, cacerts, cluster, lifetime } = place.clone();
        let settings = AuthoritySettings::new(directory.clone(), trust_domain, &cluster);
        let lifetime = lifetime.to_std();
        let longest_lifetime = settings.longest_lifetime.max(lifetime);
        let settings = AuthoritySettings { lifetime, longest_lifetime, cacerts, ..settings };
        let authority = Authority::open(settings).with_context(|| {
            format!("failed to open the authority in `{}`", directory.display())
        })?;
        tokio::spawn(authority.clone().run(shutdown.clone()));
        Ok(Self(authority))
    }
}

impl Issuer for Signer {
    fn issue(&self, identity: &Identity) -> Result<OwnCertificate, String> {
        let issued = self.0.issue(identity).map_err(|error| chain(&error))?;
        Ok(OwnCertificate {
            chain_pem: issued.chain_pem,
            key_pem: issued.key_pem.expose().into(),
            renew_at: issued.renew_at,
        })
    }

    fn roots(&self) -> Arc<str> {
        self.0.roots()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed()
    }
}

/// Who has shown what.
struct Gate(Authenticators);

impl Authenticator for Gate {
    fn authenticate<'a>(&'a self, peer: &'a PeerInfo) -> Authentication<'a> {
        Box::pin(async move {
            let credentials = Credential::of(peer);
            if credentials.is_empty() {
                return Ok(None);
            }
            match self.0.authenticate_any(&credentials).await {
                Ok(Proven { identity, expires }) => Ok(Some(Proof { identity, expires })),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed()
    }
}

/// What an authority is for.
pub(super) struct Granting {
    /// Whom the streams are believed, and what they get.
    pub(super) access: Access,
    /// What agents call.
    pub(super) method: Option<Arc<dyn UnaryMethod>>,
}

/// Joins all of it. Without an authority nobody has an identity.
pub(super) fn grant(
    settings: &IdentitySettings,
    trust: Option<(&Signer, TrustDomainAliases)>,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> anyhow::Result<Granting> {
    let unproven = settings.authentication.unproven();
    let Some((signer, aliases)) = trust else {
        let access = Access { unproven, ..Access::default() };
        return Ok(Granting { access, method: None });
    };
    let tokens = settings.tokens.iter().map(|it| TokenSettings {
        rules: TokenRules {
            issuer: it.issuer.clone(),
            audiences: it.audiences.clone(),
            claims: ClaimMapping::default(),
        },
        jwks: it.jwks.clone(),
    });
    let authenticators = Authenticators::open_for(signer.0.clone(), tokens.collect(), aliases)
        .context("failed to read the keys of tokens (see --jwks)")?;
    tokio::spawn(authenticators.clone().run(shutdown.clone()));
    let service = CertificateService::new(
        signer.0.clone(),
        authenticators.clone(),
        SigningLimits::default(),
        metrics.clone(),
    );
    let authenticator: Arc<dyn Authenticator> = Arc::new(Gate(authenticators));
    let issuer: Arc<dyn Issuer> = Arc::new(signer.clone());
    let access = Access { authenticator: Some(authenticator), issuer: Some(issuer), unproven };
    Ok(Granting { access, method: Some(Arc::new(service)) })
}

/// What the xDS port shows its clients.
pub(super) struct ServerCertificate {
    /// Certificate and key that were given; otherwise the authority makes them.
    pub(super) files: Option<(PathBuf, PathBuf)>,
    pub(super) names: Vec<String>,
    pub(super) address: SocketAddr,
}

impl ServerCertificate {
    /// The TLS settings of the port, kept up to date; `None` without certificate or authority.
    pub(super) fn serve(
        self,
        signer: Option<Signer>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<TlsConfigs>> {
        let Some(signer) = signer else {
            return match &self.files {
                Some((certificate, key)) => {
                    let config = read(certificate, key)
                        .and_then(|(chain, key)| tls::server_config(&chain, &key, None));
                    let config = config.context("failed to use the certificate of the xDS port")?;
                    Ok(Some(tls::unchanging(config)))
                }
                None => Ok(None),
            };
        };
        let mut changed = signer.0.changed();
        changed.mark_unchanged();
        let (first, next) = self.make(&signer)?;
        let (sender, configs) = watch::channel(first);
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let mut next = next;
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = time::sleep(next) => (),
                    Ok(()) = changed.changed() => (),
                }
                next = match self.make(&signer) {
                    Ok((config, next)) => {
                        sender.send_replace(config);
                        next
                    }
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::error!(error, "The xDS port keeps its last certificate");
                        RETRY
                    }
                };
            }
        });
        Ok(Some(configs))
    }

    /// The settings as of now, and how long they are good.
    fn make(&self, signer: &Signer) -> anyhow::Result<(Arc<rustls::ServerConfig>, Duration)> {
        let (chain, key, next) = match &self.files {
            Some((certificate, key)) => {
                let (chain, key) = read(certificate, key)
                    .context("failed to read the certificate of the xDS port")?;
                (chain, key, Duration::MAX)
            }
            None => {
                let issued = signer
                    .0
                    .server_certificate(&self.all_names())
                    .context("failed to make a certificate for the xDS port")?;
                let pem = |text: &str| Pem { place: "xDS port".to_owned(), text: text.to_owned() };
                let left = issued.renew_at.duration_since(SystemTime::now()).unwrap_or_default();
                let next = left.max(Duration::from_millis(100));
                (pem(&issued.chain_pem), pem(issued.key_pem.expose()), next)
            }
        };
        let roots = Pem { place: "roots".to_owned(), text: signer.0.roots().to_string() };
        let config = tls::server_config(&chain, &key, Some(&roots))
            .context("failed to use the certificate of the xDS port")?;
        Ok((config, next))
    }

    fn all_names(&self) -> Vec<String> {
        let ip = self.address.ip();
        let own = (!ip.is_unspecified()).then(|| ip.to_string());
        let mut names = self.names.clone();
        names.extend(NAMES.into_iter().map(str::to_owned).chain(own));
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn read(certificate: &Path, key: &Path) -> Result<(Pem, Pem), TlsError> {
    Ok((Pem::read(certificate)?, Pem::read(key)?))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
