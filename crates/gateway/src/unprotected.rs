//! How a connection follows its conversations where a protection is off: for tests of the tests alone (`Protections`),
//! which prove with it that they would notice.

use std::sync::Arc;

use chat::Result;
use protocol::{Resume, Seq};
use store::Membership;

use crate::{
    catch_up::frame_of,
    follow::{Place, Started},
    link::Link,
    node::Node,
    outbox::Class,
};

impl Node {
    /// Without `subscribe_first`: reads where everything stands, and subscribes to nothing yet.
    pub(crate) async fn start_late(self: &Arc<Self>, link: &Arc<Link>) -> Result<Started> {
        let memberships = self.chat.memberships(link.user()).await?;
        self.saw_epoch(&memberships.epoch);
        let announcement_seq = self.announcement_head(link.org()).await?;
        Ok(Started { memberships, announcement_seq })
    }

    /// Without `subscribe_first`: reads, then subscribes, and does not look back.
    pub(crate) async fn release_late(
        self: &Arc<Self>,
        link: &Arc<Link>,
        item: Membership,
        mut cursor: Seq,
    ) -> Result<Place> {
        let id = item.conversation_id;
        loop {
            let page = self.chat.changes(&link.caller, id, cursor, Some(self.config.bounds.page)).await?;
            if let Some(frame) = frame_of(&page) {
                link.outbox.push(frame, Class::Durable);
            }
            cursor = cursor.max(page.to);
            if !page.more {
                break;
            }
        }
        self.attach_all(link, &[item]).await;
        if let Some(attachment) = self.hub.attachment(id, link)
            && let Ok(after) = self.hub.release(id, &attachment, cursor, item.access_since_seq)
        {
            self.after(id, after);
        }
        Ok(Place::After(cursor))
    }

    /// Without `membership`: what the client names is theirs.
    pub(crate) async fn unchecked(
        self: &Arc<Self>,
        link: &Arc<Link>,
        mut items: Vec<Membership>,
        resume: &Resume,
    ) -> Result<Vec<Membership>> {
        let named = resume.cursors.keys().filter(|id| !items.iter().any(|item| item.conversation_id == **id));
        let named: Vec<_> = named.copied().collect();
        let heads = self.chat.heads(&named).await?.into_iter();
        let more: Vec<_> = heads
            .map(|(conversation_id, last_seq)| Membership { conversation_id, last_seq, access_since_seq: 0 })
            .collect();
        self.attach_all(link, &more).await;
        for Membership { conversation_id: id, last_seq, .. } in &more {
            self.after(*id, self.hub.establish(*id, *last_seq));
        }
        items.extend(more);
        Ok(items)
    }
}
