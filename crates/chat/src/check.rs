//! Checks of what people hand in, before anything is read or written. Each refusal names its field.

use protocol::{
    ATTACHMENTS_MAX, Attachment, CLIENT_ID_MAX, ConversationPatch, DESCRIPTION_MAX, NAME_MAX, ProfilePatch, Seq,
    Subject, TextError, check_content, check_line,
};

use crate::{ChatError, Result};

/// Longest URL, characters.
const URL_MAX: usize = 2_000;
/// Largest number that JavaScript does not round.
const AMOUNT_MAX: u64 = (1 << 53) - 1;
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

/// Longest slow mode, seconds: a day.
const SLOW_MODE_MAX: u32 = 86_400;

/// One emoji, as it is stored: fully qualified, so that each emoji is one however a keyboard writes it.
pub(crate) fn emoji(text: &str) -> Result<String> {
    let known = emojis::get(text).ok_or_else(|| ChatError::field("emoji", "must be exactly one emoji"))?;
    Ok(known.as_str().to_owned())
}

/// A text of several lines.
pub(crate) fn content(text: &str, max: usize) -> Result<()> {
    check_content(text, max).map_err(named("content"))
}

/// A message's text; where it goes with files it may be the empty text.
pub(crate) fn message_text(text: &str, max: usize, with_files: bool) -> Result<()> {
    if with_files && text.is_empty() { Ok(()) } else { content(text, max) }
}

/// Files that go with a message.
pub(crate) fn attachments(attachments: &[Attachment]) -> Result<()> {
    if attachments.len() > ATTACHMENTS_MAX {
        return Err(ChatError::field("attachments", format!("must have at most {ATTACHMENTS_MAX} items")));
    }
    for (number, attachment) in attachments.iter().enumerate() {
        let field = |name: &str| format!("attachments.{number}.{name}");
        url(&field("url"), &attachment.url)?;
        attachment.name.as_deref().map_or(Ok(()), |name| line(&field("name"), name, NAME_MAX))?;
        attachment.media_type.as_deref().map_or(Ok(()), |kind| line(&field("media_type"), kind, NAME_MAX))?;
        attachment.thumbnail_url.as_deref().map_or(Ok(()), |address| url(&field("thumbnail_url"), address))?;
        amount(&field("byte_size"), attachment.byte_size)?;
        amount(&field("duration_ms"), attachment.duration_ms)?;
    }
    Ok(())
}

/// A number that every client reads as it was written.
fn amount(field: &str, number: Option<u64>) -> Result<()> {
    match number {
        Some(number) if number > AMOUNT_MAX => Err(ChatError::field(field, format!("must be at most {AMOUNT_MAX}"))),
        _ => Ok(()),
    }
}

/// Seconds between two messages of one member.
pub(crate) fn slow_mode(seconds: u32) -> Result<()> {
    if seconds <= SLOW_MODE_MAX {
        return Ok(());
    }
    Err(ChatError::field("slow_mode_seconds", format!("must be from 0 to {SLOW_MODE_MAX}")))
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
    let alone = ConversationPatch { archived: patch.archived, ..ConversationPatch::default() };
    if patch.archived.is_some() && *patch != alone {
        return Err(ChatError::field("archived", "must not come together with another field"));
    }
    patch.slow_mode_seconds.map_or(Ok(()), slow_mode)?;
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

    #[test]
    fn every_emoji_has_one_way_to_be_written() {
        for (text, stored) in [
            ("\u{2764}", "\u{2764}\u{fe0f}"),
            ("❤\u{fe0f}", "\u{2764}\u{fe0f}"),
            ("👍", "👍"),
            ("👍\u{fe0f}", "👍"),
            ("👍🏽", "👍🏽"),
            ("1\u{20e3}", "1\u{fe0f}\u{20e3}"),
            ("🇩🇪", "🇩🇪"),
            (
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
                "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            ),
            ("👨\u{200d}👩\u{200d}👧", "👨\u{200d}👩\u{200d}👧"),
            ("🏳\u{200d}🌈", "🏳\u{fe0f}\u{200d}🌈"),
            ("🕵🏽\u{200d}♂", "🕵🏽\u{200d}♂\u{fe0f}"),
        ] {
            assert_eq!(emoji(text).unwrap(), stored, "{text}");
        }
        for bad in ["", " ", "a", "1", "👍👍", "👍 ", ":+1:", "🇩", "\u{200d}", "\0", &"👍".repeat(10_000)] {
            assert_eq!(emoji(bad).unwrap_err().errors[0].field, "emoji", "{}", bad.len());
        }
    }

    #[test]
    fn a_file_is_a_web_address_with_a_name_of_one_line() {
        let good: Attachment =
            serde_json::from_value(serde_json::json!({ "kind": "image", "url": "https://a.example/x.png" })).unwrap();
        assert!(attachments(&vec![good.clone(); 10]).is_ok());
        let script = "javascript:alert(1)".to_owned();
        for (bad, field) in [
            (vec![good.clone(); 11], "attachments"),
            (vec![good.clone(), Attachment { url: script.clone(), ..good.clone() }], "attachments.1.url"),
            (vec![Attachment { thumbnail_url: Some(script), ..good.clone() }], "attachments.0.thumbnail_url"),
            (vec![Attachment { name: Some("a\nb".into()), ..good.clone() }], "attachments.0.name"),
            (vec![Attachment { media_type: Some("x".repeat(121)), ..good.clone() }], "attachments.0.media_type"),
            (vec![Attachment { byte_size: Some(1 << 53), ..good.clone() }], "attachments.0.byte_size"),
            (vec![Attachment { duration_ms: Some(u64::MAX), ..good.clone() }], "attachments.0.duration_ms"),
        ] {
            assert_eq!(attachments(&bad).unwrap_err().errors[0].field, field);
        }
    }

    #[test]
    fn a_text_may_be_empty_beside_files_alone() {
        assert!(message_text("", 10, true).is_ok());
        for (bad, with_files) in [("", false), (" ", true), ("a\0", true), ("xxxxxxxxxxx", true)] {
            assert_eq!(message_text(bad, 10, with_files).unwrap_err().errors[0].field, "content");
        }
    }

    #[test]
    fn archiving_comes_alone_and_slow_mode_lasts_at_most_a_day() {
        let patch = |json| serde_json::from_value::<ConversationPatch>(json).unwrap();
        assert!(conversation_patch(&patch(serde_json::json!({ "archived": false }))).is_ok());
        assert!(conversation_patch(&patch(serde_json::json!({ "slow_mode_seconds": 86_400 }))).is_ok());
        let both = patch(serde_json::json!({ "archived": true, "description": null }));
        assert_eq!(conversation_patch(&both).unwrap_err().errors[0].field, "archived");
        let long = patch(serde_json::json!({ "slow_mode_seconds": 86_401 }));
        assert_eq!(conversation_patch(&long).unwrap_err().errors[0].field, "slow_mode_seconds");
    }
}
