//! What a client sends over the socket: `{"type": …, "ref": …, …}`.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Attachment, ConversationId, ErrorCode, MentionRange, MessageId, PresenceSet, PresenceWatch, ReactionCommand,
    Receipt, ReplyError, Seq, Timestamp, TypingCommand, UserSeq,
};

/// Longest `ref`, in characters.
pub const REF_MAX: usize = 64;

/// Where a client stands; see `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resume {
    /// The epoch in which the cursors were taken.
    pub epoch: String,
    /// Cursor of the user's feed.
    pub user_seq: UserSeq,
    /// Cursor per conversation, at most 1,000; 0 = from the beginning.
    #[serde(default)]
    #[schema(value_type = HashMap<String, u64>)]
    pub cursors: HashMap<ConversationId, Seq>,
    /// `seq` of the last announcement that the client has: later ones are sent. Absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement_seq: Option<u64>,
}

/// Fields of `hello`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// Access token, for a socket that was not authenticated at its upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Continue from here.
    #[serde(default, deserialize_with = "crate::object::option", skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// Data of the reply to `hello`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelloReply {
    /// Where conversations that `cursors` did not name go live from.
    #[schema(value_type = HashMap<String, u64>)]
    pub heads: HashMap<ConversationId, Seq>,
    /// Markers of the caller, and of all participants of conversations of ≤ 100, in the 200 most recently active
    /// conversations; those of the others follow as `receipt.updated`.
    pub receipts: Vec<Receipt>,
    /// `seq` of the org's last announcement; 0 when there is none.
    #[serde(default)]
    #[schema(required)]
    pub announcement_seq: u64,
}

/// Fields of `message.send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageSend {
    /// Where.
    pub conversation_id: ConversationId,
    /// The text; may be empty when there are attachments.
    #[serde(default)]
    pub content: String,
    /// 1–64 characters, unique per sender and conversation: a retry with it gets the first message back.
    pub client_id: String,
    /// A message of the same conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_id: Option<MessageId>,
    /// The message of the same conversation whose thread this belongs to; itself in no thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_root_id: Option<MessageId>,
    /// Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of
    /// admins, are found in the text.
    #[serde(default, deserialize_with = "crate::object::option_many", skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Vec<MentionRange>>,
    /// Files that go with it, at most 10.
    #[serde(default, deserialize_with = "crate::object::many", skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// Fields of `message.edit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageEdit {
    /// Which.
    pub message_id: MessageId,
    /// The new text.
    pub content: String,
    /// Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of
    /// admins, are found in the text.
    #[serde(default, deserialize_with = "crate::object::option_many", skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Vec<MentionRange>>,
}

/// Fields of `message.delete`, `message.pin` and `message.unpin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageRef {
    /// Which.
    pub message_id: MessageId,
}

/// Fields of `receipt.read` and `receipt.delivered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptMark {
    /// Where.
    pub conversation_id: ConversationId,
    /// Up to here; a value past the head means the head.
    pub seq: Seq,
}

/// Fields of `changes.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangesGet {
    /// Where.
    pub conversation_id: ConversationId,
    /// Everything after this seq.
    pub after: Seq,
    /// At most so many changes, 1–500; 500 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Fields of `auth.renew`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthRenew {
    /// A fresh access token of the same user.
    pub token: String,
}

/// Data of the reply to `auth.renew`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthRenewed {
    /// When the new token ends.
    pub expires_at: Timestamp,
}

/// A decoded command.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// Authenticate, or resume.
    Hello(Hello),
    /// Send a message.
    MessageSend(MessageSend),
    /// Edit one's own message.
    MessageEdit(MessageEdit),
    /// Delete a message.
    MessageDelete(MessageRef),
    /// Pin a message.
    MessagePin(MessageRef),
    /// Unpin it.
    MessageUnpin(MessageRef),
    /// React to a message.
    ReactionAdd(ReactionCommand),
    /// Take a reaction back.
    ReactionRemove(ReactionCommand),
    /// One is typing.
    TypingStart(TypingCommand),
    /// Not any more.
    TypingStop(TypingCommand),
    /// What this connection says of its user.
    PresenceSet(PresenceSet),
    /// Be told of users' presence.
    PresenceWatch(PresenceWatch),
    /// No longer.
    PresenceUnwatch(PresenceWatch),
    /// Move one's read marker.
    ReceiptRead(ReceiptMark),
    /// Move one's delivered marker.
    ReceiptDelivered(ReceiptMark),
    /// Everything after a cursor.
    ChangesGet(ChangesGet),
    /// Replace the connection's access token.
    AuthRenew(AuthRenew),
    /// Answered with `{}`.
    Ping,
}

/// A frame that is no command; `reference` is its `ref` where that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCommand {
    /// The frame's `ref`.
    pub reference: Option<String>,
    /// What to answer.
    pub error: ReplyError,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "ref", default)]
    reference: Option<String>,
}

impl Command {
    /// Every command's `type`, for documents and tests.
    pub const TYPES: &[&str] = &[
        "hello",
        "message.send",
        "message.edit",
        "message.delete",
        "message.pin",
        "message.unpin",
        "reaction.add",
        "reaction.remove",
        "typing.start",
        "typing.stop",
        "presence.set",
        "presence.watch",
        "presence.unwatch",
        "receipt.read",
        "receipt.delivered",
        "changes.get",
        "auth.renew",
        "ping",
    ];

    /// Decodes a text frame into its `ref` and the command. Unknown fields are ignored, so that a newer
    /// client can talk to an older node.
    pub fn decode(frame: &str) -> Result<(Option<String>, Self), BadCommand> {
        // serde would fill a struct from an array too.
        if !frame.trim_start().starts_with('{') {
            return Err(bad(None, ErrorCode::BadJson, "a frame is a JSON object".into()));
        }
        let head: Head<'_> = serde_json::from_str(frame).map_err(|e| bad(None, ErrorCode::BadJson, describe(&e)))?;
        let reference = head.reference;
        if reference.as_ref().is_some_and(|r| r.chars().count() > REF_MAX) {
            return Err(bad(None, ErrorCode::Invalid, format!("ref must have at most {REF_MAX} characters")));
        }
        let command = match &*head.kind {
            "hello" => fields(frame).map(Self::Hello),
            "message.send" => fields(frame).map(Self::MessageSend),
            "message.edit" => fields(frame).map(Self::MessageEdit),
            "message.delete" => fields(frame).map(Self::MessageDelete),
            "message.pin" => fields(frame).map(Self::MessagePin),
            "message.unpin" => fields(frame).map(Self::MessageUnpin),
            "reaction.add" => fields(frame).map(Self::ReactionAdd),
            "reaction.remove" => fields(frame).map(Self::ReactionRemove),
            "typing.start" => fields(frame).map(Self::TypingStart),
            "typing.stop" => fields(frame).map(Self::TypingStop),
            "presence.set" => fields(frame).map(Self::PresenceSet),
            "presence.watch" => fields(frame).map(Self::PresenceWatch),
            "presence.unwatch" => fields(frame).map(Self::PresenceUnwatch),
            "receipt.read" => fields(frame).map(Self::ReceiptRead),
            "receipt.delivered" => fields(frame).map(Self::ReceiptDelivered),
            "changes.get" => fields(frame).map(Self::ChangesGet),
            "auth.renew" => fields(frame).map(Self::AuthRenew),
            "ping" => Ok(Self::Ping),
            _ => {
                return Err(bad(reference, ErrorCode::UnknownCommand, "there is no command of this type".into()));
            }
        };
        match command {
            Ok(command) => Ok((reference, command)),
            // An unpaired surrogate, say, in a field that the head passed over.
            Err(e) if !e.is_data() && !is_json(frame) => Err(bad(reference, ErrorCode::BadJson, describe(&e))),
            Err(e) if !e.is_data() => {
                Err(bad(reference, ErrorCode::Invalid, format!("a value of the wrong type: {}", describe(&e))))
            }
            Err(e) => Err(bad(reference, ErrorCode::Invalid, describe(&e))),
        }
    }
}

/// Whether all of it is JSON: serde_json calls it a fault of the text, too, when an enum meets a number.
fn is_json(frame: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(frame).is_ok()
}

fn fields<'a, T: Deserialize<'a>>(frame: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(frame)
}

fn bad(reference: Option<String>, code: ErrorCode, message: String) -> BadCommand {
    BadCommand { reference, error: ReplyError { code, message, errors: Vec::new(), retry_after_ms: None } }
}

/// What serde says of a bad document, which names fields and positions and never repeats long input.
pub fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.chars().count() > 300 { text.chars().take(300).chain("…".chars()).collect() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_decoded_with_its_ref() {
        let (reference, command) = Command::decode(r#"{"type":"ping","ref":"7","extra":1}"#).ok().unwrap();
        assert_eq!(reference.as_deref(), Some("7"));
        assert!(matches!(command, Command::Ping));
    }

    #[test]
    fn each_listed_type_is_known() {
        for kind in Command::TYPES {
            let result = Command::decode(&format!(r#"{{"type":"{kind}"}}"#));
            if let Err(bad) = result {
                assert_eq!(bad.error.code, ErrorCode::Invalid, "{kind}");
            }
        }
    }

    #[test]
    fn bad_frames_get_a_stable_code_and_keep_their_ref() {
        let cases = [
            ("", ErrorCode::BadJson, None),
            ("[]", ErrorCode::BadJson, None),
            (r#"["ping"]"#, ErrorCode::BadJson, None),
            (r#"{"ref":"1"}"#, ErrorCode::BadJson, None),
            (r#"{"type":"nope","ref":"1"}"#, ErrorCode::UnknownCommand, Some("1")),
            (r#"{"type":"message.send","ref":"1"}"#, ErrorCode::Invalid, Some("1")),
            (r#"{"type":"message.delete","ref":"1","message_id":"x"}"#, ErrorCode::Invalid, Some("1")),
            (r#"{"type":"auth.renew","ref":"1","token":"\ud800"}"#, ErrorCode::BadJson, Some("1")),
            (r#"{"type":"changes.get","ref":"1","after":-1}"#, ErrorCode::Invalid, Some("1")),
            (r#"{"type":"presence.set","ref":"1","state":7}"#, ErrorCode::Invalid, Some("1")),
            (r#"{"type":"hello","ref":"1","resume":["e",1,{}]}"#, ErrorCode::Invalid, Some("1")),
        ];
        for (frame, code, reference) in cases {
            let bad = Command::decode(frame).err().unwrap();
            assert_eq!((bad.error.code, bad.reference.as_deref()), (code, reference), "{frame}");
        }
    }
}
