//! Snippets of texts that were found: what the index marked, as parts, and never longer than a few lines.

use protocol::SnippetPart;

/// What the index puts before and after what it found: code points that Unicode keeps from ever being characters.
pub(super) const OPEN: char = '\u{FDD0}';
/// See [`OPEN`].
pub(super) const CLOSE: char = '\u{FDD1}';
/// Stands for what is left out.
pub(super) const ELLIPSIS: &str = "…";
/// Words of a snippet.
pub(super) const WORDS: i64 = 24;
/// Characters of a snippet: words may be long.
const CHARS_MAX: usize = 300;
/// Characters before the first highlighted part, where the text is longer.
const CHARS_BEFORE: usize = 60;

/// The parts of a marked text. Where the content itself has marks (nothing keeps a sender from it), which ones are the
/// index's cannot be told: its beginning is shown without them, and without highlights.
pub(super) fn of(content: &str, marked: &str) -> Vec<SnippetPart> {
    if content.contains([OPEN, CLOSE]) {
        let plain: String = content.chars().filter(|c| !matches!(*c, OPEN | CLOSE)).collect();
        return shorten(vec![SnippetPart { text: plain, highlighted: false }]);
    }
    let mut parts: Vec<SnippetPart> = Vec::new();
    for (n, text) in marked.split([OPEN, CLOSE]).enumerate() {
        if !text.is_empty() {
            parts.push(SnippetPart { text: text.to_owned(), highlighted: n % 2 == 1 });
        }
    }
    shorten(parts)
}

/// Cuts what is too long around the first highlighted part.
fn shorten(mut parts: Vec<SnippetPart>) -> Vec<SnippetPart> {
    let length = |part: &SnippetPart| part.text.chars().count();
    if parts.iter().map(length).sum::<usize>() <= CHARS_MAX {
        return parts;
    }
    if parts.len() > 1
        && let Some(first) = parts.first_mut().filter(|part| !part.highlighted)
        && let Some(skip) = length(first).checked_sub(CHARS_BEFORE).filter(|skip| *skip > 0)
    {
        let kept: String = first.text.chars().skip(skip).collect();
        first.text = format!("{ELLIPSIS}{kept}");
    }
    let mut room = CHARS_MAX;
    let mut short = Vec::new();
    for mut part in parts {
        let length = length(&part);
        if length > room {
            part.text = part.text.chars().take(room).collect();
        }
        room = room.saturating_sub(length);
        short.push(part);
        if room == 0 {
            short.push(SnippetPart { text: ELLIPSIS.to_owned(), highlighted: false });
            break;
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[SnippetPart]) -> String {
        let mark = |part: &SnippetPart| if part.highlighted { format!("[{}]", part.text) } else { part.text.clone() };
        parts.iter().map(mark).collect()
    }

    #[test]
    fn marks_become_parts_without_empty_ones() {
        let parts = of("say hello world", "say \u{FDD0}hello\u{FDD1} \u{FDD0}world\u{FDD1}");
        assert_eq!(shown(&parts), "say [hello] [world]");
        assert_eq!(parts.len(), 4);
    }

    #[test]
    fn marks_of_the_text_itself_highlight_nothing_and_are_not_shown() {
        let parts = of("a\u{FDD0}b hello", "a\u{FDD0}b \u{FDD0}hello\u{FDD1}");
        assert_eq!(shown(&parts), "ab hello");
    }

    #[test]
    fn a_long_word_is_cut_and_what_stands_before_it_as_well() {
        let before = "x".repeat(500);
        let found = "y".repeat(500);
        let parts = of("", &format!("{before} \u{FDD0}{found}\u{FDD1} and more"));
        let shown: String = parts.iter().map(|part| part.text.as_str()).collect();
        assert!(shown.starts_with("…x") && shown.ends_with("y…"), "{shown}");
        assert_eq!(shown.chars().count(), CHARS_MAX + 1);
        assert!(parts.iter().any(|part| part.highlighted));
    }
}
