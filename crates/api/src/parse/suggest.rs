//! The name that somebody may have meant.

/// The known name that is nearest to `name`, if one is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 3).clamp(1, 4);
    let scored = known.into_iter().map(|known| (distance(name, known), known));
    scored.filter(|(distance, _)| *distance <= limit).min().map(|(_, known)| known)
}

/// Edits from one text to the other; letters of another case count for nothing.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 64 || left.len().abs_diff(right.len()) > 4 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, byte) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.bytes().enumerate() {
            let same = byte.eq_ignore_ascii_case(&other);
            let replaced = diagonal + usize::from(!same);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
