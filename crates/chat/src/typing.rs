//! Who is typing: told to who is there now, never stored.
//!
//! Promises at most one start per 2.5 s, user and conversation from this node (after a stop, per 0.5 s), and a stop
//! only after a start that is still shown. The store is asked only when something would be told, or to refuse somebody.

use std::time::Duration;

use bus::Topic;
use protocol::{ConversationId, Event, EventType, Posting, Role, Sender, Typing, UserId};
use store::Access;
use tokio::time::Instant;

use crate::{Caller, Chat, Result, bounded::Bounded, envelope::ConversationEvent, policy::Refusal};

/// Clients forget a start after this.
const SHOWN_FOR: Duration = Duration::from_secs(5);
/// At most one start in this time goes out. Clients say it every 3 s: one that comes a little early, by this clock,
/// must go out too, or the next one would come after the others forgot.
const START_EVERY: Duration = Duration::from_millis(2500);
/// And after a stop, which others saw: who goes on typing is shown again.
const RESTART_EVERY: Duration = Duration::from_millis(500);
/// Most who are typing on this node at once; beyond it some are told more often than need be.
const SHOWN_MAX: usize = 50_000;

/// Who is shown as typing because this node said so.
pub(crate) struct Shown(Bounded<(UserId, ConversationId), Start>);

/// A start that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    at: Instant,
    /// And a stop after it.
    stopped: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self(Bounded::new(SHOWN_MAX, SHOWN_FOR))
    }
}

impl Chat {
    /// Tells the others that the caller is typing, or stopped. At most one start per 2.5 s, caller and conversation
    /// goes out, or 0.5 s when a stop went out after it; clients forget it after 5 s.
    pub async fn typing(&self, caller: &Caller, conversation: ConversationId, typing: bool) -> Result<()> {
        let Shown(shown) = &self.inner.typing;
        let key = (caller.user.id, conversation);
        let start = shown.get(&key);
        let told = match start {
            Some(Start { at, stopped }) if typing => at.elapsed() < if stopped { RESTART_EVERY } else { START_EVERY },
            Some(Start { stopped, .. }) => stopped,
            None => false,
        };
        if told {
            return Ok(());
        }
        let access = self.readable(caller, conversation).await?;
        may_type(&access)?;
        let (next, since) = match start {
            _ if typing => {
                let at = Instant::now();
                (Start { at, stopped: false }, at)
            }
            Some(start) => (Start { stopped: true, ..start }, start.at),
            None => return Ok(()),
        };
        // Another device may have said it meanwhile.
        if shown.swap(key, start.as_ref(), next, since) {
            self.tell_typing(caller, conversation, typing);
        }
        Ok(())
    }

    fn tell_typing(&self, caller: &Caller, conversation: ConversationId, typing: bool) {
        let expires_in_ms = if typing { SHOWN_FOR.as_millis() as u64 } else { 0 };
        let event = Event {
            kind: EventType::Typing,
            conversation_id: Some(conversation),
            seq: None,
            user_seq: None,
            data: Typing { user: Sender::from(&caller.user), typing, expires_in_ms },
        };
        match ConversationEvent::encode_ephemeral(&event, None) {
            Ok(payload) => self.inner.writer.publish(Topic::Conversation(conversation), payload),
            Err(error) => tracing::error!(%error, "an event could not be serialised"),
        }
    }
}

/// Whoever may send a message now may say that they type one; slow mode only makes them wait.
fn may_type(access: &Access) -> Result<()> {
    let admin = access.participant.as_ref().is_some_and(|participant| participant.role >= Role::Admin);
    if access.archived_at.is_some() {
        Err(Refusal::Archived.into())
    } else if access.blocked {
        Err(Refusal::Blocked.into())
    } else if access.posting == Posting::Admins && !admin {
        Err(Refusal::PostingRestricted.into())
    } else {
        Ok(())
    }
}
