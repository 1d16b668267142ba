//! What a frame means to a device: messages go to the ledger, cursors move, replies end what waits for them.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use protocol::{ConversationId, ErrorCode, ReplyError, Seq};

use super::{
    pending::{Message, Waiting},
    session::{FETCH, HELLO, Session},
};
use crate::{
    frame::{Data, Frame, Limits, Page},
    ledger::Came,
    meter::Kind,
};

/// A refusal that names no time is said again after this.
const RETRY: Duration = Duration::from_millis(200);
/// What a frame asks of who owns the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing.
    Nothing,
    /// The server wants it to connect elsewhere after this.
    Move(Duration),
}

impl Session {
    /// A frame came.
    pub(super) fn frame(&mut self, text: &str) -> Ask {
        self.run.meter.received.fetch_add(text.len() as u64, Relaxed);
        let Ok(frame) = Frame::read(text) else {
            self.run.meter.error("a frame that cannot be read");
            return Ask::Nothing;
        };
        if let Some(user_seq) = frame.user_seq {
            self.user_seq = self.user_seq.max(user_seq);
        }
        match (frame.kind, &frame.data) {
            ("message.created", _) => self.message(&frame),
            ("changes", _) => {
                if let Some(page) = frame.page() {
                    self.page(&page, false);
                }
            }
            ("reply", data) => self.reply(frame.reference, frame.error.as_ref(), data.as_ref()),
            ("connected", Some(data)) => {
                self.out.push_front(self.hello());
                self.connected(data);
            }
            ("conversation.created", Some(data)) => {
                if let (Some(Ok(id)), Some(head)) = (data.id.map(str::parse), data.last_seq) {
                    self.receiver.head(id, head);
                }
            }
            ("announcement", Some(data)) => {
                self.announcement_seq = self.announcement_seq.max(data.seq.unwrap_or_default());
            }
            ("resync_required", Some(data)) => self.resync(data),
            ("participant.removed", _) => self.run.meter.error("removed from a conversation"),
            ("reconnect", Some(data)) => return Ask::Move(Duration::from_millis(data.after_ms.unwrap_or_default())),
            _ => {
                if let (Some(id), Some(seq)) = (frame.conversation_id, frame.seq) {
                    self.receiver.step(id, seq);
                }
            }
        }
        Ask::Nothing
    }

    fn message(&mut self, frame: &Frame<'_>) {
        match (frame.conversation_id, frame.message()) {
            (Some(id), Some((seq, _))) if frame.contradicts_itself() => {
                self.run.ledger.contradicted(&self.receiver, id, seq);
            }
            (Some(id), Some((seq, content))) => self.came(id, seq, content, false),
            (Some(id), None) => self.receiver.step(id, frame.seq.unwrap_or_default()),
            (None, _) => self.run.meter.error("a message of no conversation"),
        }
    }

    fn came(&mut self, id: ConversationId, seq: Seq, content: &str, paged: bool) {
        if let Came::New(stamp) = self.run.ledger.came(&self.receiver, id, seq, content, paged) {
            self.run.delivered(self.person.index, stamp);
        }
    }

    /// Takes a page; `asked`: the device asked for it, so it may repeat what is known.
    pub(super) fn page(&mut self, page: &Page<'_>, asked: bool) {
        for (seq, content) in page.messages() {
            self.came(page.id, seq, content, asked);
        }
        self.receiver.page(page.id, page.from, page.to, asked);
        if asked && page.more {
            self.fetch(page.id, page.to);
        }
    }

    fn connected(&mut self, data: &Data<'_>) {
        self.told_epoch = data.epoch.map(str::to_owned);
        if self.epoch.is_none() {
            self.epoch.clone_from(&self.told_epoch);
            self.user_seq = data.user_seq.unwrap_or_default();
            self.announcement_seq = data.announcement_seq.unwrap_or_default();
        }
        if let Some(longest) = data.limits.as_ref().and_then(Limits::longest) {
            self.run.longest.fetch_min(longest, Relaxed);
        }
        if let Some(interval) = data.heartbeat_interval_ms.filter(|interval| *interval > 0) {
            self.patience = Duration::from_millis(2 * interval) + Duration::from_secs(1);
        }
    }

    /// A conversation, or all, is to be fetched: what is known of it is not to be gone on from.
    fn resync(&mut self, data: &Data<'_>) {
        self.run.meter.error(format!("resync: {}", data.reason.unwrap_or("without a reason")));
        if let Some(id) = data.conversation_id {
            return self.fetch(id, self.receiver.cursor(id).unwrap_or_default());
        }
        self.epoch.clone_from(&self.told_epoch);
        for (id, cursor) in self.receiver.cursors() {
            self.fetch(id, cursor);
        }
    }

    fn fetch(&mut self, id: ConversationId, after: Seq) {
        self.fetches.push((id, after));
    }

    fn reply(&mut self, reference: Option<&str>, error: Option<&ReplyError>, data: Option<&Data<'_>>) {
        // The reply to the `hello` of a stream has none.
        let reference = reference.unwrap_or(HELLO);
        if reference == HELLO {
            return self.welcome(error, data);
        }
        if let Some(id) = reference.strip_prefix(FETCH) {
            match (data.and_then(Data::page), error) {
                (Some(page), _) => self.page(&page, true),
                (None, Some(error)) => {
                    self.run.meter.error(error.code.as_str());
                    // What is missing comes by this page or never.
                    if let Some(id) = id.parse().ok().filter(|_| is_passing(error)) {
                        self.refused.push(id);
                    }
                }
                (None, None) => self.run.meter.error("a page that cannot be read"),
            }
            return;
        }
        let Some(number) = reference.parse().ok() else { return };
        // Said twice, it is answered twice.
        let Some(waiting) = self.pending.answered(number) else { return };
        match error {
            None => self.done(waiting, data.and_then(|data| data.seq)),
            Some(error) => {
                self.run.meter.error(error.code.as_str());
                if waiting.message.is_some() && is_passing(error) && self.run.retries {
                    let after = error.retry_after_ms.map_or(RETRY, Duration::from_millis);
                    self.pending.later(number, waiting, after);
                } else if waiting.message.is_some() {
                    self.run.over(1);
                }
            }
        }
    }

    fn welcome(&mut self, error: Option<&ReplyError>, data: Option<&Data<'_>>) {
        if let Some(error) = error {
            self.run.meter.error(format!("hello: {}", error.code));
            *self.run.last_error.lock() = format!("`hello` was refused: {}", error.message);
            return;
        }
        for (id, head) in data.and_then(|data| data.heads.as_ref()).into_iter().flatten() {
            self.receiver.head(*id, *head);
        }
        for _ in 0..self.receiver.welcomed() {
            self.run.meter.error("hello: a conversation without a head");
        }
        self.goes_live();
    }

    /// A command was done; a message is at this place.
    fn done(&mut self, waiting: Waiting, seq: Option<Seq>) {
        match (waiting.message, seq) {
            (None, _) => {
                let took = self.run.clock.now().saturating_sub(waiting.intended);
                self.run.meter.record(self.person.index, Kind::Command, took);
            }
            (Some(Message { room, key, .. }), Some(seq)) => {
                self.run.acknowledged(&room, key, waiting.intended, seq);
            }
            (Some(_), None) => {
                self.run.over(1);
                self.run.meter.error("an acknowledgement without a place");
            }
        }
    }
}

/// Whether saying the same again may help.
fn is_passing(error: &ReplyError) -> bool {
    use ErrorCode::{Internal, Overloaded, RateLimited, SlowMode, Timeout, Unavailable};
    error.retry_after_ms.is_some()
        || matches!(error.code, Internal | Overloaded | RateLimited | SlowMode | Timeout | Unavailable)
}
