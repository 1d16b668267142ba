//! How a stream starts: at once, with what was missed since its `Last-Event-ID`, as if a socket had said `hello`.
//!
//! Promise: of every conversation that changed since the id's watermark, what changed comes in its present state, or
//! `resync_required` does; of the user's feed and the org's announcements, what came after the id's counters. What was
//! seen may come again: repeats carry their `seq`.

use std::{collections::HashMap, sync::Arc};

use chat::{Map, Result};
use protocol::{ConversationId, Resume, ResyncReason, Seq, UserSeq};
use store::Memberships;

use super::{BadPosition, Position};
use crate::{
    follow::{Live, Started},
    link::Link,
    node::Node,
};

impl Node {
    /// Replays what was missed and goes live. The reply, which names every conversation of the user and where its
    /// events go on: what a client has and is not among them is not theirs any more.
    pub(crate) async fn stream(
        self: &Arc<Self>,
        link: &Arc<Link>,
        started: Started,
        last: Option<std::result::Result<Position, BadPosition>>,
    ) -> Result<Live> {
        let Memberships { epoch, watermark, user_seq, items } = &started.memberships;
        let (epoch, watermark, user_seq) = (epoch.clone(), watermark.clone(), *user_seq);
        let heads: Vec<(ConversationId, Seq)> =
            items.iter().map(|item| (item.conversation_id, item.last_seq)).collect();
        let live = match last {
            None => self.go_live(link, started).await?,
            Some(Err(BadPosition)) => self.start_anew(link, started, ResyncReason::BadCursor).await?,
            Some(Ok(position)) => match self.cursors(link, &position, user_seq, &heads).await? {
                Ok(cursors) => {
                    let resume = Resume {
                        epoch: position.epoch.as_ref().into(),
                        user_seq: position.user_seq,
                        cursors,
                        announcement_seq: Some(position.announcement_seq),
                    };
                    self.resume(link, started, &resume).await?
                }
                Err(reason) => self.start_anew(link, started, reason).await?,
            },
        };
        if let Some(mark) = &link.mark {
            mark.begin(&epoch, watermark, self.rotation());
        }
        Ok(live)
    }

    /// From where on each conversation is to be replayed; or why nothing can be: the watermark is of another history,
    /// or of a future that this database does not have (it was restored, and nobody has said so by a new epoch).
    ///
    /// Asked after the start read `heads` (and the feed at `user_seq`): what has not changed by now had not changed
    /// then, and its head is the cursor. That holds also for what is not theirs any more.
    async fn cursors(
        &self,
        link: &Link,
        position: &Position,
        user_seq: UserSeq,
        heads: &[(ConversationId, Seq)],
    ) -> Result<std::result::Result<HashMap<ConversationId, Seq>, ResyncReason>> {
        let most = self.config.resume_distance;
        let since = self.chat.changed_since(link.user(), user_seq, &position.watermark, most as u32).await?;
        if *since.epoch != *position.epoch {
            return Ok(Err(ResyncReason::EpochChanged));
        }
        let is_foreign = since.items.iter().any(|item| item.cursor.is_none() && item.last_seq <= most);
        if is_foreign {
            return Ok(Err(ResyncReason::CursorAhead));
        }
        // 0: so far back that it is to be fetched anew.
        let changed: Map<_, _> =
            since.items.iter().map(|item| (item.conversation_id, item.cursor.unwrap_or_default())).collect();
        Ok(Ok(heads.iter().map(|(id, head)| (*id, changed.get(id).copied().unwrap_or(*head))).collect()))
    }
}
