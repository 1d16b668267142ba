//! Cuts the part of a text around what was found, with what was found marked, alike for every store. Made here and not
//! by the database, whose own means mark with characters that the text may have as well, drop what looks like markup or
//! know no end of a word without spaces: a text is shown as it was written.

use protocol::SnippetPart;

/// About how many characters a snippet has.
const LENGTH: usize = 160;
/// How many of them are before what was found.
const LEAD: usize = 40;
/// Stands where the text was cut.
const CUT: &str = "…";

/// A word of the text.
struct Token {
    /// Its place, in characters.
    from: usize,
    to: usize,
    hit: bool,
}

/// The part of `content` with the most hits, in any case; a hit is a word that begins with one of `words`.
pub(crate) fn snippet(content: &str, words: &[String]) -> Vec<SnippetPart> {
    let text: Vec<char> = content.chars().collect();
    let words: Vec<String> = words.iter().map(|word| fold(word.chars())).collect();
    let tokens = tokens(&text, &words);
    let (from, to) = window(text.len(), &tokens);
    let mut parts = Parts::default();
    if from > 0 {
        parts.push(CUT.chars(), false);
    }
    let mut at = from;
    // A word that is longer than a snippet is shown in part.
    for token in tokens.iter().filter(|token| token.hit && token.from < to && token.to > from) {
        parts.push(slice(&text, at, token.from), false);
        parts.push(slice(&text, token.from.max(from), token.to.min(to)), true);
        at = token.to.min(to);
    }
    parts.push(slice(&text, at, to), false);
    if to < text.len() {
        parts.push(CUT.chars(), false);
    }
    parts.0
}

/// Each character lowered by itself, so that the beginning of a word folds to the beginning of its fold; the two small
/// sigmas are one letter.
fn fold(word: impl Iterator<Item = char>) -> String {
    word.flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

fn slice(text: &[char], from: usize, to: usize) -> impl Iterator<Item = char> {
    text.iter().copied().take(to).skip(from)
}

/// Runs of letters and digits.
fn tokens(text: &[char], words: &[String]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    for run in text.chunk_by(|a, b| a.is_alphanumeric() == b.is_alphanumeric()) {
        let (from, to) = (at, at + run.len());
        at = to;
        if run.first().is_some_and(|c| c.is_alphanumeric()) {
            let token = fold(run.iter().copied());
            let hit = words.iter().any(|word| token.starts_with(word.as_str()));
            tokens.push(Token { from, to, hit });
        }
    }
    tokens
}

/// From where to where the text is shown: all of a short one; else from a word's beginning to a word's end.
fn window(length: usize, tokens: &[Token]) -> (usize, usize) {
    if length <= LENGTH {
        return (0, length);
    }
    let hits: Vec<&Token> = tokens.iter().filter(|token| token.hit).collect();
    let mut best = (0, 0);
    let mut end = 0;
    for (i, hit) in hits.iter().enumerate() {
        while hits.get(end).is_some_and(|last| last.to <= hit.from + LENGTH - LEAD) {
            end += 1;
        }
        let count = end.saturating_sub(i).max(1);
        if count > best.0 {
            best = (count, hit.from);
        }
    }
    // Near the end of the text the lead is longer, so that the snippet is not shorter.
    let wanted = best.1.saturating_sub(LEAD).min(length.saturating_sub(LENGTH));
    let from = if wanted == 0 {
        0
    } else {
        tokens.iter().map(|token| token.from).find(|from| (wanted..=best.1).contains(from)).unwrap_or(wanted)
    };
    let limit = (from + LENGTH).min(length);
    let to = if limit == length {
        length
    } else {
        tokens.iter().rev().map(|token| token.to).find(|to| (from + LENGTH / 2..=limit).contains(to)).unwrap_or(limit)
    };
    (from, to)
}

#[derive(Default)]
struct Parts(Vec<SnippetPart>);

impl Parts {
    /// Adds text, to the last part where that looks the same.
    fn push(&mut self, text: impl Iterator<Item = char>, highlighted: bool) {
        let text: String = text.collect();
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.highlighted == highlighted => last.text.push_str(&text),
            _ => self.0.push(SnippetPart { text, highlighted }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(content: &str, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mark = |part: SnippetPart| if part.highlighted { format!("[{}]", part.text) } else { part.text };
        snippet(content, &words).into_iter().map(mark).collect()
    }

    #[test]
    fn a_short_text_is_shown_as_it_is() {
        assert_eq!(shown("Hello, <b>World</b>!", &["wor"]), "Hello, <b>[World]</b>!");
        assert_eq!(shown("hello hello", &["hello"]), "[hello] [hello]");
        assert_eq!(shown("ÖL und öle", &["öl"]), "[ÖL] und [öle]");
        assert_eq!(shown("ΟΔΟΣ", &["οδος"]), "[ΟΔΟΣ]");
        assert_eq!(shown("\u{e000}a\u{e001} b", &["b"]), "\u{e000}a\u{e001} [b]");
        assert_eq!(shown("nothing here", &["absent"]), "nothing here");
        assert_eq!(shown("", &["a"]), "");
    }

    #[test]
    fn a_long_text_is_cut_around_what_was_found() {
        let text = format!("{} needle {}", "before ".repeat(100), "after ".repeat(100));
        let snippet = shown(&text, &["needle"]);
        assert!(snippet.starts_with("…before ") && snippet.ends_with("after…"), "{snippet}");
        assert!(snippet.contains(" [needle] ") && snippet.chars().count() <= LENGTH + 4, "{snippet}");
        let snippet = shown(&format!("{} needle", "before ".repeat(100)), &["needle"]);
        assert!(snippet.ends_with("[needle]") && snippet.chars().count() > LENGTH / 2, "{snippet}");
        let snippet = shown(&format!("needle {}", "after ".repeat(100)), &["needle"]);
        assert!(snippet.starts_with("[needle] ") && snippet.ends_with("after…"), "{snippet}");
    }

    #[test]
    fn the_place_with_the_most_hits_is_shown() {
        let text = format!("one {}one two three {}", "x ".repeat(200), "x ".repeat(200));
        let snippet = shown(&text, &["one", "two", "three"]);
        assert!(snippet.contains("[one] [two] [three]"), "{snippet}");
    }

    #[test]
    fn a_text_without_gaps_is_cut_all_the_same() {
        for (word, start) in [("x", "[xxx"), ("y", "xxx")] {
            let snippet = shown(&"x".repeat(4_000), &[word]);
            assert!(snippet.starts_with(start) && snippet.ends_with('…'), "{snippet}");
            assert!(snippet.chars().count() <= LENGTH + 4, "{snippet}");
        }
        let snippet = shown(&format!("{} {}", "a ".repeat(200), "x".repeat(200)), &["x"]);
        assert!(snippet.contains("a  [xxx"), "{snippet}");
        let snippet = shown(&"🙂".repeat(4_000), &["x"]);
        assert_eq!(snippet.chars().count(), LENGTH + 1);
    }
}
