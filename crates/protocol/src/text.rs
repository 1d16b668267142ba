//! Rules for text that people type. Pure, so that REST, WebSocket and the domain agree on them.

/// Why a text was refused. [`TextError::message`] is fit for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextError {
    /// Nothing but white space.
    Empty,
    /// More characters (Unicode scalar values) than allowed.
    TooLong {
        /// How many are allowed.
        max: usize,
    },
    /// U+0000, which Postgres cannot store, or another control character where none belongs.
    ControlCharacter,
    /// A character outside the allowed set.
    BadCharacter,
}

impl TextError {
    /// One sentence for a person.
    pub fn message(self) -> String {
        match self {
            Self::Empty => "must not be empty".into(),
            Self::TooLong { max } => format!("must have at most {max} characters"),
            Self::ControlCharacter => "must not contain control characters".into(),
            Self::BadCharacter => {
                "may contain letters, digits, '.', '_' and '-' only, and must begin with a letter or digit".into()
            }
        }
    }
}

/// Longest username, in characters.
pub const USERNAME_MAX: usize = 32;
/// Longest display name, title or status text, in characters.
pub const NAME_MAX: usize = 120;
/// Longest description, in characters.
pub const DESCRIPTION_MAX: usize = 1_000;
/// Longest `client_id`, in characters.
pub const CLIENT_ID_MAX: usize = 64;

/// Checks a message's content: 1 to `max` characters, not only white space, no U+0000.
/// Line breaks, tabs and joiners are welcome.
pub fn check_content(text: &str, max: usize) -> Result<(), TextError> {
    check(text, max, |c| c == '\0')
}

/// Checks one line of text (a title, a display name): no control characters at all.
pub fn check_line(text: &str, max: usize) -> Result<(), TextError> {
    check(text, max, char::is_control)
}

/// Checks a username: 1 to [`USERNAME_MAX`] of letters, digits, `.`, `_`, `-`; the first a letter or digit.
pub fn check_username(text: &str) -> Result<(), TextError> {
    check(text, USERNAME_MAX, char::is_control)?;
    let starts_well = text.chars().next().is_some_and(char::is_alphanumeric);
    let all_good = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if starts_well && all_good { Ok(()) } else { Err(TextError::BadCharacter) }
}

/// White space, and what shows as nothing at all (zero-width space and joiners, word joiner, byte order mark).
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

fn check(text: &str, max: usize, forbidden: impl Fn(char) -> bool) -> Result<(), TextError> {
    if text.chars().all(is_blank) {
        return Err(TextError::Empty);
    }
    // Bytes first: counting the characters of a huge text is work an attacker would like us to do.
    if text.len() > max && text.chars().nth(max).is_some() {
        return Err(TextError::TooLong { max });
    }
    if text.chars().any(forbidden) { Err(TextError::ControlCharacter) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_characters_not_bytes() {
        assert_eq!(check_content("ééé", 3), Ok(()));
        assert_eq!(check_content("éééé", 3), Err(TextError::TooLong { max: 3 }));
        assert_eq!(check_content(" \n", 3), Err(TextError::Empty));
        assert_eq!(check_content("\u{200B}\u{2060}", 3), Err(TextError::Empty));
        assert_eq!(check_content("a\0b", 3), Err(TextError::ControlCharacter));
        assert_eq!(check_content("a\nb", 3), Ok(()));
    }

    #[test]
    fn usernames_are_plain() {
        assert_eq!(check_username("zoë_9"), Ok(()));
        for bad in ["_x", "a b", "a/b", "a@b"] {
            assert_eq!(check_username(bad), Err(TextError::BadCharacter), "{bad}");
        }
        assert_eq!(check_username("a\u{7}"), Err(TextError::ControlCharacter));
    }
}
