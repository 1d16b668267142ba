//! What a request asks for, as 32 bytes: a retry must ask for the same. The store keeps them for ever, so what was once
//! asked for must give the same bytes for ever: new fields are added at the end, and only where they are set.

use protocol::{ConversationKind, CreateConversation, ErrorCode, History, Posting, SendMessage, Subject, UserId};
use serde::Serialize;
use sha2::{Digest, Sha256, digest::Output};

use crate::{ChatError, Result};

/// SHA-256 of what a send asks for. Canonical: each part has a fixed or a stated length, or a tag of its own.
pub(crate) fn send(request: &SendMessage) -> Result<Vec<u8>> {
    let mut hash = Sha256::new()
        .chain_update(b"send\0")
        .chain_update((request.content.len() as u64).to_be_bytes())
        .chain_update(request.content.as_bytes());
    match request.reply_to_id {
        Some(id) => {
            hash.update([1]);
            hash.update(id.0.as_bytes());
        }
        None => hash.update([0]),
    }
    if let Some(root) = request.thread_root_id {
        hash.update(b"thread\0");
        hash.update(root.0.as_bytes());
    }
    if let Some(ranges) = &request.mentions {
        hash.update(b"mentions\0");
        hash.update((ranges.len() as u64).to_be_bytes());
        for range in ranges {
            hash.update(range.offset.to_be_bytes());
            hash.update(range.length.to_be_bytes());
            // No user has the id of zeros, which stands for everybody.
            hash.update(range.user_id.map_or(uuid::Uuid::nil(), |user| user.0).as_bytes());
        }
    }
    if !request.attachments.is_empty() {
        hash.update(b"attachments\0");
        for attachment in &request.attachments {
            let json = serde_json::to_vec(attachment)
                .map_err(|error| ChatError::new(ErrorCode::Internal, "something failed here").because(error))?;
            hash.update((json.len() as u64).to_be_bytes());
            hash.update(json);
        }
    }
    let bytes: Output<Sha256> = hash.finalize();
    Ok(bytes.to_vec())
}

/// What the fingerprint of a creation is made of.
#[derive(Serialize)]
struct Canonical<'a> {
    kind: ConversationKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<&'a str>,
    participant_ids: &'a [UserId],
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Subject>,
    posting: Posting,
    history: History,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_mode_seconds: Option<u32>,
}

/// SHA-256 of what is asked for, the same however the participants are listed.
pub(crate) fn create(request: &CreateConversation, others: &[UserId]) -> Result<Vec<u8>> {
    let canonical = Canonical {
        kind: request.kind,
        title: request.title.as_deref(),
        description: request.description.as_deref(),
        avatar_url: request.avatar_url.as_deref(),
        participant_ids: others,
        subject: request.subject.as_ref(),
        posting: request.posting,
        history: request.history,
        slow_mode_seconds: Some(request.slow_mode_seconds).filter(|seconds| *seconds != 0),
    };
    let bytes = serde_json::to_vec(&canonical)
        .map_err(|error| ChatError::new(ErrorCode::Internal, "something failed here").because(error))?;
    Ok(Sha256::new().chain_update(b"create\0").chain_update(bytes).finalize().to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use protocol::{Attachment, AttachmentKind, MentionRange, MessageId};

    use super::*;

    fn text(content: &str) -> SendMessage {
        SendMessage { content: content.into(), ..SendMessage::default() }
    }

    fn attachment(url: &str) -> Attachment {
        Attachment {
            kind: AttachmentKind::Image,
            url: url.into(),
            name: None,
            media_type: None,
            byte_size: None,
            width: None,
            height: None,
            duration_ms: None,
            thumbnail_url: None,
        }
    }

    #[test]
    fn requests_that_differ_have_different_fingerprints() {
        let (reply, user) = (MessageId::generate(), UserId::generate());
        let mention = |offset, user_id| MentionRange { offset, length: 1, user_id };
        let all = [
            text("a"),
            text("b"),
            text("a\0"),
            text("a\u{1}"),
            SendMessage { reply_to_id: Some(reply), ..text("a") },
            SendMessage { thread_root_id: Some(reply), ..text("a") },
            SendMessage { mentions: Some(Vec::new()), ..text("a") },
            SendMessage { mentions: Some(vec![mention(0, None)]), ..text("a") },
            SendMessage { mentions: Some(vec![mention(0, Some(user))]), ..text("a") },
            SendMessage { attachments: vec![attachment("https://a.example")], ..text("a") },
            SendMessage { attachments: vec![attachment("https://a.example/b")], ..text("a") },
            SendMessage { attachments: vec![attachment("https://a.example"); 2], ..text("a") },
        ];
        let prints: Vec<_> = all.iter().map(|request| send(request).unwrap()).collect();
        let distinct: HashSet<_> = prints.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(send(&all[4].clone()).unwrap(), prints[4]);
        let named_by_its_sender = SendMessage { client_id: Some("1".into()), ..text("a") };
        assert_eq!(send(&named_by_its_sender).unwrap(), prints[0]);
    }

    #[test]
    fn a_request_without_the_newer_fields_has_the_bytes_it_always_had() {
        let id = MessageId("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap());
        let then = |tail: &[u8]| Sha256::digest([b"send\0\0\0\0\0\0\0\0\x03abc".as_slice(), tail].concat()).to_vec();
        assert_eq!(send(&text("abc")).unwrap(), then(&[0]));
        let reply = SendMessage { reply_to_id: Some(id), ..text("abc") };
        assert_eq!(send(&reply).unwrap(), then(&[&[1], id.0.as_bytes().as_slice()].concat()));
    }

    #[test]
    fn a_creation_is_the_same_however_its_participants_are_listed_by_the_caller() {
        let (a, b) = (UserId::generate(), UserId::generate());
        let group = |ids: &[UserId]| {
            let body = serde_json::json!({ "kind": "group", "title": "t", "participant_ids": ids });
            serde_json::from_value::<CreateConversation>(body).unwrap()
        };
        // The second argument is what counts: each once, in a fixed order.
        assert_eq!(create(&group(&[a, b]), &[a, b]).unwrap(), create(&group(&[b, a, b]), &[a, b]).unwrap());
        assert_ne!(create(&group(&[a, b]), &[a, b]).unwrap(), create(&group(&[a]), &[a]).unwrap());
    }

    #[test]
    fn a_creation_without_the_newer_fields_has_the_bytes_it_always_had() {
        let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        let json = format!(
            r#"{{"kind":"group","title":"t","participant_ids":["{id}"],"posting":"everyone","history":"all"}}"#
        );
        let request: CreateConversation = serde_json::from_str(&json).unwrap();
        let others = [UserId(id.parse().unwrap())];
        let then = Sha256::digest(format!("create\0{json}")).to_vec();
        assert_eq!(create(&request, &others).unwrap(), then);
        let slow = CreateConversation { slow_mode_seconds: 5, ..request };
        assert_ne!(create(&slow, &others).unwrap(), then);
    }
}
