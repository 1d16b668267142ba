//! Checks of what people hand in, before anything is read or written. Each refusal names its field.

use protocol::{
    CLIENT_ID_MAX, ConversationPatch, DESCRIPTION_MAX, NAME_MAX, ProfilePatch, Seq, Subject, TextError, check_content,
    check_line,
};

use crate::{ChatError, Result};

/// Longest URL, characters.
const URL_MAX: usize = 2_000;
/// Longest `subject.type`, characters.
const SUBJECT_TYPE_MAX: usize = 64;
/// Longest `subject.id`, characters.
const SUBJECT_ID_MAX: usize = 120;
/// Longest `Idempotency-Key`, characters.
const IDEMPOTENCY_KEY_MAX: usize = 255;
/// Longest text to search for, characters.
pub(crate) const QUERY_MAX: usize = 120;
/// Longest page cursor, bytes; ours are much shorter.
const CURSOR_MAX: usize = 512;
/// A page's length when none is asked for.
const PAGE: u32 = 50;
/// Longest page.
pub(crate) const PAGE_MAX: u32 = 100;
/// Most changes in one answer, and how many when no limit is asked for.
const CHANGES_MAX: u32 = 500;

fn named(field: &str) -> impl Fn(TextError) -> ChatError {
    move |error| ChatError::field(field, error.message())
}

/// One emoji, as it is stored.
pub(crate) fn emoji(text: &str) -> Result<String> {
    Ok(text.to_owned())
}

/// A message's text.
pub(crate) fn content(text: &str, max: usize) -> Result<()> {
    check_content(text, max).map_err(named("content"))
}

/// One line of at most `max` characters.
pub(crate) fn line(field: &str, text: &str, max: usize) -> Result<()> {
    check_line(text, max).map_err(named(field))
}

/// A `client_id`.
pub(crate) fn client_id(id: &str) -> Result<()> {
    line("client_id", id, CLIENT_ID_MAX)
}

/// An `Idempotency-Key`.
pub(crate) fn idempotency_key(key: &str) -> Result<()> {
    line("Idempotency-Key", key, IDEMPOTENCY_KEY_MAX)
}

/// A title.
pub(crate) fn title(text: &str) -> Result<()> {
    line("title", text, NAME_MAX)
}

/// A description: may have several lines.
pub(crate) fn description(text: &str) -> Result<()> {
    check_content(text, DESCRIPTION_MAX).map_err(named("description"))
}

/// A web address that browsers will be told to load or to go to: `http` and `https` alone, so that none is a script.
pub(crate) fn url(field: &str, text: &str) -> Result<()> {
    line(field, text, URL_MAX)?;
    let scheme_end = text.find("://").unwrap_or(0);
    let scheme = &text[..scheme_end];
    let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let rest = text.get(scheme_end + 3..).unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if web && !host.is_empty() && !text.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err(ChatError::field(field, "must be an address that begins with https:// or http://"))
    }
}

/// What a conversation is about.
pub(crate) fn subject(subject: &Subject) -> Result<()> {
    line("subject.type", &subject.kind, SUBJECT_TYPE_MAX)?;
    line("subject.id", &subject.id, SUBJECT_ID_MAX)?;
    line("subject.title", &subject.title, NAME_MAX)?;
    subject.url.as_deref().map_or(Ok(()), |address| url("subject.url", address))
}

/// New values of a conversation.
pub(crate) fn conversation_patch(patch: &ConversationPatch) -> Result<()> {
    patch.title.as_deref().map_or(Ok(()), title)?;
    flat(patch.description.as_ref()).map_or(Ok(()), description)?;
    flat(patch.avatar_url.as_ref()).map_or(Ok(()), |address| url("avatar_url", address))
}

/// New values of a profile.
pub(crate) fn profile_patch(patch: &ProfilePatch) -> Result<()> {
    patch.display_name.as_deref().map_or(Ok(()), |name| line("display_name", name, NAME_MAX))?;
    flat(patch.avatar_url.as_ref()).map_or(Ok(()), |address| url("avatar_url", address))?;
    flat(patch.status_text.as_ref()).map_or(Ok(()), |text| line("status_text", text, NAME_MAX))
}

fn flat(field: Option<&Option<String>>) -> Option<&str> {
    field.and_then(Option::as_deref)
}

/// A text to search for; may be empty.
pub(crate) fn query(text: &str) -> Result<()> {
    if text.is_empty() { Ok(()) } else { line("query", text, QUERY_MAX) }
}

/// A page cursor, as far as that can be told without the store.
pub(crate) fn cursor(cursor: Option<&str>) -> Result<()> {
    match cursor {
        Some(text) if text.len() > CURSOR_MAX || text.chars().any(char::is_control) => {
            Err(store::StoreError::BadCursor.into())
        }
        _ => Ok(()),
    }
}

/// A page's length.
pub(crate) fn limit(limit: Option<u32>) -> Result<u32> {
    within(limit.unwrap_or(PAGE), PAGE_MAX)
}

/// How many changes in one answer.
pub(crate) fn changes_limit(limit: Option<u32>) -> Result<u32> {
    within(limit.unwrap_or(CHANGES_MAX), CHANGES_MAX)
}

fn within(limit: u32, max: u32) -> Result<u32> {
    if (1..=max).contains(&limit) {
        Ok(limit)
    } else {
        Err(ChatError::field("limit", format!("must be from 1 to {max}")))
    }
}

/// A seq that a client names, cut to what a store can hold: no head is ever beyond it.
pub(crate) fn seq(seq: Seq) -> Seq {
    seq.min(i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_addresses() {
        for good in ["https://a.example/x.png", "http://localhost:8080", "HTTPS://a.example?x=1"] {
            assert!(url("avatar_url", good).is_ok(), "{good}");
        }
        let long = format!("https://a.example/{}", "x".repeat(URL_MAX));
        for bad in ["", "a.example", "javascript://%0aalert(1)", "://a", "https://", "https:///x", "https://a b", &long]
        {
            let error = url("avatar_url", bad).unwrap_err();
            assert_eq!(error.errors[0].field, "avatar_url", "{bad}");
        }
    }

    #[test]
    fn limits_outside_the_range_are_refused_rather_than_cut() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(100)).unwrap(), 100);
        assert_eq!(changes_limit(None).unwrap(), 500);
        for bad in [0, 101, 1_000_000_000] {
            assert_eq!(limit(Some(bad)).unwrap_err().errors[0].field, "limit");
        }
        assert!(changes_limit(Some(501)).is_err());
    }

    #[test]
    fn a_client_id_is_one_line_of_64_characters() {
        assert!(client_id(&"x".repeat(64)).is_ok());
        for bad in [String::new(), "x".repeat(65), "a\nb".into(), "a\0".into()] {
            assert_eq!(client_id(&bad).unwrap_err().errors[0].field, "client_id");
        }
    }

    #[test]
    fn a_cleared_field_needs_no_check_and_a_set_one_does() {
        let mut patch = ConversationPatch { description: Some(None), ..ConversationPatch::default() };
        assert!(conversation_patch(&patch).is_ok());
        patch.description = Some(Some(" ".into()));
        assert_eq!(conversation_patch(&patch).unwrap_err().errors[0].field, "description");
    }
}
