//! A file into the texts of its documents, so that a mistake in one leaves the others alone.

/// The text between two `---` lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) text: &'a str,
    /// Line of the file at which the text begins.
    pub(crate) line: u32,
}

/// Whole documents of a file.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub text: &'a [u8],
    /// Lines of the file before the text.
    pub lines_before: u32,
}

/// Cuts in front of marker lines, into pieces of at least `size` bytes but for the last.
pub(crate) fn split_pieces(bytes: &[u8], size: usize) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut lines_before) = (Vec::new(), bytes, 0u32);
    loop {
        let mut end = size.max(1).min(rest.len());
        // What stands here may be the middle of a line.
        end += line_length(&rest[end..]);
        while end < rest.len() && !is_marker(&rest[end..]) {
            end += line_length(&rest[end..]);
        }
        let (text, after) = rest.split_at(end);
        pieces.push(Piece { text, lines_before });
        if after.is_empty() {
            return pieces;
        }
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        lines_before = lines_before.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        rest = after;
    }
}

/// Splits at lines that begin with `---`: YAML allows them nowhere inside a document. A chunk that
/// is not UTF-8 is given as the line at which it begins.
pub(crate) fn split(bytes: &[u8]) -> Vec<Result<Chunk<'_>, u32>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut chunks = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let (mut at, mut line) = (0, 1u32);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if is_marker(rest) {
            push(&mut chunks, &bytes[start..at], start_line);
            start = at + 3;
            start_line = line;
        }
        at += line_length(rest);
        line = line.saturating_add(1);
    }
    push(&mut chunks, &bytes[start.min(bytes.len())..], start_line);
    chunks
}

fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

fn is_marker(line: &[u8]) -> bool {
    line.starts_with(b"---") && matches!(line.get(3), None | Some(b'\n' | b'\r' | b' ' | b'\t'))
}

fn push<'a>(chunks: &mut Vec<Result<Chunk<'a>, u32>>, bytes: &'a [u8], line: u32) {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    chunks.push(match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Chunk { text, line }),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            Err(line + before.iter().filter(|byte| **byte == b'\n').count() as u32)
        }
    });
}
