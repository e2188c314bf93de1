//! What a person does with the directory of an authority: make it, look at it, replace its root,
//! and make intermediates for other clusters.
//!
//! - A running server works on the same directory, and notices what is done here.
//! - Every step checks that its outcome can be used before it counts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Ambient, AuthorityError, CertificateFacts, FileError, Haste, MintError, Phase, PrivateKeyPem,
    WorkloadCertificate,
    bundle::check_bundle,
    files::{self, Readers},
    issuer::{fresh_id, make_intermediate},
    key::generate,
    state::State,
    store::Store,
};

/// The directory of an authority that makes its own root.
#[derive(Clone, Debug)]
pub struct AuthorityDirectory {
    store: Store,
    ambient: Arc<dyn Ambient>,
}

/// What is in the directory.
#[derive(Clone, Debug)]
pub struct DirectoryStatus {
    /// For whom its roots were made.
    pub trust_domain: String,
    /// The cluster of its intermediate.
    pub cluster: String,
    /// How far a rotation is.
    pub phase: Phase,
    /// When that began.
    pub since: SystemTime,
    /// When the next step breaks nothing any more; `None` without a rotation.
    pub ready_at: Option<SystemTime>,
    /// The trusted roots, the one that issues first.
    pub roots: Vec<RootStatus>,
    /// The intermediate that signs.
    pub intermediate: CertificateFacts,
}

/// One trusted root.
#[derive(Clone, Debug)]
pub struct RootStatus {
    /// What its certificate says.
    pub certificate: CertificateFacts,
    /// Whether the intermediate that signs is of this root.
    pub issues: bool,
    /// Whether its key is in the directory.
    pub has_key: bool,
}

/// An intermediate for another cluster, in the layout of Istio's `cacerts`.
#[derive(Clone, Debug)]
pub struct Intermediate {
    /// Its certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: PrivateKeyPem,
    /// All trusted roots.
    pub roots_pem: Arc<str>,
}

impl AuthorityDirectory {
    /// The directory, which may not be an authority's yet. `ambient` is the clock of its steps.
    pub fn new(directory: &Path, ambient: Arc<dyn Ambient>) -> Self {
        Self { store: Store::new(directory), ambient }
    }

    /// Makes a root and an intermediate, unless there are some. `leaf` is the longest life that
    /// certificates will be given.
    pub fn initialise(
        &self,
        trust_domain: &str,
        cluster: &str,
        leaf: Duration,
    ) -> Result<DirectoryStatus, AuthorityError> {
        self.store.initialise((trust_domain, cluster), leaf, &*self.ambient)?;
        self.status()
    }

    /// What is in it.
    pub fn status(&self) -> Result<DirectoryStatus, AuthorityError> {
        self.describe(&self.store.require()?)
    }

    /// Makes a second root, which everybody begins to trust.
    pub fn start_rotation(&self) -> Result<DirectoryStatus, AuthorityError> {
        let next = self.store.change(|state| {
            let ambient = &*self.ambient;
            // Asked before anything is made.
            state.start(state.issuer.clone(), ambient.now())?;
            let names = (state.trust_domain.as_str(), state.cluster.as_str());
            let root = self.store.make_root(&state.trust_domain, ambient)?;
            let pair = self.store.make_pair(&root, names, ambient)?;
            self.checked(state.start(pair, ambient.now())?)
        })?;
        self.describe(&next)
    }

    /// What is in it, if the next step of a rotation may be taken now; otherwise why not.
    pub fn require_ready(&self) -> Result<DirectoryStatus, AuthorityError> {
        let state = self.store.require()?;
        state.next(self.ambient.now(), Haste::InTime)?;
        self.describe(&state)
    }

    /// Takes the next step of a rotation.
    pub fn continue_rotation(&self, haste: Haste) -> Result<DirectoryStatus, AuthorityError> {
        let step = |state: &State| self.checked(state.next(self.ambient.now(), haste)?);
        let next = self.store.change(step)?;
        self.describe(&next)
    }

    /// Goes back to the old root.
    pub fn abort_rotation(&self) -> Result<DirectoryStatus, AuthorityError> {
        let step = |state: &State| self.checked(state.abort(self.ambient.now())?);
        let next = self.store.change(step)?;
        self.describe(&next)
    }

    /// Makes an intermediate of the root that issues, for another cluster. The root's key is in the
    /// directory, or in `root_key`.
    pub fn make_intermediate(
        &self,
        cluster: &str,
        root_key: Option<&Path>,
    ) -> Result<Intermediate, AuthorityError> {
        let state = self.store.require()?;
        let signer = self.store.root_signer(&state.issuer.root, root_key)?;
        let id = fresh_id(&*self.ambient).map_err(MintError::from)?;
        let (key, key_pem) = generate().map_err(MintError::from)?;
        let names = (state.trust_domain.as_str(), cluster);
        let certificate = make_intermediate(&*self.ambient, &signer, names, &id, &key)?;
        let bundle = check_bundle(&self.store.input(&state)?, &state.trust_domain, &*self.ambient)?;
        Ok(Intermediate {
            certificate_pem: certificate.pem(),
            key_pem,
            roots_pem: bundle.roots_pem,
        })
    }

    fn checked(&self, next: State) -> Result<Option<State>, AuthorityError> {
        self.store.check(&next, &*self.ambient)?;
        Ok(Some(next))
    }

    fn describe(&self, state: &State) -> Result<DirectoryStatus, AuthorityError> {
        let bundle = check_bundle(&self.store.input(state)?, &state.trust_domain, &*self.ambient)?;
        let roots =
            state.roots().into_iter().zip(bundle.roots).map(|(id, certificate)| RootStatus {
                certificate,
                issues: id == state.issuer.root,
                has_key: self.store.has_root_key(id),
            });
        Ok(DirectoryStatus {
            trust_domain: state.trust_domain.clone(),
            cluster: state.cluster.clone(),
            phase: state.phase,
            since: UNIX_EPOCH + Duration::from_secs(state.since),
            ready_at: state.ready_at(),
            roots: roots.collect(),
            intermediate: bundle.issuer,
        })
    }
}

impl Intermediate {
    /// Writes the files of `cacerts` into a directory, the key with mode 0600. Returns their paths.
    pub fn write(&self, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        let certificates = [
            ("root-cert.pem", &*self.roots_pem),
            ("cert-chain.pem", &*self.certificate_pem),
            ("ca-cert.pem", &*self.certificate_pem),
        ];
        write_with_key(directory, &certificates, ("ca-key.pem", &self.key_pem))
    }
}

impl WorkloadCertificate {
    /// Writes certificate, key (mode 0600) and the trusted roots into a directory, under the names
    /// that Istio's agents give them. Returns their paths.
    pub fn write(&self, roots_pem: &str, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        let certificates = [("root-cert.pem", roots_pem), ("cert-chain.pem", &*self.chain_pem)];
        write_with_key(directory, &certificates, ("key.pem", &self.key_pem))
    }
}

fn write_with_key(
    directory: &Path,
    certificates: &[(&str, &str)],
    (key_name, key): (&str, &PrivateKeyPem),
) -> Result<Vec<PathBuf>, FileError> {
    files::make_directory(directory)?;
    let mut written = Vec::new();
    for (name, content) in certificates {
        let path = directory.join(name);
        files::write(&path, content.as_bytes(), Readers::Everybody)?;
        written.push(path);
    }
    let path = directory.join(key_name);
    files::write(&path, key.expose().as_bytes(), Readers::Owner)?;
    written.push(path);
    Ok(written)
}
