//! Drafts and the files as they are → the new bytes of each file.
//!
//! - An object that is in effect is replaced where it lives; a new one gets a file of its own.
//! - Names of files are made of checked names only, and lie below a directory of the settings.
//! - Reads, but writes nothing (`write` does).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use api::Object;
use model::{Kind, ObjectKey};

use crate::{
    Rank, WriteError, WriteVerb, Written,
    draft::Draft,
    edit::{self, EditError},
    place::{self, Form, Place},
};

/// The new content of one file.
#[derive(Clone, Debug)]
pub(crate) struct FileEdit {
    /// Where to write: no link leads elsewhere from it.
    pub(crate) path: PathBuf,
    /// As people see it.
    pub(crate) name: Arc<str>,
    /// What it held when the edit was planned; `None`: it was not there.
    pub(crate) before: Option<Vec<u8>>,
    /// `None`: it goes away.
    pub(crate) after: Option<Vec<u8>>,
}

/// What is known of the files, and where new ones may go.
pub(crate) struct Ground<'a> {
    pub(crate) places: &'a [Place],
    /// The object in effect.
    pub(crate) object: &'a dyn Fn(&ObjectKey) -> Option<Object>,
    /// The file of an object that is not in effect because of its errors.
    pub(crate) refused: &'a dyn Fn(&ObjectKey) -> Option<Arc<str>>,
    /// The path of a file by the name that people see.
    pub(crate) path: &'a dyn Fn(&str) -> Option<PathBuf>,
}

/// A plan: what becomes of each draft, and the files to write.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) written: Vec<Written>,
    pub(crate) edits: BTreeMap<PathBuf, FileEdit>,
}

/// Plans all drafts and removals together.
pub(crate) fn plan(
    ground: &Ground<'_>,
    drafts: &[Draft],
    removals: &[ObjectKey],
) -> Result<Plan, WriteError> {
    let mut plan = Plan::default();
    for key in removals {
        let written = plan.remove(ground, key)?;
        plan.written.push(written);
    }
    for draft in drafts {
        let written = match (ground.object)(draft.key()) {
            Some(current) if current.hash == draft.object().hash => Written {
                key: draft.key().clone(),
                verb: WriteVerb::Unchanged,
                file: current.location.file.clone(),
                before: draft.text.clone(),
                after: draft.text.clone(),
            },
            Some(current) => {
                plan.replace(ground, draft, current.location.file, WriteVerb::Configured)?
            }
            None => match (ground.refused)(draft.key()) {
                Some(file) => plan.replace(ground, draft, file, WriteVerb::Created)?,
                None => plan.create(ground, draft)?,
            },
        };
        plan.written.push(written);
    }
    Ok(plan)
}

impl Plan {
    fn replace(
        &mut self,
        ground: &Ground<'_>,
        draft: &Draft,
        name: Arc<str>,
        verb: WriteVerb,
    ) -> Result<Written, WriteError> {
        let refuse = |reason: String, hint: &str| refused(draft.key(), &name, reason, hint);
        let path = (ground.path)(&name).ok_or_else(|| {
            refuse("its file is gone".into(), "run `meltemi wait`, then try again")
        })?;
        let path = resolve(ground.places, &path)
            .map_err(|reason| refuse(reason, "change it where the link leads to"))?;
        let file = self.file(&path, &name).map_err(|source| read_error(&name, source))?;
        let edited = edit::replace(file.bytes(), draft).map_err(|error| {
            let hint = match error {
                EditError::NotFound => "mend the file first; `meltemi check` says what is wrong",
                EditError::Entangled => "write each object as a document of its own",
            };
            refuse(error.to_string(), hint)
        })?;
        file.after = Some(edited.bytes);
        Ok(Written {
            key: draft.key().clone(),
            verb,
            file: name,
            before: edited.before,
            after: edited.after,
        })
    }

    fn remove(&mut self, ground: &Ground<'_>, key: &ObjectKey) -> Result<Written, WriteError> {
        let current = (ground.object)(key).map(|object| object.location.file);
        let name = current.or_else(|| (ground.refused)(key));
        let name = name.ok_or_else(|| WriteError::NotThere { key: key.clone() })?;
        let refuse = |reason: String, hint: &str| refused(key, &name, reason, hint);
        // What the snapshot still knows may be gone from the disk already.
        let path = (ground.path)(&name).filter(|path| path.exists());
        let path = path.ok_or_else(|| WriteError::NotThere { key: key.clone() })?;
        let path = resolve(ground.places, &path)
            .map_err(|reason| refuse(reason, "change it where the link leads to"))?;
        let file = self.file(&path, &name).map_err(|source| read_error(&name, source))?;
        let edited = edit::remove(file.bytes(), key)
            .map_err(|error| refuse(error.to_string(), "take it out of the file by hand"))?;
        file.after = (!edited.bytes.is_empty()).then_some(edited.bytes);
        Ok(Written {
            key: key.clone(),
            verb: WriteVerb::Deleted,
            file: name,
            before: edited.before,
            after: String::new(),
        })
    }

    fn create(&mut self, ground: &Ground<'_>, draft: &Draft) -> Result<Written, WriteError> {
        let own = file_name(draft.key())
            .map_err(|name| WriteError::BadName { key: draft.key().clone(), name })?;
        let root = writable(ground.places).ok_or_else(|| {
            let hint = "serve a directory that this process may write to";
            refused(draft.key(), "", "no served directory can be written".to_owned(), hint)
        })?;
        let name = place::join_name(&root.name, &own);
        let refuse = |reason: String, hint: &str| refused(draft.key(), &name, reason, hint);
        let path = resolve_new(&root.path, &own)
            .map_err(|reason| refuse(reason, "look at what is at that path"))?;
        let file = self.file(&path, &name).map_err(|source| read_error(&name, source))?;
        // A file of the name that does not hold the object holds something else: that stays.
        let appended = edit::append(file.bytes(), draft)
            .map_err(|error| refuse(error.to_string(), "mend or move the file"))?;
        file.after = Some(appended);
        Ok(Written {
            key: draft.key().clone(),
            verb: WriteVerb::Created,
            file: name.clone(),
            before: String::new(),
            after: draft.text.clone(),
        })
    }

    /// The edit of a file, begun with what is on disk.
    fn file(&mut self, path: &Path, name: &Arc<str>) -> io::Result<&mut FileEdit> {
        if !self.edits.contains_key(path) {
            let before = match fs::read(path) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let after = before.clone();
            let edit = FileEdit { path: path.to_owned(), name: name.clone(), before, after };
            self.edits.insert(path.to_owned(), edit);
        }
        self.edits.get_mut(path).ok_or_else(|| io::Error::other("the edit was not kept"))
    }
}

impl FileEdit {
    /// What the file is to hold so far.
    fn bytes(&self) -> &[u8] {
        self.after.as_deref().unwrap_or_default()
    }
}

fn refused(key: &ObjectKey, file: &str, reason: String, hint: &str) -> WriteError {
    let (key, hint) = (key.clone(), hint.to_owned());
    WriteError::Refused { key, file: file.into(), reason, hint }
}

fn read_error(name: &Arc<str>, source: io::Error) -> WriteError {
    WriteError::Write { file: name.clone(), source }
}

/// `<namespace>/<kind>-<name>.yaml`. An error is the name that cannot be a part of a path.
fn file_name(key: &ObjectKey) -> Result<String, String> {
    let check = |text: &str| if is_safe(text) { Ok(()) } else { Err(text.to_owned()) };
    check(key.name.as_str())?;
    let kind = key.kind.as_str().to_ascii_lowercase();
    let own = format!("{kind}-{}.yaml", key.name);
    match (key.kind, key.namespace.as_str()) {
        (Kind::Node | Kind::Namespace, _) | (_, "") => Ok(own),
        (_, namespace) => {
            check(namespace)?;
            Ok(format!("{namespace}/{own}"))
        }
    }
}

/// Whether a name is one of Kubernetes: nothing that could lead out of a directory or hide a file.
fn is_safe(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 200
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !name.contains("..")
}

/// The first directory of the settings that takes files.
fn writable(places: &[Place]) -> Option<&Place> {
    let mut directories =
        places.iter().filter(|place| place.form == Form::Directory && place.rank == Rank::Found);
    directories.find(|place| {
        let probe = place.path.join(format!(".meltemi-probe-{}.tmp", std::process::id()));
        let made = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&probe);
        made.is_ok() && fs::remove_file(&probe).is_ok()
    })
}

/// Where a served file really is. A link may lead from one served directory into another, and
/// nowhere else.
fn resolve(places: &[Place], path: &Path) -> Result<PathBuf, String> {
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    let is_below = |place: &Place| match fs::canonicalize(&place.path) {
        Ok(root) => real.starts_with(root),
        Err(_) => false,
    };
    match places.iter().any(is_below) {
        true => Ok(real),
        false => Err(format!("it is a link to `{}`, which is not served", real.display())),
    }
}

/// Where a new file goes: below `root` also when links are followed.
fn resolve_new(root: &Path, own: &str) -> Result<PathBuf, String> {
    let real_root = fs::canonicalize(root).map_err(|error| error.to_string())?;
    let path = real_root.join(own);
    let mut above = path.parent();
    while let Some(directory) = above {
        match fs::canonicalize(directory) {
            Ok(real) if real.starts_with(&real_root) => break,
            Ok(real) => return Err(format!("the directory is a link to `{}`", real.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => above = directory.parent(),
            Err(error) => return Err(error.to_string()),
        }
    }
    match fs::symlink_metadata(&path) {
        Ok(metadata) if !metadata.is_file() => Err("something else has that name".to_owned()),
        _ => Ok(path),
    }
}
