//! The authority: who is trusted, and certificates for those who have proven who they are.
//!
//! - A cheap handle. What signs and what is trusted is one immutable value, replaced as a whole.
//! - Files are read again on a period: a changed root or intermediate is taken without a restart;
//!   what does not fit together is reported, and the last good state goes on.
//! - Not here: who a caller is (`authenticate`), how it asks (`service`).

mod error;
mod issue;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::server::danger::ClientCertVerifier;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::error::error_chain;
pub use self::{
    error::{AuthorityError, IssueError},
    issue::{Chain, WorkloadCertificate},
};

use crate::{
    Ambient, CertificateFacts, SystemAmbient,
    bundle::{Bundle, BundleInput, check_bundle},
    cacerts,
    certificate::render_time,
    state::seconds,
    store::Store,
};

/// How long before its end a chain that nothing renews is reported, once a day.
const SOON: Duration = DAY.saturating_mul(30);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where an authority keeps its state, and for whom it signs.
#[derive(Clone, Debug)]
pub struct AuthoritySettings {
    /// Its state: roots, intermediates, keys. Made with mode 0700 when it is not there.
    pub directory: PathBuf,
    /// The trust domain: it signs for no other one.
    pub trust_domain: Arc<str>,
    /// The cluster whose intermediate signs.
    pub cluster: Arc<str>,
    /// The life of a certificate for which no other is asked.
    pub lifetime: Duration,
    /// The longest life that can be asked for.
    pub longest_lifetime: Duration,
    /// An existing root and intermediate in Istio's layout; `directory` is not used then.
    pub cacerts: Option<PathBuf>,
}

impl AuthoritySettings {
    /// Settings with certificates that live for a day, and for a week if somebody asks for it.
    pub fn new(directory: PathBuf, trust_domain: &str, cluster: &str) -> Self {
        Self {
            directory,
            trust_domain: trust_domain.into(),
            cluster: cluster.into(),
            lifetime: DAY,
            longest_lifetime: 7 * DAY,
            cacerts: None,
        }
    }
}

/// What a person or a metric may ask of an authority.
#[derive(Clone, Debug)]
pub struct AuthorityStatus {
    /// The certificate that signs.
    pub issuer: CertificateFacts,
    /// All trusted roots, that of the issuer first where this authority made it.
    pub roots: Vec<CertificateFacts>,
    /// Until when what is signed now can be valid.
    pub chain_not_after: SystemTime,
    /// Whether that is near, so that somebody must act: nothing renews it.
    pub ends_soon: bool,
    /// Why the files as they are now are not used; the last good ones are.
    pub problem: Option<String>,
}

/// A certificate authority. Clones share its state.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    settings: AuthoritySettings,
    ambient: Arc<dyn Ambient>,
    bundle: ArcSwap<Bundle>,
    /// What the bundle was made of. Held while the files are read.
    loaded: Mutex<Loaded>,
    problem: ArcSwap<Option<String>>,
    changed: watch::Sender<u64>,
    /// The day on which the end of the chain was last reported.
    reported: AtomicU64,
}

/// The content of the files, to see a change.
struct Loaded {
    stamp: Vec<u8>,
    /// The longest life of a leaf that is noted.
    longest_leaf: u64,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bundle = self.0.bundle.load();
        out.debug_struct("Authority")
            .field("trust_domain", &self.0.settings.trust_domain)
            .field("issuer", &bundle.issuer.subject)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Reads the state of an authority, or makes a root and an intermediate where there is none.
    pub fn open(settings: AuthoritySettings) -> Result<Self, AuthorityError> {
        Self::open_with(settings, Arc::new(SystemAmbient::default()))
    }

    /// As [`Authority::open`], with another clock and other randomness.
    pub fn open_with(
        settings: AuthoritySettings,
        ambient: Arc<dyn Ambient>,
    ) -> Result<Self, AuthorityError> {
        if settings.cacerts.is_none() {
            let names = (&*settings.trust_domain, &*settings.cluster);
            let state =
                Store::new(&settings.directory).initialise(names, settings.lifetime, &*ambient)?;
            if *state.cluster != *settings.cluster {
                tracing::warn!(
                    directory = %settings.directory.display(),
                    made_for = state.cluster,
                    cluster = %settings.cluster,
                    "The directory of the authority was made for another cluster"
                );
            }
        }
        let (input, stamp, longest_leaf) = read(&settings, &*ambient)?;
        let bundle = check_bundle(&input, &settings.trust_domain, &*ambient)?;
        if let Some(directory) = &settings.cacerts {
            for remark in cacerts::remarks(directory)? {
                tracing::warn!("{remark}");
            }
        }
        Ok(Self(Arc::new(Inner {
            settings,
            ambient,
            bundle: ArcSwap::from_pointee(bundle),
            loaded: Mutex::new(Loaded { stamp, longest_leaf }),
            problem: ArcSwap::from_pointee(None),
            changed: watch::Sender::new(1),
            reported: AtomicU64::new(0),
        })))
    }

    /// All trusted roots as PEM.
    pub fn roots(&self) -> Arc<str> {
        self.0.bundle.load().roots_pem.clone()
    }

    /// A number that grows when the roots or the issuer change: then roots must be sent again, and
    /// certificates be issued anew.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Judges certificates of clients by the roots that are trusted now.
    pub fn client_verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.0.bundle.load().verifier.clone()
    }

    /// The trust domain that it signs for.
    pub fn trust_domain(&self) -> &Arc<str> {
        &self.0.settings.trust_domain
    }

    /// What is in use now.
    pub fn status(&self) -> AuthorityStatus {
        let bundle = self.0.bundle.load();
        AuthorityStatus {
            issuer: bundle.issuer.clone(),
            roots: bundle.roots.clone(),
            chain_not_after: bundle.signer.not_after,
            ends_soon: bundle.signer.not_after < self.0.ambient.now() + SOON,
            problem: (**self.0.problem.load()).clone(),
        }
    }

    /// Looks at the files now. Returns whether the roots or the issuer have changed. After an
    /// error the last good state goes on.
    pub fn refresh(&self) -> Result<bool, AuthorityError> {
        let refreshed = self.reload();
        let problem = refreshed.as_ref().err().map(|error| error_chain(error));
        if **self.0.problem.load() != problem {
            match &problem {
                Some(problem) => tracing::error!(
                    problem,
                    "The files of the authority are not used; the last good ones are"
                ),
                None => tracing::info!("The files of the authority are good again"),
            }
            self.0.problem.store(Arc::new(problem));
        }
        self.report_end();
        refreshed
    }

    fn report_end(&self) {
        let AuthorityStatus { issuer, chain_not_after, ends_soon, .. } = self.status();
        let today = seconds(self.0.ambient.now()) / DAY.as_secs();
        if ends_soon && self.0.reported.swap(today, Ordering::Relaxed) != today {
            tracing::error!(
                issuer = issuer.subject,
                at = render_time(chain_not_after),
                "The chain that signs ends soon, and all certificates with it: replace the root \
                 (`meltemi identity rotate start`), put its key back, or bring a new intermediate"
            );
        }
    }

    fn reload(&self) -> Result<bool, AuthorityError> {
        let Inner { settings, ambient, bundle, loaded, changed, .. } = &*self.0;
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let (input, stamp, longest_leaf) = read(settings, &**ambient)?;
        if stamp == loaded.stamp {
            return Ok(false);
        }
        let fresh = check_bundle(&input, &settings.trust_domain, &**ambient)?;
        let old = bundle.load();
        let is_new = old.issuer != fresh.issuer
            || old.roots_pem != fresh.roots_pem
            || old.chain_pem != fresh.chain_pem;
        bundle.store(Arc::new(fresh));
        *loaded = Loaded { stamp, longest_leaf };
        if is_new {
            changed.send_modify(|generation| *generation += 1);
            let status = self.status();
            let roots: Vec<&str> = status.roots.iter().map(|it| it.subject.as_str()).collect();
            tracing::info!(issuer = status.issuer.subject, ?roots, "The authority has changed");
        }
        Ok(is_new)
    }

    /// Looks at the files on a period until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => (),
            }
            let authority = self.clone();
            // `refresh` keeps and logs what went wrong.
            let _ = tokio::task::spawn_blocking(move || authority.refresh()).await;
        }
    }
}

/// The files of an authority, what tells one state of them from another, and the noted life.
fn read(
    settings: &AuthoritySettings,
    ambient: &dyn Ambient,
) -> Result<(BundleInput, Vec<u8>, u64), AuthorityError> {
    if let Some(directory) = &settings.cacerts {
        let input = cacerts::read_cacerts(directory)?;
        let parts = input.roots.iter().chain(&input.chain).chain([&input.key]);
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        for part in parts {
            digest.update(&part.bytes.len().to_be_bytes());
            digest.update(&part.bytes);
        }
        return Ok((input, digest.finish().as_ref().to_vec(), u64::MAX));
    }
    let store = Store::new(&settings.directory);
    store.renew(ambient)?;
    let (state, stamp) = store
        .state()?
        .ok_or_else(|| AuthorityError::NoAuthority { directory: store.directory().to_owned() })?;
    Ok((store.input(&state)?, stamp, state.longest_leaf))
}
