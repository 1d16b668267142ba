//! What an operator asks and does, who looks at the whole cluster from a node's admin port: nobody's role counts, and
//! no org is in the way.

use protocol::{ConversationId, MessageId, Page, Report, ReportStatus, Seq, User, UserId};
use store::{Org, Placed, ReportsFilter, Standing};

use crate::{Chat, ChatError, CommitsView, Result, check};

/// Orgs of one page.
const ORGS: u32 = 100;

impl Chat {
    /// What this node knows of who committed a change.
    pub fn commits(&self, conversation: ConversationId, seq: Seq) -> CommitsView {
        self.inner.writer.commits(conversation, seq)
    }

    /// Changes that wait to be committed on this node, by lane.
    pub fn waiting(&self) -> Vec<usize> {
        self.inner.writer.waiting()
    }

    /// A message, deleted or not.
    pub async fn placed(&self, message: MessageId) -> Result<Placed> {
        self.inner.store.placed(message).await?.ok_or_else(|| ChatError::not_found("message"))
    }

    /// The message of a conversation whose place this is, or whose last change.
    pub async fn placed_at(&self, conversation: ConversationId, seq: Seq) -> Result<Placed> {
        self.inner.store.placed_at(conversation, seq).await?.ok_or_else(|| ChatError::not_found("message"))
    }

    /// A user's part in a conversation, a former one too; none when they never took part.
    pub async fn standing(&self, conversation: ConversationId, user: UserId) -> Result<Option<Standing>> {
        Ok(self.inner.store.standing(conversation, user).await?)
    }

    /// How far a conversation is; of a deleted one too.
    pub async fn head(&self, conversation: ConversationId) -> Result<Seq> {
        let heads = self.inner.store.heads(&[conversation]).await?;
        let head = heads.items.first().map(|(_, head)| *head);
        head.ok_or_else(|| ChatError::not_found("conversation"))
    }

    /// Anybody, by id.
    pub async fn any_user(&self, id: UserId) -> Result<User> {
        self.inner.store.user(id).await?.ok_or_else(|| ChatError::not_found("user"))
    }

    /// Anybody, by the slug of their org and their username.
    pub async fn any_user_named(&self, org: &str, username: &str) -> Result<User> {
        self.inner.store.user_named(org, username).await?.ok_or_else(|| ChatError::not_found("user"))
    }

    /// Disables a user, whose sockets close with 4504, or enables them. In the log and not in the org's audit log, which
    /// names the admin who did it.
    pub async fn set_disabled(&self, id: UserId, disabled: bool) -> Result<User> {
        let (store, now) = (&self.inner.store, self.inner.env.now());
        let org = self.any_user(id).await?.org_id;
        let changed = store.set_disabled(org, id, disabled, None, now).await?;
        let (user, moved) = changed.ok_or_else(|| ChatError::not_found("user"))?;
        if let Some(user_seq) = moved {
            tracing::info!(user.id = %id, disabled, "an operator disabled or enabled a user");
            self.publish_feed(id, user_seq).await;
        }
        self.inner.auth.forget_user(id);
        Ok(user)
    }

    /// The orgs by slug, at most 100, those after the slug `after`.
    pub async fn orgs(&self, after: &str) -> Result<Vec<Org>> {
        Ok(self.inner.store.orgs(after, ORGS).await?)
    }

    /// Messages that this node has committed since its start.
    pub fn messages_committed(&self) -> u64 {
        self.inner.writer.messages_committed()
    }

    /// Reports of the org of this slug, newest first. `limit` 1–100 (50 when absent).
    pub async fn reports_in(
        &self,
        org: &str,
        status: Option<ReportStatus>,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Report>> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        let org = self.inner.store.org_named(org).await?.ok_or_else(|| ChatError::not_found("org"))?;
        Ok(self.inner.store.reports(org, ReportsFilter { status }, cursor, limit).await?)
    }
}
