//! Objects from files: directories of YAML and JSON → changes, within milliseconds of a write.
//!
//! - [`FileSet`] is the pure core: files → objects in effect. A broken file keeps its last good
//!   objects, and an object in two files has one owner.
//! - [`DirectorySource`] reads and watches; [`load_once`] reads once, for checks.
//! - A [`DirectoryHandle`] makes it look at once, and writes objects into the files.
//! - Never an emptiness that is not proven: a directory that vanished, a file that cannot be read
//!   or is just being written deletes nothing.
//! - Not here: what the objects say (`api`), what is done with them (`store`).
#![warn(missing_docs)]

pub mod codes;
mod control;
mod directory;
mod draft;
mod edit;
mod file_set;
mod load;
mod parsed;
mod place;
mod plan;
mod scan;
mod tracker;
mod watch;
mod write;

use std::{path::PathBuf, time::Duration};

pub use control::{
    DirectoryCommands, DirectoryHandle, WriteError, WriteMode, WriteVerb, Written,
    directory_control,
};
pub use directory::DirectorySource;
pub use draft::{Draft, parse_drafts};
pub use file_set::FileSet;
pub use load::load_once;
pub use parsed::{Completeness, ParsedFile, Rank};

/// Where the files are.
#[derive(Clone, Debug)]
pub struct DirectorySettings {
    /// Directories, read with everything below them, and files. Of the files below directories,
    /// those that end in `.yaml`, `.yml` or `.json` and are not hidden are read.
    pub paths: Vec<PathBuf>,
    /// A file that is one MeshConfig. It wins over a ConfigMap.
    pub mesh_config: Option<PathBuf>,
    /// How often everything is looked at again, for what the watch has missed.
    pub rescan: Duration,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self { paths: Vec::new(), mesh_config: None, rescan: Duration::from_secs(10) }
    }
}
