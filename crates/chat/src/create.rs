//! Making conversations: what a request must be like, and when two requests mean the same conversation.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use protocol::{
    Conversation, ConversationFilter, ConversationId, ConversationKind, CreateConversation, ErrorCode, History,
    MessageId, NotificationKind, Posting, Role, Sender, Subject, SystemChange, Timestamp, UserId,
};
use store::{Locked, NewConversation, Scope, WriteNotification, Writes};

use crate::{
    Caller, Chat, ChatError, Result, check,
    decide::{may_be_told, notification_id},
    fingerprint,
    policy::Refusal,
};

/// Most participants that are named at once.
pub(crate) const PARTICIPANTS_MAX: usize = 1_000;

impl Chat {
    /// Makes a conversation, or finds the direct one; true when it was made now. With an `Idempotency-Key` a retry
    /// finds what the first try made.
    pub async fn create_conversation(
        &self,
        caller: &Caller,
        request: CreateConversation,
        idempotency_key: Option<&str>,
    ) -> Result<(Conversation, bool)> {
        idempotency_key.map_or(Ok(()), check::idempotency_key)?;
        let others = check_request(caller.user.id, &request)?;
        let (users, disabled) = self.first_participants(caller, &others).await?;
        let fingerprint = fingerprint::create(&request, &others)?;
        let creator_role = if request.kind == ConversationKind::Direct { Role::Member } else { Role::Owner };
        let participants = std::iter::once((caller.user.id, creator_role))
            .chain(others.iter().map(|other| (*other, Role::Member)))
            .collect();
        let other = others.first().filter(|_| request.kind == ConversationKind::Direct).copied();
        let refused = match (disabled, other) {
            (Some(id), _) => Some(ChatError::field("participant_ids", format!("names {id}, who is disabled"))),
            (None, Some(other)) if self.inner.store.blocked_between(caller.user.id, other).await? => {
                Some(Refusal::Blocked.into())
            }
            (None, _) => None,
        };
        if let Some(refused) = refused {
            // What is there is found: the two may read what they wrote.
            let found = self.existing_direct(caller, &request, &others).await?;
            return found.map(|found| (found, false)).ok_or(refused);
        }
        let direct_key = other.map(|other| direct_key(caller.user.id, other, request.subject.as_ref()));
        let (message_id, now) = (MessageId(self.inner.env.id()), self.inner.env.now());
        let id = ConversationId(self.inner.env.id());
        let notifications = if other.is_some() {
            Vec::new()
        } else {
            let told = self.to_be_told(caller, &others, now).await?;
            let added = |user: UserId| WriteNotification {
                id: notification_id(message_id, user, now),
                user_id: user,
                kind: NotificationKind::Added,
                conversation_id: id,
                message_id,
                actor_id: caller.user.id,
                at: now,
            };
            told.into_iter().map(added).collect()
        };
        let made = self
            .inner
            .store
            .create_conversation(NewConversation {
                id,
                org_id: caller.user.org_id,
                kind: request.kind,
                creator: caller.user.id,
                title: request.title.clone(),
                description: request.description.clone(),
                avatar_url: request.avatar_url.clone(),
                subject: request.subject.clone(),
                posting: request.posting,
                history: request.history,
                direct_key,
                participants,
                message_id,
                slow_mode_seconds: request.slow_mode_seconds,
                system: SystemChange::ConversationCreated { users },
                notifications,
                idempotency_key: idempotency_key.map(str::to_owned),
                fingerprint: fingerprint.clone(),
                now,
            })
            .await?;
        for (user, user_seq) in &made.feeds {
            self.publish_feed(*user, *user_seq).await;
        }
        let conversation = self.conversation(caller, made.id).await;
        if made.created || made.fingerprint == fingerprint {
            return Ok((conversation?, made.created));
        }
        // Found by its pair, whoever asked first and however; or by a key that stood for something else.
        match conversation {
            Ok(found) if is_the_direct_one(&found, &request, &others) => Ok((found, false)),
            _ => Err(ChatError::new(
                ErrorCode::IdempotencyConflict,
                "this Idempotency-Key was used before with another request",
            )),
        }
    }

    /// The direct conversation, if one is asked for and it is there already.
    async fn existing_direct(
        &self,
        caller: &Caller,
        request: &CreateConversation,
        others: &[UserId],
    ) -> Result<Option<Conversation>> {
        if request.kind != ConversationKind::Direct {
            return Ok(None);
        }
        let filter = ConversationFilter { kind: Some(ConversationKind::Direct), ..ConversationFilter::default() };
        let (store, viewer) = (&self.inner.store, caller.user.id);
        let mut cursor: Option<String> = None;
        loop {
            let page = store.conversations(viewer, &filter, cursor.as_deref(), check::PAGE_MAX).await?;
            if let Some(found) = page.items.into_iter().find(|found| is_the_direct_one(found, request, others)) {
                return Ok(Some(found));
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Those of the others who want to hear that they were added.
    async fn to_be_told(&self, caller: &Caller, others: &[UserId], now: Timestamp) -> Result<Vec<UserId>> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        // A change that locks and writes nothing: it reads their settings and blocks as any other change does.
        let scope = Scope {
            users: others.iter().copied().chain([caller.user.id]).collect(),
            notifies: true,
            ..Scope::default()
        };
        let told = Mutex::new(Vec::new());
        let look = |locked: &Locked| {
            let wants = |user: &UserId| may_be_told(locked, *user, caller.user.id, now);
            *told.lock() = others.iter().copied().filter(wants).collect();
            Writes::default()
        };
        self.inner.store.change(&scope, &look).await?;
        Ok(told.into_inner())
    }

    /// The caller and the others as the first system message names them; all must be of the caller's org. And who of
    /// them is disabled.
    async fn first_participants(&self, caller: &Caller, others: &[UserId]) -> Result<(Vec<Sender>, Option<UserId>)> {
        let found = self.inner.store.users(caller.user.org_id, others).await?;
        let (mut users, mut disabled) = (vec![Sender::from(&caller.user)], None);
        for id in others {
            let Some(user) = found.iter().find(|user| user.id == *id) else {
                return Err(ChatError::field("participant_ids", format!("names {id}, who does not exist")));
            };
            disabled = disabled.or(user.disabled_at.map(|_| user.id));
            users.push(user.into());
        }
        Ok((users, disabled))
    }
}

/// Checks the request; the others, each once, in a fixed order.
fn check_request(creator: UserId, request: &CreateConversation) -> Result<Vec<UserId>> {
    let direct = request.kind == ConversationKind::Direct;
    match &request.title {
        Some(_) if direct => return Err(ChatError::field("title", "is not for a direct conversation")),
        Some(title) => check::title(title)?,
        None if direct => {}
        None => return Err(ChatError::field("title", "is required")),
    }
    if direct && request.posting != Posting::default() {
        return Err(ChatError::field("posting", "is not for a direct conversation"));
    }
    if direct && request.history != History::default() {
        return Err(ChatError::field("history", "is not for a direct conversation"));
    }
    check::slow_mode(request.slow_mode_seconds)?;
    if direct && request.slow_mode_seconds != 0 {
        return Err(ChatError::field("slow_mode_seconds", "is not for a direct conversation"));
    }
    request.description.as_deref().map_or(Ok(()), check::description)?;
    request.avatar_url.as_deref().map_or(Ok(()), |url| check::url("avatar_url", url))?;
    request.subject.as_ref().map_or(Ok(()), check::subject)?;
    if request.participant_ids.len() > PARTICIPANTS_MAX {
        return Err(ChatError::field("participant_ids", format!("must have at most {PARTICIPANTS_MAX} items")));
    }
    let mut others: BTreeSet<UserId> = request.participant_ids.iter().copied().collect();
    let named_self = others.remove(&creator);
    if direct && (named_self || others.len() != 1) {
        return Err(ChatError::field("participant_ids", "must name exactly one other user"));
    }
    Ok(others.into_iter().collect())
}

/// The same for both of the pair. The subject's parts are told apart by a length, whatever they contain.
fn direct_key(one: UserId, other: UserId, subject: Option<&Subject>) -> String {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    match subject {
        None => format!("{low}:{high}"),
        Some(Subject { kind, id, .. }) => format!("{low}:{high}:{}:{kind}:{id}", kind.len()),
    }
}

fn is_the_direct_one(found: &Conversation, request: &CreateConversation, others: &[UserId]) -> bool {
    let subject = |subject: &Subject| (subject.kind.clone(), subject.id.clone());
    request.kind == ConversationKind::Direct
        && found.kind == ConversationKind::Direct
        && found.other.as_ref().map(|other| other.id).as_ref() == others.first()
        && found.subject.as_ref().map(subject) == request.subject.as_ref().map(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str, more: &serde_json::Value) -> CreateConversation {
        let mut body = serde_json::json!({ "kind": kind });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        serde_json::from_value(body).unwrap()
    }

    fn refused(request: &CreateConversation, me: UserId) -> String {
        check_request(me, request).unwrap_err().errors[0].field.clone()
    }

    #[test]
    fn a_direct_conversation_names_one_other_and_has_no_title() {
        let (me, other, third) = (UserId::generate(), UserId::generate(), UserId::generate());
        let direct = |more: serde_json::Value| request("direct", &more);
        let ids = |ids: &[UserId]| direct(serde_json::json!({ "participant_ids": ids }));
        assert_eq!(check_request(me, &ids(&[other, other])).unwrap(), [other]);
        for bad in [ids(&[]), ids(&[me]), ids(&[me, other]), ids(&[other, third])] {
            assert_eq!(refused(&bad, me), "participant_ids");
        }
        let titled = serde_json::json!({ "participant_ids": [other], "title": "x" });
        assert_eq!(refused(&direct(titled), me), "title");
        let silent = serde_json::json!({ "participant_ids": [other], "posting": "admins" });
        assert_eq!(refused(&direct(silent), me), "posting");
        let slow = serde_json::json!({ "participant_ids": [other], "slow_mode_seconds": 5 });
        assert_eq!(refused(&direct(slow), me), "slow_mode_seconds");
    }

    #[test]
    fn a_group_needs_a_title_and_has_at_most_1000_others() {
        let me = UserId::generate();
        assert_eq!(refused(&request("group", &serde_json::json!({})), me), "title");
        let slow = serde_json::json!({ "title": "t", "slow_mode_seconds": 86_401 });
        assert_eq!(refused(&request("group", &slow), me), "slow_mode_seconds");
        assert_eq!(refused(&request("public", &serde_json::json!({ "title": "a\nb" })), me), "title");
        let alone = request("group", &serde_json::json!({ "title": "notes", "participant_ids": [me] }));
        assert!(check_request(me, &alone).unwrap().is_empty());
        let ids: Vec<_> = (0..=PARTICIPANTS_MAX).map(|_| UserId::generate()).collect();
        let crowd = request("group", &serde_json::json!({ "title": "all", "participant_ids": ids }));
        assert_eq!(refused(&crowd, me), "participant_ids");
    }

    #[test]
    fn a_pair_and_a_subject_have_one_key() {
        let (a, b) = (UserId::generate(), UserId::generate());
        let about = |kind: &str, id: &str| Subject { kind: kind.into(), id: id.into(), title: "t".into(), url: None };
        assert_eq!(direct_key(a, b, None), direct_key(b, a, None));
        let one = about("listing", "7");
        assert_eq!(direct_key(a, b, Some(&one)), direct_key(b, a, Some(&one)));
        assert_ne!(direct_key(a, b, Some(&one)), direct_key(a, b, None));
        assert_ne!(direct_key(a, b, Some(&about("a:b", "c"))), direct_key(a, b, Some(&about("a", "b:c"))));
    }
}
