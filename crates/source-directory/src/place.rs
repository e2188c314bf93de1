//! The files and directories that the settings name, and how paths are shown to people.
//!
//! - Inside this crate paths are absolute; people see them as they wrote them.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use source::SourceError;

use crate::{DirectorySettings, Rank, scan::Inode};

/// A file or directory of the settings.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Absolute, but not resolved: links in it are followed anew each time.
    pub(crate) path: PathBuf,
    /// As it is written in the settings.
    pub(crate) name: Arc<str>,
    pub(crate) rank: Rank,
    /// What it was when it was last there.
    pub(crate) form: Form,
    pub(crate) last: Last,
}

/// What a directory held when it was last looked at. One that is another directory now, and empty,
/// is rather a volume that is not mounted than a wish to delete everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// Nothing is known.
    Unseen,
    /// It was not there.
    Absent,
    /// It was this directory, and held files.
    Filled(Inode),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    File,
    Directory,
}

/// All places, the mesh configuration first.
pub(crate) fn places(settings: &DirectorySettings) -> Result<Vec<Place>, SourceError> {
    let mesh = settings.mesh_config.iter().map(|path| (path, Rank::MeshConfig));
    let found = settings.paths.iter().map(|path| (path, Rank::Found));
    mesh.chain(found).map(|(path, rank)| place(path, rank)).collect()
}

fn place(written: &Path, rank: Rank) -> Result<Place, SourceError> {
    let name = written.to_string_lossy();
    let fail = |error: io::Error| {
        let hint = "check that the path exists and that this process may read it";
        SourceError::caused(format!("failed to read `{name}`"), hint, error)
    };
    let path = std::path::absolute(written).map_err(fail)?;
    let metadata = std::fs::metadata(&path).map_err(fail)?;
    let form = if metadata.is_dir() { Form::Directory } else { Form::File };
    if rank == Rank::MeshConfig && form == Form::Directory {
        let hint = "name the file that holds the MeshConfig";
        return Err(SourceError::failed(format!("`{name}` is a directory"), hint));
    }
    Ok(Place { path, name: name.trim_start_matches("./").into(), rank, form, last: Last::Unseen })
}

/// The name of something in a directory.
pub(crate) fn child_name(directory: &str, child: &OsStr) -> Arc<str> {
    join_name(directory, &child.to_string_lossy())
}

/// The name of a path below a directory.
pub(crate) fn join_name(directory: &str, below: &str) -> Arc<str> {
    match directory {
        "" | "." => below.into(),
        _ => format!("{}/{below}", directory.trim_end_matches('/')).into(),
    }
}

/// Whether an entry of a directory is never read: hidden, or the leftover of an editor.
pub(crate) fn is_ignored(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".")
        || name.starts_with(b"#")
        || name.ends_with(b"~")
        || name.ends_with(b".swp")
        || name.ends_with(b".tmp")
}

/// Whether a file of a directory holds configuration, judged by its name.
pub(crate) fn is_configuration(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    matches!(extension, Some("yaml" | "yml" | "json"))
}
