//! Messages: sending, editing, deleting and reading them.

use std::sync::Arc;

use bus::BusStatus;
use protocol::{
    ConversationId, EditMessage, ErrorCode, HistoryWindow, MentionRange, Message, MessageId, MessageReceipts,
    MessageVersions, Page, Reactor, SendMessage, ThreadPage, UserId,
};
use store::{Access, StoreError};

use crate::{
    Caller, Chat, ChatError, Result, Told,
    change::{Done, Kind, NewMessage},
    check, fingerprint,
    mentions::{self, Mentions},
    policy::{self, Refusal},
};

impl Chat {
    /// Sends. Returns when the message is committed; true when it is new, false when this was a retry.
    pub async fn send(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        mut request: SendMessage,
    ) -> Result<(Arc<Told>, bool)> {
        check::message_text(&request.content, self.limits().content_chars, !request.attachments.is_empty())?;
        check::attachments(&request.attachments)?;
        request.client_id.as_deref().map_or(Ok(()), check::client_id)?;
        if let Some(ranges) = request.mentions.take() {
            request.mentions = Some(mentions::check(ranges, &request.content)?);
        }
        let fingerprint = fingerprint::send(&request)?;
        let mentions = self.mentions(conversation, &request.content, request.mentions).await?;
        let answered = [request.reply_to_id, request.thread_root_id];
        let new = NewMessage {
            focused: self.focused(caller, conversation, &mentions, answered).await?,
            content: request.content,
            client_id: request.client_id.filter(|_| self.inner.env.protections().idempotency),
            reply_to: request.reply_to_id,
            thread_root: request.thread_root_id,
            mentions,
            attachments: request.attachments,
            fingerprint,
        };
        let kind = Kind::Send(Box::new(new));
        let done = self.submit(conversation, caller, kind).await?;
        let new = done.new;
        Ok((self.as_seen(caller, message_of(done)?).await?, new))
    }

    /// Edits one's own message. What it mentions is found anew.
    pub async fn edit(&self, caller: &Caller, id: MessageId, request: EditMessage) -> Result<Message> {
        // Whether the message has files, so that it needs no text, shows when it is read.
        check::message_text(&request.content, self.limits().content_chars, true)?;
        let ranges = request.mentions.map(|ranges| mentions::check(ranges, &request.content)).transpose()?;
        let conversation = self.located(id).await?;
        let mentions = self.mentions(conversation, &request.content, ranges).await?;
        let kind = Kind::Edit { message: id, content: request.content, mentions };
        self.change_message(caller, conversation, kind).await
    }

    /// Deletes one's own message, or any as an admin of the conversation; deleting twice is fine.
    pub async fn delete(&self, caller: &Caller, id: MessageId) -> Result<Message> {
        self.change_message(caller, self.located(id).await?, Kind::Delete { message: id }).await
    }

    /// Pins a message (true), or no longer; doing it twice is fine. In groups and public rooms admins; in a direct
    /// conversation both.
    pub async fn pin(&self, caller: &Caller, id: MessageId, pinned: bool) -> Result<Message> {
        self.change_message(caller, self.located(id).await?, Kind::Pin { message: id, pinned }).await
    }

    /// Reacts to a message with an emoji (true), or takes it back; doing it twice is fine. At most 20 distinct emoji.
    pub async fn react(&self, caller: &Caller, id: MessageId, emoji: &str, add: bool) -> Result<Message> {
        let emoji = check::emoji(emoji)?;
        self.change_message(caller, self.located(id).await?, Kind::React { message: id, emoji, add }).await
    }

    async fn change_message(&self, caller: &Caller, conversation: ConversationId, kind: Kind) -> Result<Message> {
        let done = self.submit(conversation, caller, kind).await?;
        Ok(Told::into_message(self.as_seen(caller, message_of(done)?).await?))
    }

    async fn located(&self, id: MessageId) -> Result<ConversationId> {
        self.inner.store.locate(id).await?.ok_or_else(|| ChatError::not_found("message"))
    }

    /// The message as its reader sees it: which reactions are theirs. A message without reactions is the same for all.
    async fn as_seen(&self, caller: &Caller, message: Arc<Told>) -> Result<Arc<Told>> {
        if message.reactions.is_empty() {
            return Ok(message);
        }
        // Who lost the right to read it meanwhile still made this change.
        Ok(self.inner.store.message(caller.user.id, message.id).await?.map_or(message, |seen| Arc::new(seen.into())))
    }

    /// Whom a text mentions: as the sender says, else as the text does.
    async fn mentions(
        &self,
        conversation: ConversationId,
        content: &str,
        named: Option<Vec<MentionRange>>,
    ) -> Result<Mentions> {
        if let Some(ranges) = named {
            return Ok(Mentions::Named(ranges));
        }
        let names = mentions::names(content);
        if names.is_empty() {
            return Ok(Mentions::default());
        }
        let users = self.inner.store.mentionable(conversation, &names, &[]).await?;
        Ok(Mentions::Found(mentions::find(content, &users)))
    }

    /// Of those whom a message may notify, who has the conversation on their screen now. Asked before the batch, so
    /// that no lock waits for the bus; a bus that does not answer knows of nobody.
    async fn focused(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        mentions: &Mentions,
        answered: [Option<MessageId>; 2],
    ) -> Result<Vec<UserId>> {
        let mut targets = mentions.users();
        for id in answered.into_iter().flatten() {
            targets.extend(self.inner.store.message(caller.user.id, id).await?.map(|message| message.sender.id));
        }
        targets.sort_unstable();
        targets.dedup();
        targets.retain(|user| *user != caller.user.id);
        if targets.is_empty() || *self.inner.bus.status().borrow() == BusStatus::Down {
            return Ok(Vec::new());
        }
        let known = self.inner.bus.presence(&targets).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "who looks at a conversation is not known");
            Vec::new()
        });
        Ok(known.into_iter().filter(|said| said.focus.contains(&conversation)).map(|said| said.user).collect())
    }

    /// A thread: its root, and replies after a cursor, ascending. `limit` 1–100 (50 when absent).
    pub async fn thread(
        &self,
        caller: &Caller,
        root: MessageId,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<ThreadPage> {
        let limit = check::limit(limit)?;
        let after =
            cursor.map_or(Ok(0), |cursor| cursor.parse().map_err(|_| ChatError::from(StoreError::BadCursor)))?;
        let found = self.inner.store.thread(caller.user.id, root, check::seq(after), limit + 1).await?;
        let Some((root, items)) = found else { return Err(self.no_message(caller, root).await?) };
        let page = page(items, HistoryWindow::After(after), limit as usize);
        Ok(ThreadPage { root, items: page.items, next_cursor: page.next_cursor })
    }

    /// Pinned messages, the last pinned first.
    pub async fn pins(&self, caller: &Caller, conversation: ConversationId) -> Result<Page<Message>> {
        self.readable(caller, conversation).await?;
        let items = self.inner.store.pins(caller.user.id, conversation).await?;
        Ok(Page { items, next_cursor: None })
    }

    /// What a message said before each edit.
    pub async fn versions(&self, caller: &Caller, id: MessageId) -> Result<MessageVersions> {
        match self.inner.store.versions(caller.user.id, id).await? {
            Some(items) => Ok(MessageVersions { items }),
            None => Err(self.no_message(caller, id).await?),
        }
    }

    /// Who reacted to a message. `limit` 1–100 (50 when absent).
    pub async fn reactors(
        &self,
        caller: &Caller,
        id: MessageId,
        emoji: Option<&str>,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Reactor>> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        let emoji = emoji.map(check::emoji).transpose()?;
        match self.inner.store.reactors(caller.user.id, id, emoji.as_deref(), cursor, limit).await? {
            Some(page) => Ok(page),
            None => Err(self.no_message(caller, id).await?),
        }
    }

    /// How far a message got with each participant. `limit` 1–100 (50 when absent).
    pub async fn message_receipts(
        &self,
        caller: &Caller,
        id: MessageId,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<MessageReceipts> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        match self.inner.store.message_receipts(caller.user.id, id, cursor, limit).await? {
            Some(receipts) => Ok(receipts),
            None => Err(self.no_message(caller, id).await?),
        }
    }

    /// One message.
    pub async fn message(&self, caller: &Caller, id: MessageId) -> Result<Message> {
        if let Some(message) = self.inner.store.message(caller.user.id, id).await? {
            return Ok(message);
        }
        Err(self.no_message(caller, id).await?)
    }

    /// Why a message is not there for the caller.
    async fn no_message(&self, caller: &Caller, id: MessageId) -> Result<ChatError> {
        // Of a public room one may know that joining would help; of all else nothing.
        if let Some(conversation) = self.inner.store.locate(id).await? {
            let access = self.inner.store.access(caller.user.id, conversation).await?;
            if policy::reading(access.as_ref()) == Err(Refusal::NotAParticipant) {
                return Ok(Refusal::NotAParticipant.into());
            }
        }
        Ok(ChatError::not_found("message"))
    }

    /// A page of history, ascending by seq. `limit` 1–100 (50 when absent). `next_cursor` is the seq to go on with
    /// in the same direction, null at the end.
    pub async fn history(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        window: HistoryWindow,
        limit: Option<u32>,
    ) -> Result<Page<Message>> {
        let limit = check::limit(limit)?;
        self.readable(caller, conversation).await?;
        let window = match window {
            HistoryWindow::Latest => HistoryWindow::Latest,
            HistoryWindow::Before(seq) => HistoryWindow::Before(check::seq(seq)),
            HistoryWindow::After(seq) => HistoryWindow::After(check::seq(seq)),
            HistoryWindow::Around(seq) => HistoryWindow::Around(check::seq(seq)),
        };
        // One more than asked for tells whether there is more.
        let extra = u32::from(!matches!(window, HistoryWindow::Around(_)));
        let items = self.inner.store.history(caller.user.id, conversation, window, limit + extra).await?;
        Ok(page(items, window, limit as usize))
    }

    /// What the caller is to a conversation whose messages they may read.
    pub(crate) async fn readable(&self, caller: &Caller, conversation: ConversationId) -> Result<Access> {
        let access = self.inner.store.access(caller.user.id, conversation).await?;
        policy::reading(access.as_ref())?;
        access.ok_or_else(|| Refusal::NotFound.into())
    }
}

/// Cuts a page that was read with one item too many.
fn page(mut items: Vec<Message>, window: HistoryWindow, limit: usize) -> Page<Message> {
    let more = items.len() > limit;
    let next = match window {
        HistoryWindow::Around(_) => None,
        HistoryWindow::After(_) => {
            items.truncate(limit);
            items.last()
        }
        HistoryWindow::Latest | HistoryWindow::Before(_) => {
            items.drain(..items.len().saturating_sub(limit));
            items.first()
        }
    };
    let next_cursor = next.filter(|_| more).map(|message| message.seq.to_string());
    Page { items, next_cursor }
}

fn message_of(done: Done) -> Result<Arc<Told>> {
    done.message.ok_or_else(|| {
        ChatError::new(ErrorCode::Internal, "something failed here").because("a change of a message gave no message")
    })
}
