//! Each call of the store's traits, timed. Nothing else.

use async_trait::async_trait;
use protocol::{
    Announcement, AnnouncementList, AuditEntry, Changes, Conversation, ConversationFilter, ConversationId,
    HistoryWindow, Message, MessageId, MessageNotification, MessageReceipts, MessageVersion, Notification,
    NotificationId, NotificationPreferences, NotificationPreferencesPatch, OrgId, OrgRole, Page, Participant,
    Preferences, PreferencesPatch, ProfilePatch, Reactor, Receipt, Report, ReportId, ReportStatus, SearchHit, Seq,
    SessionId, Timestamp, Unread, User, UserId, UserSeq,
};
use store::{
    Access, Announced, Arrivals, Arrived, Behind, Committed, CreatedConversation, Decide, Erased, Erasures,
    ExternalUser, Feed, Heads, Inbox, Library, MarkRow, Marks, Members, Memberships, MessageSearch, Missed,
    NewAnnouncement, NewAudit, NewConversation, NewEpoch, NewReport, NewSession, NewUser, Operator, Org,
    OrgUsersFilter, People, Placed, ReportsFilter, Result, Rotation, Scope, Seen, SessionRecord, Since, Standing,
    Store, StoreHealth, Watermark, Who,
};

use super::Timed;

/// Writes a trait's calls that only go through, and are timed under their names.
macro_rules! timed {
    ($trait:ident { $(fn $name:ident($($arg:ident: $ty:ty),*) -> $answer:ty;)+ } $($rest:tt)*) => {
        #[async_trait]
        impl $trait for Timed {
            $(async fn $name(&self, $($arg: $ty),*) -> Result<$answer> {
                let _timer = self.timer(stringify!($name));
                self.store.$name($($arg),*).await
            })+
            $($rest)*
        }
    };
}

timed! {
    Store {
        fn health() -> StoreHealth;
        fn messages_stored() -> Option<u64>;
        fn to_erase(before: Timestamp, limit: u32) -> Vec<ConversationId>;
        fn erase(conversation: ConversationId, limit: u32) -> Option<Erased>;
        fn erasures(before: Timestamp) -> Erasures;
        fn ensure_org(slug: &str) -> OrgId;
        fn create_user(user: NewUser) -> User;
        fn upsert_external_user(user: ExternalUser) -> User;
        fn user(id: UserId) -> Option<User>;
        fn users(org: OrgId, ids: &[UserId]) -> Vec<User>;
        fn credentials(org: OrgId, username: &str) -> Option<(User, Option<String>)>;
        fn update_profile(id: UserId, patch: &ProfilePatch) -> Option<User>;
        fn create_session(session: NewSession) -> ();
        fn rotate_session(old_hash: &[u8], new_hash: &[u8], expires_at: Timestamp, now: Timestamp) -> Rotation;
        fn sessions(user: UserId, now: Timestamp) -> Vec<SessionRecord>;
        fn revoke_sessions(user: UserId, session: Option<SessionId>, now: Timestamp) -> Option<UserSeq>;
        fn create_conversation(new: NewConversation) -> CreatedConversation;
        fn change(scope: &Scope, decide: Decide<'_>) -> Committed;
        fn mark(rows: &[MarkRow]) -> Marks;
        fn access(viewer: UserId, conversation: ConversationId) -> Option<Access>;
        fn locate(message: MessageId) -> Option<ConversationId>;
        fn conversation(viewer: UserId, id: ConversationId) -> Option<Conversation>;
        fn conversations(viewer: UserId, filter: &ConversationFilter, cursor: Option<&str>, limit: u32) -> Page<Conversation>;
        fn public_conversations(viewer: UserId, query: &str, cursor: Option<&str>, limit: u32) -> Page<Conversation>;
        fn participants(viewer: UserId, conversation: ConversationId, query: &str, cursor: Option<&str>, limit: u32) -> Page<Participant>;
        fn participant(viewer: UserId, conversation: ConversationId, user: UserId) -> Option<Participant>;
        fn history(viewer: UserId, conversation: ConversationId, window: HistoryWindow, limit: u32) -> Vec<Message>;
        fn message(viewer: UserId, id: MessageId) -> Option<Message>;
        fn changes(viewer: Option<UserId>, conversation: ConversationId, after: Seq, limit: u32) -> Option<Changes>;
        fn changed_since(user: UserId, user_seq: UserSeq, since: &Watermark, limit: u32) -> Since;
        fn heads(ids: &[ConversationId]) -> Heads;
        fn members(conversation: ConversationId, users: &[UserId]) -> Option<Members>;
        fn feed_heads(ids: &[UserId]) -> Vec<(UserId, UserSeq)>;
        fn feed(user: UserId, after: UserSeq) -> Feed;
    }

    // What takes as long as it takes is not measured.
    async fn migrate(&self) -> Result<()> {
        self.store.migrate().await
    }

    async fn new_epoch(&self) -> Result<NewEpoch> {
        self.store.new_epoch().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

timed! {
    Arrivals {
        fn arrived(who: &[Who], now: Timestamp) -> Vec<Arrived>;
        fn memberships_of(users: &[UserId], limit: u32) -> Vec<Memberships>;
        fn catch_up_of(behind: &[Behind], limit: u32) -> Vec<Vec<Missed>>;
        fn receipts_of(of: &[(UserId, Vec<ConversationId>)]) -> Vec<Vec<Receipt>>;
    }
}

timed! {
    Library {
        fn thread(viewer: UserId, root: MessageId, after: Seq, limit: u32) -> Option<(Message, Vec<Message>)>;
        fn pins(viewer: UserId, conversation: ConversationId) -> Vec<Message>;
        fn versions(viewer: UserId, message: MessageId) -> Option<Vec<MessageVersion>>;
        fn reactors(viewer: UserId, message: MessageId, emoji: Option<&str>, cursor: Option<&str>, limit: u32) -> Option<Page<Reactor>>;
        fn message_receipts(viewer: UserId, message: MessageId, cursor: Option<&str>, limit: u32) -> Option<MessageReceipts>;
        fn search(viewer: UserId, search: &MessageSearch, cursor: Option<&str>, limit: u32) -> Page<SearchHit>;
        fn mentionable(conversation: ConversationId, usernames: &[String], ids: &[UserId]) -> Vec<User>;
    }
}

timed! {
    Inbox {
        fn set_preferences(user: UserId, conversation: ConversationId, patch: &PreferencesPatch, now: Timestamp) -> Option<(Preferences, Option<UserSeq>)>;
        fn notification_preferences(user: UserId) -> NotificationPreferences;
        fn set_notification_preferences(user: UserId, patch: &NotificationPreferencesPatch, now: Timestamp) -> (NotificationPreferences, Option<UserSeq>);
        fn unread(user: UserId, now: Timestamp) -> Unread;
        fn notifications(user: UserId, unread_only: bool, cursor: Option<&str>, limit: u32) -> Page<Notification>;
        fn message_notifications(user: UserId, now: Timestamp, limit: u32) -> Vec<MessageNotification>;
        fn read_notifications(user: UserId, ids: Option<&[NotificationId]>, now: Timestamp) -> Option<UserSeq>;
        fn unread_notifications(user: UserId) -> u64;
        fn announce(new: NewAnnouncement, audit: NewAudit) -> Announced;
        fn announcements(org: OrgId, user: UserId, cursor: Option<&str>, limit: u32) -> AnnouncementList;
        fn announcements_after(org: OrgId, after: u64, limit: u32) -> Vec<Announcement>;
        fn announcement_heads(orgs: &[OrgId]) -> Vec<(OrgId, u64)>;
        fn read_announcements(org: OrgId, user: UserId, seq: u64) -> u64;
    }
}

timed! {
    People {
        fn set_blocked(user: UserId, other: UserId, blocked: bool, now: Timestamp) -> Option<UserSeq>;
        fn blocked_users(user: UserId, cursor: Option<&str>, limit: u32) -> Page<User>;
        fn blocked_between(one: UserId, other: UserId) -> bool;
        fn note_seen(seen: &[Seen]) -> ();
        fn visible(viewer: UserId, ids: &[UserId]) -> Vec<Seen>;
        fn contacts(viewer: UserId, limit: u32) -> Vec<Seen>;
        fn org_users(org: OrgId, filter: &OrgUsersFilter, after: Option<&str>, limit: u32) -> Page<User>;
        fn set_disabled(org: OrgId, id: UserId, disabled: bool, audit: Option<NewAudit>, now: Timestamp) -> Option<(User, Option<UserSeq>)>;
        fn set_org_role(org: OrgId, id: UserId, role: OrgRole, audit: Option<NewAudit>) -> Option<User>;
        fn report(new: NewReport) -> (Report, bool);
        fn reports(org: OrgId, filter: ReportsFilter, cursor: Option<&str>, limit: u32) -> Page<Report>;
        fn decide_report(org: OrgId, id: ReportId, status: ReportStatus, audit: NewAudit) -> Option<Report>;
        fn audit_log(org: OrgId, cursor: Option<&str>, limit: u32) -> Page<AuditEntry>;
    }
}

timed! {
    Operator {
        fn placed(message: MessageId) -> Option<Placed>;
        fn placed_at(conversation: ConversationId, seq: Seq) -> Option<Placed>;
        fn standing(conversation: ConversationId, user: UserId) -> Option<Standing>;
        fn user_named(org: &str, username: &str) -> Option<User>;
        fn org_named(slug: &str) -> Option<OrgId>;
        fn orgs(after: &str, limit: u32) -> Vec<Org>;
    }
}
