//! Edits → files on disk, all of them or none.
//!
//! - First every new content is written beside its file and synced, then each takes its place by
//!   one rename. A crash in between leaves each file as it was or as it shall be.
//! - When a rename fails, the files that were replaced before it get their old content back.
//! - Blocks on disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{WriteError, plan::FileEdit};

/// A new content that waits beside its file.
struct Staged<'a> {
    edit: &'a FileEdit,
    /// `None` for a file that goes away.
    draft: Option<PathBuf>,
}

/// Writes all edits.
pub(crate) fn write_all(edits: &[FileEdit]) -> Result<(), WriteError> {
    let fail = |edit: &FileEdit| {
        let file = edit.name.clone();
        move |source| WriteError::Write { file, source }
    };
    let mut staged = Vec::with_capacity(edits.len());
    for (index, edit) in edits.iter().enumerate() {
        match stage(edit, index) {
            Ok(draft) => staged.push(Staged { edit, draft }),
            Err(error) => {
                discard(&staged);
                return Err(fail(edit)(error));
            }
        }
    }
    if let Some(conflict) = edits.iter().find(|edit| !is_as_planned(edit)) {
        discard(&staged);
        return Err(WriteError::Conflict { file: conflict.name.clone() });
    }
    for (index, own) in staged.iter().enumerate() {
        if let Err(error) = replace(own.draft.as_deref(), &own.edit.path) {
            discard(&staged[index..]);
            staged[..index].iter().for_each(|done| restore(done.edit, index));
            return Err(fail(own.edit)(error));
        }
    }
    Ok(())
}

/// Writes the new content beside the file.
fn stage(edit: &FileEdit, index: usize) -> io::Result<Option<PathBuf>> {
    let Some(after) = &edit.after else { return Ok(None) };
    let directory = edit.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_directory(directory)?;
    let draft = directory.join(format!(".meltemi-{}-{index}.tmp", std::process::id()));
    let written = write_synced(&draft, after).and_then(|()| {
        // A file that others may read stays one.
        match fs::metadata(&edit.path) {
            Ok(metadata) => fs::set_permissions(&draft, metadata.permissions()),
            Err(_) => Ok(()),
        }
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written.map(|()| Some(draft))
}

/// Makes a directory and notes it in those above, so that it is there after a crash too.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(above) = directory.parent() {
        make_directory(above)?;
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => (),
        }
        sync(above)?;
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash left behind is in the way; a link that somebody put there is not followed.
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn replace(draft: Option<&Path>, path: &Path) -> io::Result<()> {
    match draft {
        Some(draft) => fs::rename(draft, path)?,
        None => fs::remove_file(path)?,
    }
    path.parent().map_or(Ok(()), sync)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn is_as_planned(edit: &FileEdit) -> bool {
    match (fs::read(&edit.path), &edit.before) {
        (Ok(now), Some(before)) => now == *before,
        (Err(error), None) => error.kind() == io::ErrorKind::NotFound,
        (Ok(_), None) | (Err(_), Some(_)) => false,
    }
}

fn discard(staged: &[Staged<'_>]) {
    for draft in staged.iter().filter_map(|own| own.draft.as_ref()) {
        let _ = fs::remove_file(draft);
    }
}

fn restore(edit: &FileEdit, index: usize) {
    let restored = match &edit.before {
        None => fs::remove_file(&edit.path),
        Some(before) => {
            let old = FileEdit { after: Some(before.clone()), ..edit.clone() };
            stage(&old, index).and_then(|draft| replace(draft.as_deref(), &edit.path))
        }
    };
    if let Err(error) = restored {
        tracing::error!(file = %edit.name, %error, "A file could not be put back as it was");
    }
}
