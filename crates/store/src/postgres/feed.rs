//! What moved a user's feed, found in the rows that it numbers: first what moved, then how it is now, in one snapshot.

use protocol::{
    Conversation, ConversationId, Notification, NotificationId, NotificationPreferences, Notify, Preferences,
    SessionId, UserId, UserSeq,
};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    conversations::{self, SNAPSHOT},
    fault::Outcome,
    inbox::notifications,
    values::{Word, count, int, moment},
};
use crate::{Feed, FeedChange, FeedItem, IdMap};

/// Something that a feed numbers; `what` says which of the fields count.
#[derive(FromRow)]
struct MovedRow {
    what: String,
    user_seq: i64,
    id: Option<Uuid>,
    active: Option<bool>,
    notify: Option<String>,
    muted_until: Option<OffsetDateTime>,
    pinned_at: Option<OffsetDateTime>,
}

/// A participant's row that they joined or left with since is no news of its settings: the conversation shows them.
const MOVED: &str = "
    SELECT 'disabled' AS what, disabled_user_seq AS user_seq, NULL::uuid AS id, disabled_at IS NOT NULL AS active,
           NULL::text AS notify, NULL::timestamptz AS muted_until, NULL::timestamptz AS pinned_at
    FROM users WHERE id = $1 AND disabled_user_seq > $2
    UNION ALL
    SELECT 'session', user_seq, id, NULL, NULL, NULL, NULL FROM sessions WHERE user_id = $1 AND user_seq > $2
    UNION ALL
    SELECT CASE WHEN member_user_seq > $2 THEN 'member' ELSE 'settings' END,
           CASE WHEN member_user_seq > $2 THEN member_user_seq ELSE user_seq END,
           conversation_id, left_at IS NULL, notify, muted_until, pinned_at
    FROM participants p WHERE user_id = $1 AND user_seq > $2
      AND (member_user_seq > $2
           OR NOT EXISTS (SELECT FROM conversations c WHERE c.id = p.conversation_id AND c.deleted_at IS NOT NULL))
    UNION ALL
    SELECT 'preferences', user_seq, NULL, NULL, notify, muted_until, NULL
    FROM notification_preferences WHERE user_id = $1 AND user_seq > $2
    UNION ALL
    SELECT 'notification', user_seq, id, NULL, NULL, NULL, NULL
    FROM notifications WHERE user_id = $1 AND user_seq > $2
    UNION ALL
    SELECT 'block', user_seq, blocked_id, active, NULL, NULL, NULL FROM blocks WHERE user_id = $1 AND user_seq > $2
    ORDER BY user_seq";

/// Everything after a cursor in its present state, and the head, in one snapshot.
pub(super) async fn after(pool: &PgPool, user: UserId, after: UserSeq) -> Outcome<Feed> {
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let head: Option<i64> =
        sqlx::query_scalar("SELECT feed_seq FROM users WHERE id = $1").bind(user.0).fetch_optional(&mut *tx).await?;
    let Some(head) = head.map(count) else { return Ok(Feed::default()) };
    if head <= after {
        return Ok(Feed { user_seq: head, items: Vec::new() });
    }
    let moved: Vec<MovedRow> = sqlx::query_as(MOVED).bind(user.0).bind(int(after)).fetch_all(&mut *tx).await?;
    let mut details = Details::read(&mut tx, user, after, &moved).await?;
    tx.commit().await?;
    let mut items = Vec::with_capacity(moved.len());
    for row in &moved {
        let user_seq = count(row.user_seq);
        items.extend(details.change(row)?.map(|change| FeedItem { user_seq, change }));
    }
    Ok(Feed { user_seq: head, items })
}

/// What moved, as it is now.
struct Details {
    conversations: IdMap<Uuid, Conversation>,
    notifications: IdMap<NotificationId, Notification>,
}

impl Details {
    async fn read(tx: &mut PgConnection, user: UserId, after: UserSeq, moved: &[MovedRow]) -> Outcome<Self> {
        let is = |what: &'static str| moved.iter().filter(move |row| row.what == what);
        let ids: Vec<Uuid> = is("member").filter_map(|row| row.id).collect();
        let conversations = conversations::some(tx, user, &ids).await?;
        let notifications = match is("notification").next() {
            Some(_) => notifications::moved(tx, user, after).await?,
            None => Vec::new(),
        };
        Ok(Self {
            conversations: conversations.into_iter().map(|view| (view.id.0, view)).collect(),
            notifications: notifications.into_iter().map(|notification| (notification.id, notification)).collect(),
        })
    }

    fn change(&mut self, row: &MovedRow) -> Outcome<Option<FeedChange>> {
        let notify = row.notify.as_deref().map(Notify::of).transpose()?.unwrap_or_default();
        let muted_until = moment(row.muted_until);
        let active = row.active.unwrap_or(false);
        let Some(id) = row.id else {
            return Ok(Some(match row.what.as_str() {
                "disabled" => FeedChange::Disabled(active),
                _ => FeedChange::NotificationPreferences(NotificationPreferences { notify, muted_until }),
            }));
        };
        Ok(match row.what.as_str() {
            "session" => Some(FeedChange::SessionRevoked(SessionId(id))),
            "block" => Some(FeedChange::Blocked(UserId(id), active)),
            "notification" => {
                self.notifications.remove(&NotificationId(id)).map(|it| FeedChange::Notification(Box::new(it)))
            }
            "settings" => active.then_some(FeedChange::Preferences(Preferences {
                conversation_id: ConversationId(id),
                notify,
                muted_until,
                pinned_at: moment(row.pinned_at),
            })),
            // One that they left, or that was deleted, is not among the conversations.
            _ => Some(match self.conversations.remove(&id) {
                Some(view) => FeedChange::Joined(Box::new(view)),
                None => FeedChange::Left(ConversationId(id)),
            }),
        })
    }
}
