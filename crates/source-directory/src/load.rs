//! Bytes of files → parsed files, on all cores.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::Object;
use model::{Diagnostic, Diagnostics};
use rayon::prelude::*;
use source::SourceError;
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    Completeness, DirectorySettings, FileSet, ParsedFile, Rank, codes, place,
    scan::{self, Found, Stamp},
};

/// Larger files are refused: they are hardly configuration, and would be held in memory.
const LARGEST: u64 = 256 << 20;

/// A file written so recently may be written again without its state showing it.
const CLOCK_STEP: Duration = Duration::from_millis(100);

/// Bytes of a file that are parsed by one thread at a time.
const PIECE: usize = 1 << 20;

/// A file to read.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) path: PathBuf,
    pub(crate) name: Arc<str>,
    pub(crate) rank: Rank,
    /// Hash of the bytes for which nothing is to be done.
    pub(crate) known: Option<u128>,
    /// Whether the file may still be in the hands of its writer.
    pub(crate) completeness: Completeness,
}

/// What came of reading a file.
#[derive(Debug)]
pub(crate) enum Content {
    Gone,
    Same { stamp: Option<Stamp> },
    New { hash: Option<u128>, stamp: Option<Stamp>, parsed: ParsedFile },
}

/// Reads everything once, without watching it: the objects in effect, sorted by key, and what is
/// wrong, file by file. A path that cannot be read is a finding like any other.
pub fn load_once(paths: &[PathBuf], mesh_config: Option<&Path>) -> (Vec<Object>, Diagnostics) {
    let (mut places, mut findings) = (Vec::new(), Vec::new());
    let settings = |paths: &[PathBuf], mesh_config: Option<&Path>| DirectorySettings {
        paths: paths.to_vec(),
        mesh_config: mesh_config.map(Path::to_owned),
        ..DirectorySettings::default()
    };
    let each = paths.chunks(1).map(|path| settings(path, None));
    for settings in mesh_config.map(|_| settings(&[], mesh_config)).into_iter().chain(each) {
        match place::places(&settings) {
            Ok(found) => places.extend(found),
            Err(SourceError::Failed { doing, hint, source }) => {
                let cause = source.map(|cause| format!(": {cause}")).unwrap_or_default();
                findings.push(codes::UNREADABLE.diagnostic(format!("{doing}{cause}")).hint(hint));
            }
            Err(SourceError::Closed) => (),
        }
    }
    let scan = scan::scan(&places);
    findings.extend(scan.empty.iter().map(|name| empty(name)));
    findings.extend(scan.findings.into_values().flat_map(Diagnostics::into_vec));
    let mut set = FileSet::default();
    set.apply(load_found(scan.files));
    findings.extend(set.take_findings().into_values().flat_map(Diagnostics::into_vec));
    (set.objects().cloned().collect(), findings.into_iter().collect())
}

/// The finding that a directory of the settings holds nothing to read.
pub(crate) fn empty(name: &str) -> Diagnostic {
    let message = format!("`{name}` holds no file that ends in .yaml, .yml or .json");
    codes::EMPTY.diagnostic(message).hint("check the path, or put configuration there")
}

fn load_found(files: BTreeMap<PathBuf, Found>) -> Vec<(Arc<str>, Option<ParsedFile>)> {
    let (mut tasks, mut parsed) = (Vec::new(), Vec::new());
    for (path, Found { name, rank, state }) in files {
        match state {
            Ok(_) => {
                let completeness = Completeness::Whole;
                tasks.push(Task { path, name, rank, known: None, completeness });
            }
            Err(finding) => parsed.push((name, Some(ParsedFile::unknown(finding, rank)))),
        }
    }
    parsed.extend(read_all(tasks).into_iter().map(|(task, content)| match content {
        Content::New { parsed, .. } => (task.name, Some(parsed)),
        Content::Gone | Content::Same { .. } => (task.name, None),
    }));
    parsed
}

/// Reads and parses files, on as many threads as there are cores. Blocks.
pub(crate) fn read_all(tasks: Vec<Task>) -> Vec<(Task, Content)> {
    let contents: Vec<Content> = tasks.par_iter().map(read).collect();
    tasks.into_iter().zip(contents).collect()
}

/// Large files are read in pieces: often one export of a registry is all that there is.
fn parse(name: &str, bytes: &[u8], rank: Rank) -> ParsedFile {
    if rank == Rank::Found && bytes.len() > PIECE {
        let pieces = api::split_file(bytes, PIECE);
        let parsed = pieces.par_iter().map(|piece| ParsedFile::parse_piece(name, piece));
        if let Some(whole) = ParsedFile::join(parsed.collect::<Vec<_>>()) {
            return whole;
        }
    }
    ParsedFile::parse(name, bytes, rank)
}

fn read(task: &Task) -> Content {
    let (bytes, stamp) = match read_bytes(&task.path) {
        Ok(read) => read,
        Err(error) => {
            let is_gone = scan::is_absent(&error)
                && fs::symlink_metadata(&task.path).is_err_and(|error| scan::is_absent(&error));
            if is_gone {
                return Content::Gone;
            }
            let parsed = ParsedFile::unknown(scan::unreadable(&task.name, &error), task.rank);
            return Content::New { hash: None, stamp: None, parsed };
        }
    };
    let hash = xxh3_128(&bytes);
    if task.known == Some(hash) {
        return Content::Same { stamp };
    }
    let mut parsed = parse(&task.name, &bytes, task.rank);
    if task.completeness == Completeness::Partial {
        parsed.completeness = Completeness::Partial;
    }
    Content::New { hash: Some(hash), stamp, parsed }
}

/// The bytes, and the state that stands for them unless it is too young to be trusted.
fn read_bytes(path: &Path) -> io::Result<(Vec<u8>, Option<Stamp>)> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    if metadata.len() > LARGEST {
        let message = format!("it is larger than {} MiB", LARGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let stamp = Stamp::new(&metadata);
    let is_racy = stamp.is_younger_than(CLOCK_STEP);
    Ok((fs::read(path)?, (!is_racy).then_some(stamp)))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn a_large_file_is_read_in_pieces_with_the_lines_of_the_file() {
        let mut text = String::new();
        while text.len() < 3 * PIECE {
            let number = text.len();
            let odd = if number < 2 * PIECE { "address" } else { "adress" };
            // A `String` takes everything.
            let _ = write!(
                text,
                "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n\
                 metadata: {{name: vm-{number}}}\nspec: {{address: 10.0.0.1, {odd}: 10.0.0.2}}\n"
            );
        }
        assert!(api::split_file(text.as_bytes(), PIECE).len() > 2);
        let whole = ParsedFile::parse("vms.yaml", text.as_bytes(), Rank::Found);
        let pieces = parse("vms.yaml", text.as_bytes(), Rank::Found);
        let places = |file: &ParsedFile| -> Vec<String> {
            file.objects.iter().map(|it| format!("{} {}", it.location, it.key)).collect()
        };
        assert!(places(&whole) == places(&pieces), "objects differ");
        assert!(!whole.diagnostics.is_empty());
        assert!(whole.diagnostics == pieces.diagnostics, "findings differ");
    }
}
