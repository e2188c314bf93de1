//! One file as it was read: its good objects, and what is wrong with the others.

use api::{Object, Piece};
use model::{Diagnostic, Diagnostics, Kind, ObjectKey, Severity};

/// Which of two files with the same object wins, before their paths are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The file was named as the mesh configuration.
    MeshConfig,
    /// The file was found, or named among others.
    #[default]
    Found,
}

/// Whether an object that a file no longer shows is proven to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// All of the file was read and understood.
    Whole,
    /// Some of it was not, so an object that is missing may be in that part.
    Partial,
}

/// The content of one file.
#[derive(Clone, Debug)]
pub struct ParsedFile {
    /// The objects that may take effect, in the order of the file.
    pub objects: Vec<Object>,
    /// Objects with errors. The last good version of each stays in effect.
    pub refused: Vec<ObjectKey>,
    /// Those of them that must not be missing where there is no last good version: without a policy
    /// that has a mistake, everything would be allowed. What is wrong with it denies (`compile`).
    pub cautious: Vec<Object>,
    /// What is wrong with the file and its objects.
    pub diagnostics: Diagnostics,
    /// Whether objects that are missing are gone.
    pub completeness: Completeness,
    /// Which file wins.
    pub rank: Rank,
}

impl ParsedFile {
    /// Reads the text of a file. `name` is only used to say where things are.
    pub fn parse(name: &str, text: &[u8], rank: Rank) -> Self {
        let (parsed, diagnostics) = match rank {
            Rank::Found => api::parse_documents(name, text),
            Rank::MeshConfig => {
                let (object, diagnostics) = api::parse_mesh_config(name, text);
                (object.into_iter().collect(), diagnostics)
            }
        };
        Self::judge(parsed, diagnostics, rank)
    }

    /// Reads one piece of a file that was found.
    pub(crate) fn parse_piece(name: &str, piece: &Piece<'_>) -> Self {
        let (parsed, diagnostics) = api::parse_piece(name, piece);
        Self::judge(parsed, diagnostics, Rank::Found)
    }

    /// The file of which these are the pieces, in their order.
    pub(crate) fn join(pieces: impl IntoIterator<Item = Self>) -> Option<Self> {
        pieces.into_iter().reduce(|mut whole, piece| {
            whole.objects.extend(piece.objects);
            whole.refused.extend(piece.refused);
            whole.cautious.extend(piece.cautious);
            whole.diagnostics.extend(piece.diagnostics);
            if piece.completeness == Completeness::Partial {
                whole.completeness = Completeness::Partial;
            }
            whole
        })
    }

    /// Sorts out which objects may take effect.
    fn judge(parsed: Vec<Object>, mut diagnostics: Diagnostics, rank: Rank) -> Self {
        let is_partial = diagnostics.iter().any(hides_objects);
        let (mut objects, mut refused) = (Vec::with_capacity(parsed.len()), Vec::new());
        let mut cautious = Vec::new();
        for object in parsed {
            let findings = api::validate(&object);
            if findings.has_errors() {
                refused.push(object.key.clone());
                if object.key.kind == Kind::AuthorizationPolicy {
                    cautious.push(object);
                }
            } else {
                objects.push(object);
            }
            diagnostics.extend(findings);
        }
        let completeness = if is_partial { Completeness::Partial } else { Completeness::Whole };
        Self { objects, refused, cautious, diagnostics, completeness, rank }
    }

    /// A file of which nothing is known but why: what it last held stays in effect.
    pub fn unknown(finding: Diagnostic, rank: Rank) -> Self {
        Self {
            objects: Vec::new(),
            refused: Vec::new(),
            cautious: Vec::new(),
            diagnostics: Diagnostics::from_iter([finding]),
            completeness: Completeness::Partial,
            rank,
        }
    }
}

/// Whether a document is missing from the objects because of this finding.
fn hides_objects(finding: &Diagnostic) -> bool {
    let is_unread = [api::codes::SYNTAX.code, api::codes::BAD_VALUE.code].contains(&finding.code);
    is_unread && finding.severity == Severity::Error
}
