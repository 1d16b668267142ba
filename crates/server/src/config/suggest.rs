//! "Did you mean": the known name that is nearest to a misspelt one.

/// The nearest of `known` if it is near enough that a person would take one for the other.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, name) = known.map(|name| (distance(wrong, name), name)).min_by_key(|(distance, _)| *distance)?;
    (distance <= (wrong.len() / 4).max(1)).then_some(name)
}

/// Edits (insert, remove, replace) from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = || ["STARLING_LISTEN", "STARLING_LOG", "STARLING_LOG_FORMAT"].into_iter();
        assert_eq!(nearest("STARLING_LISSTEN", known()), Some("STARLING_LISTEN"));
        assert_eq!(nearest("STARLING_LOGFORMAT", known()), Some("STARLING_LOG_FORMAT"));
        assert_eq!(nearest("STARLING_COMPLETELY_ELSE", known()), None);
        assert_eq!(nearest("x", std::iter::empty()), None);
    }
}
