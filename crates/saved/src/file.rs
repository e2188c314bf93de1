//! The file: a line about itself, two for each object, and a line that says that it is whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use api::{Object, saved};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// What the lines of objects look like. It changes with them.
const FORMAT: u32 = 1;
const NAME: &str = "state.jsonl";
/// How much is written at once.
const PIECE: usize = 1 << 20;

/// Why a state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("failed to read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("failed to write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The file is of another mesh or program, or not whole.
    #[error("`{}` is not used: {why}", path.display())]
    Unusable { path: PathBuf, why: &'static str },
}

/// Where the state of one mesh is kept.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    /// What the state is of: with other sources or settings, it is another mesh.
    origin: String,
}

/// What was read.
#[derive(Debug)]
pub struct SavedState {
    /// When it was written.
    pub written: SystemTime,
    pub objects: Vec<Object>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    program: String,
    origin: String,
    /// Seconds since 1970.
    written: u64,
}

#[derive(Serialize, Deserialize)]
struct End {
    objects: usize,
}

impl StateFile {
    /// The state of `origin` in a folder, which is made when something is first written.
    pub fn new(directory: &Path, origin: impl Into<String>) -> Self {
        Self { path: directory.join(NAME), origin: origin.into() }
    }

    /// The file itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was last written; `None` if nothing ever was.
    pub fn read(&self) -> Result<Option<SavedState>, StateError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Read { path: self.path.clone(), source }),
        };
        let unusable = |why| StateError::Unusable { path: self.path.clone(), why };
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let head = lines.next().and_then(|line| serde_json::from_slice::<Head>(line).ok());
        let head = head.ok_or_else(|| unusable("it is no state of a mesh"))?;
        if head.format != FORMAT || head.program != program() {
            return Err(unusable("another version of the program wrote it"));
        }
        if head.origin != self.origin {
            return Err(unusable("it was written for other sources"));
        }
        let mut objects = Vec::new();
        loop {
            let (first, second) = (lines.next(), lines.next());
            let (Some(first), Some(second)) = (first, second) else {
                return Err(unusable("it is cut off"));
            };
            if second.is_empty() {
                let end = serde_json::from_slice::<End>(first).ok();
                if end.is_none_or(|end| end.objects != objects.len()) {
                    return Err(unusable("it is cut off"));
                }
                break;
            }
            let object = saved::read_lines(first, second);
            objects.push(object.ok_or_else(|| unusable("an object in it cannot be read"))?);
        }
        let written = UNIX_EPOCH + Duration::from_secs(head.written);
        Ok(Some(SavedState { written, objects }))
    }

    /// Puts this state in place of the last one, in one step.
    pub fn write<'o>(&self, objects: impl Iterator<Item = &'o Object>) -> Result<(), StateError> {
        self.replace(objects)
            .map_err(|source| StateError::Write { path: self.path.clone(), source })
    }

    fn replace<'o>(&self, objects: impl Iterator<Item = &'o Object>) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        // Only the owner can read what `tempfile` makes.
        let mut draft = NamedTempFile::new_in(directory)?;
        let written = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (program, origin) = (program().to_owned(), self.origin.clone());
        let mut piece = line(&Head { format: FORMAT, program, origin, written })?;
        let mut count = 0;
        for object in objects {
            saved::write_lines(object, &mut piece);
            count += 1;
            if piece.len() >= PIECE {
                draft.write_all(&piece)?;
                piece.clear();
            }
        }
        piece.extend(line(&End { objects: count })?);
        draft.write_all(&piece)?;
        draft.as_file().sync_all()?;
        draft.persist(&self.path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    }
}

fn program() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests;
