//! Announcements: news for everybody of an org. Stored once, with a marker per reader.

use bus::Topic;
use bytes::Bytes;
use protocol::{
    Announcement, AnnouncementId, AnnouncementList, AnnouncementsRead, AuditAction, AuditId, CreateAnnouncement,
    ErrorCode, Event, EventType, OrgId, ReadAnnouncements,
};
use sha2::{Digest, Sha256};
use store::{NewAnnouncement, NewAudit};

use crate::{
    Caller, Chat, ChatError, Result, check,
    envelope::{AnnouncementMoved, UserEvent},
    moderation::org_admin,
};

impl Chat {
    /// Announces (org admins); true when it was made now. With an `Idempotency-Key` a retry finds the first one.
    pub async fn announce(
        &self,
        caller: &Caller,
        request: CreateAnnouncement,
        idempotency_key: Option<&str>,
    ) -> Result<(Announcement, bool)> {
        org_admin(caller)?;
        idempotency_key.map_or(Ok(()), check::idempotency_key)?;
        check::title(&request.title)?;
        check::content(&request.content, self.limits().content_chars)?;
        request.url.as_deref().map_or(Ok(()), |url| check::url("url", url))?;
        let fingerprint = fingerprint(&request)?;
        let (id, now) = (AnnouncementId(self.inner.env.id()), self.inner.env.now());
        let new = NewAnnouncement {
            id,
            org_id: caller.user.org_id,
            author: caller.user.id,
            title: request.title,
            content: request.content,
            url: request.url,
            idempotency_key: idempotency_key.map(str::to_owned),
            fingerprint: fingerprint.clone(),
            now,
        };
        let audit = NewAudit {
            id: AuditId(self.inner.env.id()),
            org_id: caller.user.org_id,
            actor: caller.user.id,
            action: AuditAction::AnnouncementCreated,
            target: id.0,
            details: None,
            now,
        };
        let made = self.inner.store.announce(new, audit).await?;
        if made.fingerprint != fingerprint {
            return Err(ChatError::new(
                ErrorCode::IdempotencyConflict,
                "this Idempotency-Key was used before with another request",
            ));
        }
        // Found: published again, whoever made it may have died before the hint was out.
        let payload = AnnouncementMoved::encode(made.announcement.seq);
        self.inner.writer.publish(Topic::Org(caller.user.org_id), payload);
        Ok((made.announcement, made.created))
    }

    /// The org's announcements, newest first, and the caller's marker. `limit` 1–100 (50 when absent).
    pub async fn announcements(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<AnnouncementList> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        Ok(self.inner.store.announcements(caller.user.org_id, caller.user.id, cursor, limit).await?)
    }

    /// Moves the caller's marker forward; their own devices are told.
    pub async fn read_announcements(&self, caller: &Caller, request: ReadAnnouncements) -> Result<AnnouncementsRead> {
        let seq = check::seq(request.seq);
        let read_seq = self.inner.store.read_announcements(caller.user.org_id, caller.user.id, seq).await?;
        let read = AnnouncementsRead { read_seq };
        match UserEvent::encode_frame(&Event::plain(EventType::AnnouncementsRead, read), None) {
            Ok(payload) => self.inner.writer.publish(Topic::User(caller.user.id), payload),
            Err(error) => tracing::error!(%error, "a marker could not be serialised"),
        }
        Ok(read)
    }

    /// For the gateway: `seq` of the orgs' last announcements, batched.
    pub async fn announcement_heads(&self, orgs: &[OrgId]) -> Result<Vec<(OrgId, u64)>> {
        Ok(self.inner.store.announcement_heads(orgs).await?)
    }

    /// For the gateway: frames of an org's announcements after a seq, ascending, at most `limit`.
    pub async fn announcement_frames(&self, org: OrgId, after: u64, limit: u32) -> Result<Vec<(u64, Bytes)>> {
        let announcements = self.inner.store.announcements_after(org, check::seq(after), limit).await?;
        let frame = |announcement: Announcement| {
            let seq = announcement.seq;
            let frame = serde_json::to_vec(&Event::plain(EventType::Announcement, announcement))
                .map_err(|error| ChatError::new(ErrorCode::Internal, "something failed here").because(error))?;
            Ok((seq, Bytes::from(frame)))
        };
        announcements.into_iter().map(frame).collect()
    }
}

fn fingerprint(request: &CreateAnnouncement) -> Result<Vec<u8>> {
    let bytes = serde_json::to_vec(request)
        .map_err(|error| ChatError::new(ErrorCode::Internal, "something failed here").because(error))?;
    Ok(Sha256::new().chain_update(b"announce\0").chain_update(bytes).finalize().to_vec())
}
