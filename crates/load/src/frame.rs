//! Frames of the wire as far as a load tester looks: read in one pass, borrowed, and without what it does not need.

use std::{borrow::Cow, collections::HashMap};

use protocol::{ConversationId, ReplyError, Seq};
use serde::Deserialize;

/// A frame that the server sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    #[serde(rename = "ref", default)]
    pub(crate) reference: Option<&'a str>,
    #[serde(default)]
    pub(crate) error: Option<ReplyError>,
    #[serde(default)]
    pub(crate) conversation_id: Option<ConversationId>,
    #[serde(default)]
    pub(crate) seq: Option<Seq>,
    #[serde(default)]
    pub(crate) user_seq: Option<u64>,
    #[serde(default)]
    from: Option<Seq>,
    #[serde(default)]
    to: Option<Seq>,
    #[serde(default)]
    more: bool,
    #[serde(borrow, default)]
    changes: Vec<Change<'a>>,
    #[serde(borrow, default)]
    pub(crate) data: Option<Data<'a>>,
}

/// Fields of `data`, of whatever frame; absent ones stay empty.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Data<'a> {
    #[serde(default)]
    pub(crate) id: Option<&'a str>,
    #[serde(default)]
    pub(crate) seq: Option<Seq>,
    #[serde(default)]
    kind: Option<&'a str>,
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) conversation_id: Option<ConversationId>,
    #[serde(default)]
    pub(crate) last_seq: Option<Seq>,
    #[serde(default)]
    pub(crate) epoch: Option<&'a str>,
    #[serde(default)]
    pub(crate) user_seq: Option<u64>,
    #[serde(default)]
    pub(crate) announcement_seq: Option<u64>,
    #[serde(default)]
    pub(crate) heartbeat_interval_ms: Option<u64>,
    #[serde(default)]
    pub(crate) after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) limits: Option<Limits>,
    #[serde(default)]
    pub(crate) heads: Option<HashMap<ConversationId, Seq>>,
    #[serde(default)]
    pub(crate) reason: Option<&'a str>,
    /// Of the event `close` of a stream.
    #[serde(default)]
    pub(crate) code: Option<u16>,
    #[serde(default)]
    from: Option<Seq>,
    #[serde(default)]
    to: Option<Seq>,
    #[serde(default)]
    more: bool,
    #[serde(borrow, default)]
    changes: Vec<Change<'a>>,
}

/// What a server takes, as far as it is of interest.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Limits {
    #[serde(default)]
    frame_bytes: Option<usize>,
    #[serde(default)]
    content_chars: Option<usize>,
}

/// Bytes of a frame that carries a message, beside its text.
const AROUND: usize = 256;

impl Limits {
    /// The longest message that fits, characters (of one byte each, as ours are).
    pub(crate) fn longest(&self) -> Option<usize> {
        let in_frame = self.frame_bytes.map(|bytes| bytes.saturating_sub(AROUND));
        [in_frame, self.content_chars].into_iter().flatten().min()
    }
}

/// One change of a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Change<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: Data<'a>,
}

/// A text that may hold escapes.
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A page of changes.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) id: ConversationId,
    pub(crate) from: Seq,
    pub(crate) to: Seq,
    pub(crate) more: bool,
    changes: &'a [Change<'a>],
}

impl<'a> Frame<'a> {
    /// Reads a frame.
    pub(crate) fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The place and text of a message that was sent just now.
    pub(crate) fn message(&self) -> Option<(Seq, &str)> {
        self.data.as_ref().filter(|_| self.kind == "message.created")?.text()
    }

    /// Whether it names another conversation or place than the message in it.
    pub(crate) fn contradicts_itself(&self) -> bool {
        let Some(data) = &self.data else { return false };
        let differs = |id| self.conversation_id != Some(id);
        data.conversation_id.is_some_and(differs) || self.seq.is_some_and(|seq| data.seq != Some(seq))
    }

    /// The page that it is, or that answers `changes.get`.
    pub(crate) fn page(&self) -> Option<Page<'_>> {
        if self.kind == "changes" {
            let (id, from, to) = (self.conversation_id?, self.from?, self.to?);
            return Some(Page { id, from, to, more: self.more, changes: &self.changes });
        }
        self.data.as_ref()?.page()
    }
}

impl Data<'_> {
    /// Place and text of a message that people see: none of system messages and tombstones.
    fn text(&self) -> Option<(Seq, &str)> {
        let text = self.content.as_ref().filter(|_| self.kind == Some("text"))?;
        Some((self.seq?, &text.0))
    }

    /// The page that it is.
    pub(crate) fn page(&self) -> Option<Page<'_>> {
        let (id, from, to) = (self.conversation_id?, self.from?, self.to?);
        Some(Page { id, from, to, more: self.more, changes: &self.changes })
    }
}

impl Page<'_> {
    /// Places and texts of the messages in it.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (Seq, &str)> {
        self.changes.iter().filter(|change| change.kind != "message.deleted").filter_map(|change| change.data.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_replies_and_pages_are_read() {
        let id = ConversationId::generate();
        let event = format!(
            r#"{{"type":"message.created","conversation_id":"{id}","seq":4,"data":{{"id":"m","seq":4,"kind":"text",
               "content":"a \"b\"","sender":{{"id":"u"}}}}}}"#
        );
        let frame = Frame::read(&event).unwrap();
        assert_eq!((frame.conversation_id, frame.message()), (Some(id), Some((4, "a \"b\""))));
        assert!(!frame.contradicts_itself());
        assert!(Frame::read(&event.replacen("\"seq\":4", "\"seq\":5", 1)).unwrap().contradicts_itself());
        let elsewhere = format!(r#""data":{{"conversation_id":"{}","#, ConversationId::generate());
        assert!(Frame::read(&event.replace("\"data\":{", &elsewhere)).unwrap().contradicts_itself());
        let system = r#"{"type":"message.created","seq":1,"data":{"seq":1,"kind":"system","content":""}}"#;
        assert_eq!(Frame::read(system).unwrap().message(), None);
        let page = format!(
            r#"{{"type":"changes","conversation_id":"{id}","from":1,"to":9,"more":true,"changes":[
               {{"type":"message.created","seq":2,"data":{{"seq":2,"kind":"text","content":"x"}}}},
               {{"type":"message.deleted","seq":3,"data":{{"seq":3,"kind":"text","content":""}}}}]}}"#
        );
        let frame = Frame::read(&page).unwrap();
        let page = frame.page().unwrap();
        assert_eq!((page.from, page.to, page.more), (1, 9, true));
        assert_eq!(page.messages().collect::<Vec<_>>(), [(2, "x")]);
        let refused = r#"{"type":"reply","ref":"7","ok":false,"error":{"code":"overloaded","message":"m"}}"#;
        let frame = Frame::read(refused).unwrap();
        assert_eq!((frame.reference, frame.error.unwrap().code.as_str()), (Some("7"), "overloaded"));
    }
}
