//! The directory of an authority that makes its own root: what lies where, and how it changes.
//!
//! ```text
//! state.json                 which of the others count (`State`)
//! root-<id>.pem, .key        a root; its key may be kept elsewhere
//! intermediate-<id>.pem, .key
//! lock                       held while the directory is changed
//! unfinished                 there only while the first root is made
//! ```
//!
//! - `state.json` takes its place last: until then, nothing has changed. What it does not name is
//!   removed after that, so a crash in between leaves only files that nobody reads.
//! - A directory with keys and without `state.json` is refused: a new root would be trusted by
//!   nobody.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::KeyPair;

use crate::{
    Ambient, AuthorityError, BundleError, CertificateFacts,
    bundle::{BundleInput, check_bundle},
    certificate::{parse_certificate, parse_pem},
    files::{self, Readers},
    issuer::{MintError, Signer, fresh_id, make_intermediate, make_root},
    key::{generate, parse_key},
    state::{Pair, State},
};

const STATE: &str = "state.json";
const UNFINISHED: &str = "unfinished";

/// A directory with the state of an authority.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn root(&self, id: &str, extension: &str) -> PathBuf {
        self.path(&format!("root-{id}.{extension}"))
    }

    fn intermediate(&self, id: &str, extension: &str) -> PathBuf {
        self.path(&format!("intermediate-{id}.{extension}"))
    }

    /// The state and the bytes that it was read from; `None` before the first root is made.
    pub(crate) fn state(&self) -> Result<Option<(State, Vec<u8>)>, AuthorityError> {
        let path = self.path(STATE);
        let Some(part) = files::read_if_there(&path)? else {
            return Ok(None);
        };
        let state =
            State::parse(&part.bytes).map_err(|source| AuthorityError::State { path, source })?;
        Ok(Some((state, part.bytes.to_vec())))
    }

    /// As [`Store::state`], of a directory that must be an authority's.
    pub(crate) fn require(&self) -> Result<State, AuthorityError> {
        let (state, _) = self
            .state()?
            .ok_or_else(|| AuthorityError::NoAuthority { directory: self.directory.clone() })?;
        Ok(state)
    }

    /// Makes a root and an intermediate, unless there are some.
    pub(crate) fn initialise(
        &self,
        (trust_domain, cluster): (&str, &str),
        leaf: Duration,
        ambient: &dyn Ambient,
    ) -> Result<State, AuthorityError> {
        files::make_directory(&self.directory)?;
        let _lock = files::lock(&self.directory)?;
        let unfinished = self.path(UNFINISHED);
        if let Some((state, _)) = self.state()? {
            files::remove(&unfinished)?;
            return Ok(state);
        }
        if files::read_if_there(&unfinished)?.is_none() {
            if files::names(&self.directory)?.iter().any(|name| id_of(name).is_some()) {
                return Err(AuthorityError::StateMissing { path: self.path(STATE) });
            }
            files::write(&unfinished, b"", Readers::Owner)?;
        }
        let root = self.make_root(trust_domain, ambient)?;
        let issuer = self.make_pair(&root, (trust_domain, cluster), ambient)?;
        let state = State::new((trust_domain, cluster), issuer, leaf, ambient.now());
        self.commit(&state)?;
        files::remove(&unfinished)?;
        Ok(state)
    }

    /// Makes a new intermediate when half of the life of the one that signs is over. Needs the key
    /// of the root: without it nothing is done, and `status` tells until when there is time.
    pub(crate) fn renew(&self, ambient: &dyn Ambient) -> Result<(), AuthorityError> {
        let facts = |path: PathBuf| -> Result<Option<CertificateFacts>, AuthorityError> {
            let part = files::read(&path)?;
            // A file that is damaged is reported by whoever uses it, not overwritten.
            Ok(parse_pem(&part.bytes).ok().and_then(|all| parse_certificate(all.first()?).ok()))
        };
        let is_due = |state: &State| -> Result<bool, AuthorityError> {
            let Pair { intermediate, root } = &state.issuer;
            let own = facts(self.intermediate(intermediate, "pem"))?;
            let (Some(own), Some(above)) = (own, facts(self.root(root, "pem"))?) else {
                return Ok(false);
            };
            let life = own.not_after.duration_since(own.not_before).unwrap_or_default();
            let is_half_over = ambient.now() > own.not_before + life / 2;
            Ok(is_half_over && own.not_after < above.not_after && self.has_root_key(root))
        };
        if !is_due(&self.require()?)? {
            return Ok(());
        }
        self.change(|state| {
            // Another process may have been faster.
            if !is_due(state)? {
                return Ok(None);
            }
            let names = (state.trust_domain.as_str(), state.cluster.as_str());
            let issuer = self.make_pair(&state.issuer.root, names, ambient)?;
            let next = State { issuer, ..state.clone() };
            self.check(&next, ambient)?;
            tracing::info!(intermediate = next.issuer.intermediate, "Made a new intermediate");
            Ok(Some(next))
        })?;
        Ok(())
    }

    /// Changes the state while nobody else does.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&State) -> Result<Option<State>, AuthorityError>,
    ) -> Result<State, AuthorityError> {
        let _lock = files::lock(&self.directory)?;
        let state = self.require()?;
        match change(&state)? {
            None => Ok(state),
            Some(next) => {
                self.commit(&next)?;
                Ok(next)
            }
        }
    }

    /// Makes the state the one that counts, and removes what it does not name.
    fn commit(&self, state: &State) -> Result<(), AuthorityError> {
        files::write(&self.path(STATE), state.render().as_bytes(), Readers::Owner)?;
        for name in files::names(&self.directory)? {
            let is_left_over = id_of(&name).is_some_and(|id| !state.names(id));
            if is_left_over || files::is_draft(&name) {
                files::remove(&self.path(&name))?;
            }
        }
        Ok(())
    }

    /// Makes a root that is not trusted before a state names it.
    pub(crate) fn make_root(
        &self,
        trust_domain: &str,
        ambient: &dyn Ambient,
    ) -> Result<String, AuthorityError> {
        let id = fresh_id(ambient).map_err(MintError::from)?;
        let (key, key_pem) = generate().map_err(MintError::from)?;
        let certificate = make_root(ambient, trust_domain, &id, &key)?;
        files::write(&self.root(&id, "key"), key_pem.expose().as_bytes(), Readers::Owner)?;
        files::write(&self.root(&id, "pem"), certificate.pem().as_bytes(), Readers::Everybody)?;
        Ok(id)
    }

    /// Makes an intermediate of a root for this directory's own cluster.
    pub(crate) fn make_pair(
        &self,
        root: &str,
        names: (&str, &str),
        ambient: &dyn Ambient,
    ) -> Result<Pair, AuthorityError> {
        let id = fresh_id(ambient).map_err(MintError::from)?;
        let signer = self.root_signer(root, None)?;
        let (key, key_pem) = generate().map_err(MintError::from)?;
        let certificate = make_intermediate(ambient, &signer, names, &id, &key)?;
        let key_path = self.intermediate(&id, "key");
        files::write(&key_path, key_pem.expose().as_bytes(), Readers::Owner)?;
        let path = self.intermediate(&id, "pem");
        files::write(&path, certificate.pem().as_bytes(), Readers::Everybody)?;
        Ok(Pair { intermediate: id, root: root.to_owned() })
    }

    /// Whether a root's key is here.
    pub(crate) fn has_root_key(&self, root: &str) -> bool {
        self.root(root, "key").exists()
    }

    /// A root with its key, which may lie elsewhere.
    pub(crate) fn root_signer(
        &self,
        root: &str,
        key: Option<&Path>,
    ) -> Result<Signer, AuthorityError> {
        let path = self.root(root, "pem");
        let own_key = self.root(root, "key");
        let key_path = key.unwrap_or(&own_key);
        let certificate = files::read(&path)?;
        let damaged = || BundleError::Damaged { path: path.clone() };
        let certificates = parse_pem(&certificate.bytes).map_err(|_| damaged())?;
        let certificate = certificates.first().ok_or_else(damaged)?;
        let facts = parse_certificate(certificate).map_err(|_| damaged())?;
        if !key_path.exists() {
            return Err(AuthorityError::NoRootKey { path: key_path.to_owned() });
        }
        let key = read_key(key_path)?;
        if rcgen::PublicKeyData::subject_public_key_info(&key) != facts.public_key {
            let (key, certificate) = (key_path.to_owned(), path.clone());
            return Err(
                BundleError::KeyMismatch { key, certificate, subject: facts.subject }.into()
            );
        }
        Ok(Signer::new(certificate, key, facts.not_after).map_err(MintError::from)?)
    }

    /// The files that a state names.
    pub(crate) fn input(&self, state: &State) -> Result<BundleInput, AuthorityError> {
        let id = &state.issuer.intermediate;
        let roots = state.roots().into_iter().map(|root| files::read(&self.root(root, "pem")));
        Ok(BundleInput {
            roots: roots.collect::<Result<_, _>>()?,
            chain: vec![files::read(&self.intermediate(id, "pem"))?],
            key: files::read_secret(&self.intermediate(id, "key"))?,
        })
    }

    /// Whether a state could be used, before it counts.
    pub(crate) fn check(&self, state: &State, ambient: &dyn Ambient) -> Result<(), AuthorityError> {
        check_bundle(&self.input(state)?, &state.trust_domain, ambient)?;
        Ok(())
    }
}

fn read_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    let part = files::read_secret(path)?;
    Ok(parse_key(&part.bytes)
        .map_err(|error| BundleError::Key { path: path.to_owned(), problem: error.to_string() })?)
}

/// The part of a file's name that a state would name; `None` for other files.
fn id_of(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (kind, id) = stem.split_once('-')?;
    (["root", "intermediate"].contains(&kind) && ["pem", "key"].contains(&extension)).then_some(id)
}
