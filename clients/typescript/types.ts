// What Starling's REST API and socket speak, as TypeScript types.
// Generated from crates/protocol by `make generate`; do not edit.

/* eslint-disable */

/** What a connection says of its user. */
export type Activity = "active" | "away";

/** `POST /v1/conversations/{id}/participants` (admins). */
export interface AddParticipants {
  /** Who to add, 1–1,000; those who take part already are left as they are. */
  user_ids: UserId[];
}

/** News for everybody of an org. Also data of `announcement`. */
export interface Announcement {
  /** Id. */
  id: AnnouncementId;
  /** Who wrote it. */
  author: Sender;
  /** The text. */
  content: string;
  /** When. */
  created_at: Timestamp;
  /** Its place among the org's announcements: dense from 1. */
  seq: number;
  /** A headline. */
  title: string;
  /** Where to read more. */
  url: string | null;
}

/** An announcement to an org. */
export type AnnouncementId = string;

/** `GET /v1/announcements`. */
export interface AnnouncementList {
  /** Newest first. */
  items: Announcement[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
  /** The caller's marker: announcements up to this `seq` are read. */
  read_seq: number;
}

/** The caller's marker. */
export interface AnnouncementsRead {
  /** Announcements up to here are read. */
  read_seq: number;
}

/** A file that goes with a message, by its address. */
export interface Attachment {
  /** What it is. */
  kind: AttachmentKind;
  /** Where it is (`https://…` or `http://…`, ≤ 2,000 characters). */
  url: string;
  /** Size, bytes. */
  byte_size?: number | null;
  /** Length, milliseconds. */
  duration_ms?: number | null;
  /** Pixels. */
  height?: number | null;
  /** Media type, ≤ 120 characters. */
  media_type?: string | null;
  /** What to call it, ≤ 120 characters. */
  name?: string | null;
  /** A small picture of it (`https://…` or `http://…`). */
  thumbnail_url?: string | null;
  /** Pixels. */
  width?: number | null;
}

/** What an attachment is. */
export type AttachmentKind = "image" | "video" | "audio" | "document";

/** What an admin did. */
export type AuditAction = "user.disabled" | "user.enabled" | "user.role" | "report.decided" | "announcement.created";

/** An entry of the org's audit log. */
export interface AuditEntry {
  /** Id. */
  id: AuditId;
  /** What. */
  action: AuditAction;
  /** Who. */
  actor: Sender;
  /** When. */
  created_at: Timestamp;
  /** More, in a word. */
  details: string | null;
  /** To whom or what: the id of a user, a report, an announcement. */
  target_id: string;
}

/** An entry of an org's audit log. */
export type AuditId = string;

/** Fields of `auth.renew`. */
export interface AuthRenew {
  /** A fresh access token of the same user. */
  token: string;
}

/** Data of the reply to `auth.renew`. */
export interface AuthRenewed {
  /** When the new token ends. */
  expires_at: Timestamp;
}

/** `POST /v1/read`: many conversations at once. */
export interface BulkRead {
  /** 1–100, each conversation once. */
  items: ReadItem[];
}

/** One changed message, in its present state. */
export interface Change {
  /** What happened to it, as seen from the cursor. */
  type: ChangeType;
  /** The message. */
  data: Message;
  /** The change's seq: the message's `changed_seq`. */
  seq: number;
}

/** What a change is. */
export type ChangeType = "message.created" | "message.updated" | "message.deleted";

/** What happened in a conversation after a cursor: moves it from `from` to `to` in one step. The frame `changes`, and the answer of `changes.get` and `GET …/changes`. */
export interface Changes {
  /** Always `changes`. */
  type: ChangesTag;
  /** Each changed message once, in its present state, ascending by `seq`. */
  changes: Change[];
  /** Where. */
  conversation_id: ConversationId;
  /** The cursor it starts from. */
  from: number;
  /** There is more after `to`: ask again. */
  more: boolean;
  /** The cursor it leads to. */
  to: number;
}

/** Fields of `changes.get`. */
export interface ChangesGet {
  /** Everything after this seq. */
  after: number;
  /** Where. */
  conversation_id: ConversationId;
  /** At most so many changes, 1–500; 500 when absent. */
  limit?: number | null;
}

/** The one value of a `changes` frame's `type`. */
export type ChangesTag = "changes";

/** Data of `connected`. */
export interface Connected {
  /** `seq` of the org's last announcement; 0 when there is none. */
  announcement_seq: number;
  /** This connection. */
  connection_id: ConnectionId;
  /** Names the database's history: cursors are good within one epoch. */
  epoch: string;
  /** Silence of two of these means a dead server. */
  heartbeat_interval_ms: number;
  /** What this connection may do. */
  limits: Limits;
  /** Who is connected. */
  user: User;
  /** Head of the user's feed. */
  user_seq: number;
}

/** One live socket. */
export type ConnectionId = string;

/** A conversation as one viewer sees it. */
export interface Conversation {
  /** Id. */
  id: ConversationId;
  /** Set when archived: nothing may be sent. */
  archived_at: Timestamp | null;
  /** Picture, if any. */
  avatar_url: string | null;
  /** When it was made. */
  created_at: Timestamp;
  /** More about it. */
  description: string | null;
  /** What new participants may read. */
  history: History;
  /** Kind. */
  kind: ConversationKind;
  /** When the last message came. */
  last_activity_at: Timestamp;
  /** The newest message, system messages included; null for a viewer who may not read it. */
  last_message: Message | null;
  /** Number of the newest message: `unread_count` is this less `read_number`. */
  last_number: number;
  /** The conversation's head. */
  last_seq: number;
  /** Mentions of the viewer among them. */
  mention_count: number;
  /** Places of the first 100 of these mentions, ascending: to jump to, and to keep the count right from events. */
  mention_seqs: number[];
  /** Muted until then. */
  muted_until: Timestamp | null;
  /** What the viewer wants to be told of. */
  notify: Notify;
  /** The other one in a direct conversation. */
  other: User | null;
  /** The other one's delivered marker; null unless direct. */
  other_delivered_seq: number | null;
  /** Whether the other one is there; null unless direct, and where it is not told (events, a block). */
  other_presence: Presence | null;
  /** The other one's read marker; null unless direct. */
  other_read_seq: number | null;
  /** How many take part. */
  participant_count: number;
  /** When the viewer pinned it to the top of their list. */
  pinned_at: Timestamp | null;
  /** Who may send. */
  posting: Posting;
  /** Number of the last message at or before the read marker. */
  read_number: number;
  /** The viewer's read marker. */
  read_seq: number;
  /** The viewer's role; null when they only look at a public room from outside. */
  role: Role | null;
  /** Seconds between two messages of one member; 0 = no slow mode. Admins are free. */
  slow_mode_seconds: number;
  /** What it is about. */
  subject: Subject | null;
  /** Name; null in a direct conversation. */
  title: string | null;
  /** Messages after the viewer's read marker. */
  unread_count: number;
}

/** A conversation: direct, group or public. */
export type ConversationId = string;

/** What a conversation is. */
export type ConversationKind = "direct" | "group" | "public";

/** `PATCH /v1/conversations/{id}` (admins): only the named fields change; `null` clears. */
export interface ConversationPatch {
  /** Into the archive (nothing may be sent any more), or out of it. Not together with another field. */
  archived?: boolean | null;
  /** New picture, or null. */
  avatar_url?: string | null;
  /** New description, or null. */
  description?: string | null;
  /** Who may send. */
  posting?: Posting | null;
  /** Seconds between two messages of one member, ≤ 86,400; 0 = no slow mode. */
  slow_mode_seconds?: number | null;
  /** New name. */
  title?: string | null;
}

/** `POST /v1/announcements` (org admins). */
export interface CreateAnnouncement {
  /** The text, 1–4,000 characters. */
  content: string;
  /** A headline, 1–120 characters. */
  title: string;
  /** Where to read more (`https://…` or `http://…`). */
  url?: string | null;
}

/** `POST /v1/conversations`. */
export interface CreateConversation {
  /** Kind. */
  kind: ConversationKind;
  /** Picture. */
  avatar_url?: string | null;
  /** More about it, ≤ 1,000 characters. */
  description?: string | null;
  /** What new participants may read. */
  history?: History;
  /** The others; exactly one for `direct`. ≤ 1,000. */
  participant_ids?: UserId[];
  /** Who may send. */
  posting?: Posting;
  /** Seconds between two messages of one member, ≤ 86,400; 0 = no slow mode. */
  slow_mode_seconds?: number;
  /** What it is about. */
  subject?: Subject | null;
  /** Name, 1–120 characters: required for `group` and `public`, refused for `direct`. */
  title?: string | null;
}

/** `POST /v1/reports`: a message, or a user; exactly one of the two. */
export interface CreateReport {
  /** Why. */
  reason: ReportReason;
  /** More, ≤ 1,000 characters. */
  comment?: string | null;
  /** A message that the caller can see. */
  message_id?: MessageId | null;
  /** A user of the caller's org. */
  user_id?: UserId | null;
}

/** `PATCH /v1/messages/{id}` (the sender). */
export interface EditMessage {
  /** The new text; may be empty when the message has attachments. */
  content: string;
  /** Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of admins, are found in the text. */
  mentions?: MentionRange[] | null;
}

/** Nothing but `{}`. */
export type Empty = Record<string, unknown>;

/** A stable error code: what programs match on. Its doc comment is its entry in `docs/errors.md`. */
export type ErrorCode = "bad_json" | "invalid" | "unknown_command" | "not_authenticated" | "token_expired" | "session_revoked" | "user_disabled" | "invalid_credentials" | "sign_in_disabled" | "forbidden" | "not_a_participant" | "posting_restricted" | "blocked" | "not_found" | "no_such_route" | "method_not_allowed" | "username_taken" | "idempotency_conflict" | "last_owner" | "message_deleted" | "edit_window_passed" | "limit_reached" | "archived" | "wrong_kind" | "too_large" | "unsupported_media_type" | "rate_limited" | "slow_mode" | "overloaded" | "unavailable" | "timeout" | "internal";

/** One field that was refused. */
export interface FieldError {
  /** The field's name, dotted for nested ones and with numbers in lists: `attachments.0.url`. */
  field: string;
  /** What is wrong with it. */
  message: string;
}

/** `POST /v1/auth/guest`. */
export interface GuestRequest {
  /** The wanted name; 409 `username_taken` when in use. */
  username: string;
  /** What to call this device in the list of sessions. */
  device?: string | null;
}

/** Fields of `hello`. */
export interface Hello {
  /** Continue from here. */
  resume?: Resume | null;
  /** Access token, for a socket that was not authenticated at its upgrade. */
  token?: string | null;
}

/** Data of the reply to `hello`. */
export interface HelloReply {
  /** `seq` of the org's last announcement; 0 when there is none. */
  announcement_seq: number;
  /** Where conversations that `cursors` did not name go live from. */
  heads: Record<string, number>;
  /** Markers of the caller, and of all participants of conversations of ≤ 100, in the 200 most recently active conversations; those of the others follow as `receipt.updated`. */
  receipts: Receipt[];
}

/** What of the past a new participant may read. */
export type History = "all" | "since_join";

/** What a connection may do; configurable by the operator. */
export interface Limits {
  /** Commands at once; 0 = unlimited. */
  command_burst: number;
  /** Commands per second and connection, sustained; 0 = unlimited. */
  command_rate: number;
  /** Conversations that one connection follows, the most recent first; 0 = unlimited. */
  connection_conversations: number;
  /** Longest message content, characters. */
  content_chars: number;
  /** One's own messages may be edited within this, seconds; 0 = for ever. */
  edit_window_seconds: number;
  /** Largest inbound frame, bytes. */
  frame_bytes: number;
  /** Most pinned messages in one conversation. */
  pins: number;
  /** Connections of one user on one node; 0 = unlimited. */
  user_connections: number;
}

/** `POST /v1/auth/login`. */
export interface LoginRequest {
  /** The password. */
  password: string;
  /** The name. */
  username: string;
  /** What to call this device in the list of sessions. */
  device?: string | null;
}

/** `POST /v1/auth/logout`: ends the session of the access token, or all of the user's. */
export interface LogoutRequest {
  /** End every session of this user. */
  all?: boolean;
}

/** `POST /v1/conversations/{id}/read` and `…/delivered`; also the body of the commands. */
export interface MarkerRequest {
  /** Up to here; a value past the head means the head. */
  seq: number;
}

/** A range of a message's content that mentions somebody. Clients show the user's present name in its place, so that names can change. */
export interface Mention {
  /** How long it is, in UTF-16 code units. */
  length: number;
  /** Where it begins in `content`, in UTF-16 code units (what JavaScript's strings count), the `@` included. */
  offset: number;
  /** Who is mentioned; null: everybody who takes part (`@all`). */
  user: Sender | null;
}

/** A mention as a sender names it. */
export interface MentionRange {
  /** How long it is, in UTF-16 code units, at least 1. */
  length: number;
  /** Where it begins in `content`, in UTF-16 code units. */
  offset: number;
  /** Who takes part and is mentioned; null: everybody (admins). */
  user_id?: UserId | null;
}

/** A message in its present state. */
export interface Message {
  /** Id. */
  id: MessageId;
  /** Files that go with it; none when deleted. */
  attachments: Attachment[];
  /** Its last change; equal to `seq` when it never changed. */
  changed_seq: number;
  /** What the sender called it. */
  client_id: string | null;
  /** The text; empty when deleted and for system messages. */
  content: string;
  /** Where. */
  conversation_id: ConversationId;
  /** When it was committed. */
  created_at: Timestamp;
  /** When it was deleted: then this is a tombstone. */
  deleted_at: Timestamp | null;
  /** When it was last edited. */
  edited_at: Timestamp | null;
  /** Kind. */
  kind: MessageKind;
  /** Who is mentioned and where, by offset. */
  mentions: Mention[];
  /** Dense count of messages that are not system messages, this one included. */
  number: number;
  /** When it was pinned. */
  pinned_at: Timestamp | null;
  /** Emoji under it, in the order in which each was first used. */
  reactions: Reaction[];
  /** What it replies to. */
  reply_to: Quote | null;
  /** Who sent it; for a system message, who did what it says. */
  sender: Sender;
  /** Its place in the conversation. */
  seq: number;
  /** What changed, for a system message. */
  system: SystemChange | null;
  /** The thread under it. */
  thread: Thread | null;
  /** The message whose thread it is in. */
  thread_root_id: MessageId | null;
}

/** Fields of `message.edit`. */
export interface MessageEdit {
  /** The new text. */
  content: string;
  /** Which. */
  message_id: MessageId;
  /** Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of admins, are found in the text. */
  mentions?: MentionRange[] | null;
}

/** A message. */
export type MessageId = string;

/** Who made a message. */
export type MessageKind = "text" | "system";

/** New messages of one conversation whose every message the user wants to be told of: derived, never stored. */
export interface MessageNotification {
  /** Where. */
  conversation_id: ConversationId;
  /** The newest message. */
  last_message: Message;
  /** How many are not read. */
  unread_count: number;
}

/** How far a message got with one participant. */
export interface MessageReceipt {
  /** How far. */
  state: ReceiptState;
  /** With whom. */
  user: Sender;
}

/** `GET /v1/messages/{id}/receipts`: participants besides the sender who may see the message. */
export interface MessageReceipts {
  /** How many got it, those who read it included. */
  delivered_count: number;
  /** By the time they joined. */
  items: MessageReceipt[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
  /** How many there are. */
  participant_count: number;
  /** How many read it. */
  read_count: number;
}

/** Fields of `message.delete`, `message.pin` and `message.unpin`. */
export interface MessageRef {
  /** Which. */
  message_id: MessageId;
}

/** Fields of `message.send`. */
export interface MessageSend {
  /** 1–64 characters, unique per sender and conversation: a retry with it gets the first message back. */
  client_id: string;
  /** Where. */
  conversation_id: ConversationId;
  /** Files that go with it, at most 10. */
  attachments?: Attachment[];
  /** The text; may be empty when there are attachments. */
  content?: string;
  /** Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of admins, are found in the text. */
  mentions?: MentionRange[] | null;
  /** A message of the same conversation. */
  reply_to_id?: MessageId | null;
  /** The message of the same conversation whose thread this belongs to; itself in no thread. */
  thread_root_id?: MessageId | null;
}

/** What a message said before an edit, in `GET /v1/messages/{id}/edits`. */
export interface MessageVersion {
  /** The text then. */
  content: string;
  /** When it was replaced. */
  replaced_at: Timestamp;
}

/** `GET /v1/messages/{id}/edits`. */
export interface MessageVersions {
  /** Oldest first, the present text not included; empty for a message that was never edited, or was deleted. */
  items: MessageVersion[];
}

/** A stored notification. Also data of `notification.created` and `notification.updated`. */
export interface Notification {
  /** Id. */
  id: NotificationId;
  /** Who did it. */
  actor: Sender;
  /** Where. */
  conversation_id: ConversationId;
  /** When. */
  created_at: Timestamp;
  /** Why. */
  kind: NotificationKind;
  /** Which message. */
  message_id: MessageId;
  /** The message's present text, cut to 200 characters; empty when it was deleted or may not be read any more. */
  preview: string;
  /** When it was read. */
  read_at: Timestamp | null;
  /** Its place in the user's feed when it last changed. */
  user_seq: number;
}

/** A notification to one user. */
export type NotificationId = string;

/** Why somebody is notified. */
export type NotificationKind = "mention" | "reply" | "added";

/** `GET /v1/notifications`. */
export interface NotificationList {
  /** Stored notifications, newest first. */
  items: Notification[];
  /** New messages by conversation, last activity first, at most 50; on the first page alone. */
  messages: MessageNotification[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
  /** Stored notifications that are not read. */
  unread_count: number;
}

/** What a user wants to be told of, everywhere: with a conversation's own settings the stricter of the two counts. */
export interface NotificationPreferences {
  /** Nothing until then. */
  muted_until: Timestamp | null;
  /** What to be told of. */
  notify: Notify;
}

/** `PATCH /v1/me/notification-preferences`: only the named fields change; `null` clears. */
export interface NotificationPreferencesPatch {
  /** Nothing until then, or null. */
  muted_until?: Timestamp | null;
  /** What to be told of. */
  notify?: Notify | null;
}

/** Answer of `POST /v1/notifications/read`. */
export interface NotificationsRead {
  /** How many are still not read. */
  unread_count: number;
}

/** What a participant wants to be told of. */
export type Notify = "all" | "mentions" | "none";

/** A tenant; users of one org never see another's. */
export type OrgId = string;

/** Role of a user in their org. */
export type OrgRole = "member" | "admin";

/** `PATCH /v1/org/users/{id}` (org admins): only the named fields change. */
export interface OrgUserPatch {
  /** Disabled: sockets close with 4504 and tokens are refused. */
  disabled?: boolean | null;
  /** New role in the org. */
  role?: OrgRole | null;
}

/** One page of a REST list. */
export interface PageAuditEntry {
  /** The items, in the order the route documents. */
  items: ({
    /** Id. */
    id: AuditId;
    /** What. */
    action: AuditAction;
    /** Who. */
    actor: Sender;
    /** When. */
    created_at: Timestamp;
    /** More, in a word. */
    details: string | null;
    /** To whom or what: the id of a user, a report, an announcement. */
    target_id: string;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageConversation {
  /** The items, in the order the route documents. */
  items: ({
    /** Id. */
    id: ConversationId;
    /** Set when archived: nothing may be sent. */
    archived_at: Timestamp | null;
    /** Picture, if any. */
    avatar_url: string | null;
    /** When it was made. */
    created_at: Timestamp;
    /** More about it. */
    description: string | null;
    /** What new participants may read. */
    history: History;
    /** Kind. */
    kind: ConversationKind;
    /** When the last message came. */
    last_activity_at: Timestamp;
    /** The newest message, system messages included; null for a viewer who may not read it. */
    last_message: Message | null;
    /** Number of the newest message: `unread_count` is this less `read_number`. */
    last_number: number;
    /** The conversation's head. */
    last_seq: number;
    /** Mentions of the viewer among them. */
    mention_count: number;
    /** Places of the first 100 of these mentions, ascending: to jump to, and to keep the count right from events. */
    mention_seqs: number[];
    /** Muted until then. */
    muted_until: Timestamp | null;
    /** What the viewer wants to be told of. */
    notify: Notify;
    /** The other one in a direct conversation. */
    other: User | null;
    /** The other one's delivered marker; null unless direct. */
    other_delivered_seq: number | null;
    /** Whether the other one is there; null unless direct, and where it is not told (events, a block). */
    other_presence: Presence | null;
    /** The other one's read marker; null unless direct. */
    other_read_seq: number | null;
    /** How many take part. */
    participant_count: number;
    /** When the viewer pinned it to the top of their list. */
    pinned_at: Timestamp | null;
    /** Who may send. */
    posting: Posting;
    /** Number of the last message at or before the read marker. */
    read_number: number;
    /** The viewer's read marker. */
    read_seq: number;
    /** The viewer's role; null when they only look at a public room from outside. */
    role: Role | null;
    /** Seconds between two messages of one member; 0 = no slow mode. Admins are free. */
    slow_mode_seconds: number;
    /** What it is about. */
    subject: Subject | null;
    /** Name; null in a direct conversation. */
    title: string | null;
    /** Messages after the viewer's read marker. */
    unread_count: number;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageMessage {
  /** The items, in the order the route documents. */
  items: ({
    /** Id. */
    id: MessageId;
    /** Files that go with it; none when deleted. */
    attachments: Attachment[];
    /** Its last change; equal to `seq` when it never changed. */
    changed_seq: number;
    /** What the sender called it. */
    client_id: string | null;
    /** The text; empty when deleted and for system messages. */
    content: string;
    /** Where. */
    conversation_id: ConversationId;
    /** When it was committed. */
    created_at: Timestamp;
    /** When it was deleted: then this is a tombstone. */
    deleted_at: Timestamp | null;
    /** When it was last edited. */
    edited_at: Timestamp | null;
    /** Kind. */
    kind: MessageKind;
    /** Who is mentioned and where, by offset. */
    mentions: Mention[];
    /** Dense count of messages that are not system messages, this one included. */
    number: number;
    /** When it was pinned. */
    pinned_at: Timestamp | null;
    /** Emoji under it, in the order in which each was first used. */
    reactions: Reaction[];
    /** What it replies to. */
    reply_to: Quote | null;
    /** Who sent it; for a system message, who did what it says. */
    sender: Sender;
    /** Its place in the conversation. */
    seq: number;
    /** What changed, for a system message. */
    system: SystemChange | null;
    /** The thread under it. */
    thread: Thread | null;
    /** The message whose thread it is in. */
    thread_root_id: MessageId | null;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageParticipant {
  /** The items, in the order the route documents. */
  items: ({
    /** The caller blocked them: hide what they write. */
    blocked: boolean;
    /** Their delivered marker. Not kept above 100 participants. */
    delivered_seq: number;
    /** Since when. */
    joined_at: Timestamp;
    /** Their read marker. */
    read_seq: number;
    /** Role. */
    role: Role;
    /** Who. */
    user: User;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageReactor {
  /** The items, in the order the route documents. */
  items: ({
    /** When. */
    created_at: Timestamp;
    /** With what. */
    emoji: string;
    /** Who. */
    user: Sender;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageReceipt {
  /** The items, in the order the route documents. */
  items: ({
    /** In which conversation. */
    conversation_id: ConversationId;
    /** Everything up to here reached a device of theirs. */
    delivered_seq: number;
    /** Number of the last message at or before `read_seq`. */
    read_number: number;
    /** Everything up to here was read. */
    read_seq: number;
    /** Whose. */
    user_id: UserId;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageReport {
  /** The items, in the order the route documents. */
  items: ({
    /** Id. */
    id: ReportId;
    /** More. */
    comment: string | null;
    /** The message's text when it was reported, so that deleting it destroys no evidence. */
    content: string | null;
    /** Where the message is. */
    conversation_id: ConversationId | null;
    /** When it was made. */
    created_at: Timestamp;
    /** When somebody decided. */
    decided_at: Timestamp | null;
    /** Who decided. */
    decided_by: Sender | null;
    /** The message. */
    message_id: MessageId | null;
    /** Why. */
    reason: ReportReason;
    /** Who reported. */
    reporter: Sender;
    /** How far it is. */
    status: ReportStatus;
    /** Who is reported: the message's sender, or the user. */
    user: Sender;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageSearchHit {
  /** The items, in the order the route documents. */
  items: ({
    /** The message, in its present state. */
    message: Message;
    /** The part of its content around what was found; the parts put together are plain text. */
    snippet: SnippetPart[];
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageSession {
  /** The items, in the order the route documents. */
  items: ({
    /** Id. */
    id: SessionId;
    /** When it signed in. */
    created_at: Timestamp;
    /** The session of this very request. */
    current: boolean;
    /** What the device called itself. */
    device: string | null;
    /** When its refresh token ends. */
    expires_at: Timestamp;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One page of a REST list. */
export interface PageUser {
  /** The items, in the order the route documents. */
  items: ({
    /** Id. */
    id: UserId;
    /** Picture, if any. */
    avatar_url: string | null;
    /** When the user was created. */
    created_at: Timestamp;
    /** Set when an admin has disabled the user. */
    disabled_at: Timestamp | null;
    /** What to show. */
    display_name: string;
    /** Signed in with a name alone. */
    guest: boolean;
    /** The tenant. */
    org_id: OrgId;
    /** Role in the org. */
    role: OrgRole;
    /** A line about themselves. */
    status_text: string | null;
    /** Unique in the org, whatever the case of its letters. */
    username: string;
  })[];
  /** Opaque cursor of the next page; null at the end. */
  next_cursor: string | null;
}

/** One participant. */
export interface Participant {
  /** The caller blocked them: hide what they write. */
  blocked: boolean;
  /** Their delivered marker. Not kept above 100 participants. */
  delivered_seq: number;
  /** Since when. */
  joined_at: Timestamp;
  /** Their read marker. */
  read_seq: number;
  /** Role. */
  role: Role;
  /** Who. */
  user: User;
}

/** `PATCH /v1/conversations/{id}/participants/{user_id}` (owners). */
export interface ParticipantPatch {
  /** New role. Making somebody owner leaves the caller an owner too. */
  role: Role;
}

/** Somebody's id and what they see of themselves in a change of membership. */
export interface ParticipantRemoved {
  /** Which conversation is no longer theirs. */
  conversation_id: ConversationId;
  /** Who: the receiver. */
  user_id: UserId;
}

/** Who may send. */
export type Posting = "everyone" | "admins";

/** A participant's own settings. Also data of `preferences.updated`. */
export interface Preferences {
  /** Where. */
  conversation_id: ConversationId;
  /** Nothing is told, and the total of unread messages leaves it out, until then. */
  muted_until: Timestamp | null;
  /** What to be told of. */
  notify: Notify;
  /** When the user pinned it to the top of their list. */
  pinned_at: Timestamp | null;
}

/** `PATCH /v1/conversations/{id}/preferences`: only the named fields change; `null` clears. */
export interface PreferencesPatch {
  /** Muted until then, or null. A moment that has passed mutes nothing. */
  muted_until?: Timestamp | null;
  /** What to be told of. */
  notify?: Notify | null;
  /** At the top of one's list. */
  pinned?: boolean | null;
}

/** One user's presence. Also data of `presence.updated`. */
export interface Presence {
  /** When they were last connected; null while they are there, and when it is not known. */
  last_seen_at: Timestamp | null;
  /** Whether they are there. */
  state: PresenceState;
  /** Who. */
  user_id: UserId;
}

/** Answer of `presence.watch` and of `GET /v1/presence`. */
export interface PresenceList {
  /** Of each of them whom the caller shares a conversation with. */
  items: Presence[];
}

/** Fields of `presence.set`: for this connection, until it ends or says otherwise. */
export interface PresenceSet {
  /** In use or not. */
  state: Activity;
  /** The conversation on the screen: its messages make no notifications. Null: none. */
  focus?: ConversationId | null;
}

/** Whether somebody is there; the most active of their connections counts. */
export type PresenceState = "offline" | "away" | "online";

/** Fields of `presence.watch` and `presence.unwatch`. */
export interface PresenceWatch {
  /** Whom, at most 500 for one connection. */
  user_ids: UserId[];
}

/** REST error body, `application/problem+json` (RFC 9457). */
export interface Problem {
  /** `about:blank`: the code says more than a URL would. */
  type: string;
  /** Stable code. */
  code: ErrorCode;
  /** One sentence for a person. */
  detail: string;
  /** The HTTP status. */
  status: number;
  /** The status' name. */
  title: string;
  /** The fields that were refused. */
  errors?: FieldError[];
  /** The request's id, as in the header `x-request-id` and in the log. */
  request_id?: string | null;
  /** When to try again, milliseconds; the header `Retry-After` has it in seconds. */
  retry_after_ms?: number | null;
}

/** `PATCH /v1/me`: only the named fields change; `null` clears where a field may be absent. */
export interface ProfilePatch {
  /** New picture (`https://…` or `http://…`, ≤ 2,000 characters), or null. */
  avatar_url?: string | null;
  /** New display name, 1–120 characters. */
  display_name?: string | null;
  /** New status text, ≤ 120 characters, or null. */
  status_text?: string | null;
}

/** The message that a message replies to, in its present state. */
export interface Quote {
  /** Id. */
  id: MessageId;
  /** Its text, cut to 200 characters; empty when deleted, and always where `history` is `since_join`: it may be from before its reader came. There a client shows the text that it has of the message. */
  content: string;
  /** Set when it was deleted. */
  deleted_at: Timestamp | null;
  /** Who wrote it. */
  sender: Sender;
  /** Its place. */
  seq: number;
}

/** One emoji under a message. */
export interface Reaction {
  /** How many reacted with it. */
  count: number;
  /** The emoji, fully qualified. */
  emoji: string;
  /** The first 50 of them, in order. */
  user_ids: UserId[];
  /** Whether the reader is among them; only in answers to one reader, never in events. */
  mine?: boolean | null;
}

/** Which reaction came or went. */
export interface ReactionChange {
  /** Which. */
  emoji: string;
  /** Whose. */
  user_id: UserId;
}

/** Fields of `reaction.add` and `reaction.remove`. */
export interface ReactionCommand {
  /** One emoji. */
  emoji: string;
  /** To which message. */
  message_id: MessageId;
}

/** Data of `reaction.added` and `reaction.removed`: the message in its present state, and what changed. */
export type ReactionEvent = Message & {
  /** What changed. */
  reaction: ReactionChange;
};

/** Somebody who reacted, in `GET /v1/messages/{id}/reactions`. */
export interface Reactor {
  /** When. */
  created_at: Timestamp;
  /** With what. */
  emoji: string;
  /** Who. */
  user: Sender;
}

/** `POST /v1/announcements/read`. */
export interface ReadAnnouncements {
  /** Up to here; a value past the last one means the last one. Never goes back. */
  seq: number;
}

/** One marker of `POST /v1/read`. */
export interface ReadItem {
  /** Where. */
  conversation_id: ConversationId;
  /** Up to here; a value past the head means the head. */
  seq: number;
}

/** `POST /v1/notifications/read`: some, or all when `ids` is absent. */
export interface ReadNotifications {
  /** Which, 1–100; absent: all. */
  ids?: NotificationId[] | null;
}

/** A participant's markers. */
export interface Receipt {
  /** In which conversation. */
  conversation_id: ConversationId;
  /** Everything up to here reached a device of theirs. */
  delivered_seq: number;
  /** Number of the last message at or before `read_seq`. */
  read_number: number;
  /** Everything up to here was read. */
  read_seq: number;
  /** Whose. */
  user_id: UserId;
}

/** Fields of `receipt.read` and `receipt.delivered`. */
export interface ReceiptMark {
  /** Where. */
  conversation_id: ConversationId;
  /** Up to here; a value past the head means the head. */
  seq: number;
}

/** How far a message got with one participant: ✓, ✓✓, blue ✓✓. */
export type ReceiptState = "sent" | "delivered" | "read";

/** Data of `reconnect`. */
export interface Reconnect {
  /** When to move, milliseconds from now. */
  after_ms: number;
}

/** `POST /v1/auth/refresh`. A refresh token is used once; using it again revokes its session. */
export interface RefreshRequest {
  /** The token that the last sign-in or refresh gave. */
  refresh_token: string;
}

/** `POST /v1/auth/register`. */
export interface RegisterRequest {
  /** 8–256 characters. */
  password: string;
  /** The wanted name. */
  username: string;
  /** What to call this device in the list of sessions. */
  device?: string | null;
  /** What to show; the username when absent. */
  display_name?: string | null;
}

/** `error` in a WebSocket reply. */
export interface ReplyError {
  /** Stable code. */
  code: ErrorCode;
  /** One sentence for a person. */
  message: string;
  /** The fields that were refused. */
  errors?: FieldError[];
  /** When to try again, milliseconds. */
  retry_after_ms?: number | null;
}

/** A report. */
export interface Report {
  /** Id. */
  id: ReportId;
  /** More. */
  comment: string | null;
  /** The message's text when it was reported, so that deleting it destroys no evidence. */
  content: string | null;
  /** Where the message is. */
  conversation_id: ConversationId | null;
  /** When it was made. */
  created_at: Timestamp;
  /** When somebody decided. */
  decided_at: Timestamp | null;
  /** Who decided. */
  decided_by: Sender | null;
  /** The message. */
  message_id: MessageId | null;
  /** Why. */
  reason: ReportReason;
  /** Who reported. */
  reporter: Sender;
  /** How far it is. */
  status: ReportStatus;
  /** Who is reported: the message's sender, or the user. */
  user: Sender;
}

/** A report of a message or a user. */
export type ReportId = string;

/** `PATCH /v1/org/reports/{id}` (org admins). */
export interface ReportPatch {
  /** What was decided. */
  status: ReportStatus;
}

/** Why something is reported. */
export type ReportReason = "spam" | "abuse" | "inappropriate" | "other";

/** How far a report is. */
export type ReportStatus = "open" | "resolved" | "dismissed";

/** Where a client stands; see `hello`. */
export interface Resume {
  /** The epoch in which the cursors were taken. */
  epoch: string;
  /** Cursor of the user's feed. */
  user_seq: number;
  /** `seq` of the last announcement that the client has: later ones are sent. Absent: none is. */
  announcement_seq?: number | null;
  /** Cursor per conversation, at most 1,000; 0 = from the beginning. */
  cursors?: Record<string, number>;
}

/** Data of `resync_required`; without a conversation, everything. */
export interface Resync {
  /** Which conversation; null: all, and the user's feed. */
  conversation_id: ConversationId | null;
  /** Why. */
  reason: ResyncReason;
}

/** Why a client must fetch by REST instead. */
export type ResyncReason = "epoch_changed" | "cursor_ahead" | "bad_cursor" | "too_far_behind";

/** Role of a participant. */
export type Role = "member" | "admin" | "owner";

/** A message that was found. */
export interface SearchHit {
  /** The message, in its present state. */
  message: Message;
  /** The part of its content around what was found; the parts put together are plain text. */
  snippet: SnippetPart[];
}

/** `POST /v1/conversations/{id}/messages`, and the body of the command `message.send`. */
export interface SendMessage {
  /** Files that go with it, at most 10. */
  attachments?: Attachment[];
  /** 1–64 characters, unique per sender and conversation: a retry with it gets the first message back. */
  client_id?: string | null;
  /** The text, 1–4,000 characters; may be empty when there are attachments. */
  content?: string;
  /** Who is mentioned and where, at most 50, not overlapping. Absent: `@username` of participants, and `@all` of admins, are found in the text. */
  mentions?: MentionRange[] | null;
  /** A message of the same conversation. */
  reply_to_id?: MessageId | null;
  /** The message of the same conversation whose thread this belongs to; itself in no thread. */
  thread_root_id?: MessageId | null;
}

/** The part of a user that goes with each message. */
export interface Sender {
  /** Id. */
  id: UserId;
  /** Picture, if any. */
  avatar_url: string | null;
  /** What to show. */
  display_name: string;
  /** Unique in the org. */
  username: string;
}

/** One login of the caller. */
export interface Session {
  /** Id. */
  id: SessionId;
  /** When it signed in. */
  created_at: Timestamp;
  /** The session of this very request. */
  current: boolean;
  /** What the device called itself. */
  device: string | null;
  /** When its refresh token ends. */
  expires_at: Timestamp;
}

/** A login that outlives sockets. */
export type SessionId = string;

/** Data of `session.revoked`. */
export interface SessionRevoked {
  /** Which; null: all of the user's. */
  session_id: SessionId | null;
}

/** A part of a snippet. */
export interface SnippetPart {
  /** It is what was looked for: show it highlighted. */
  highlighted: boolean;
  /** The text. */
  text: string;
}

/** What a conversation is about: a listing, a booking. */
export interface Subject {
  /** The app's id, ≤ 120 characters. */
  id: string;
  /** The app's word for the kind of thing, ≤ 64 characters. */
  type: string;
  /** What to show, ≤ 120 characters. */
  title: string;
  /** Where it leads (`https://…` or `http://…`, ≤ 2,000 characters). */
  url?: string | null;
}

/** What a system message says. */
export type SystemChange = {
  type: "conversation.created";
  /** The first participants. */
  users: Sender[];
} | {
  type: "conversation.updated";
  /** The new values of what changed. */
  changes: ConversationPatch;
} | {
  type: "conversation.archived";
} | {
  type: "conversation.unarchived";
} | {
  type: "conversation.deleted";
} | {
  type: "participant.added";
  /** Who. */
  users: Sender[];
} | {
  type: "participant.removed";
  /** Who. */
  user: Sender;
} | {
  type: "participant.updated";
  /** Their new role. */
  role: Role;
  /** Who. */
  user: Sender;
};

/** The thread under a message. Derived: it changes with the replies' own events and takes no seq. */
export interface Thread {
  /** Who wrote the last ones, the latest first, each once, at most three. */
  last_repliers: Sender[];
  /** When the last one came. */
  last_reply_at: Timestamp;
  /** The last one's place. A client adds what it knows of replies with a greater seq, in whatever order they came. */
  last_reply_seq: number;
  /** Replies, deleted ones included (as in `number`). */
  reply_count: number;
}

/** `GET /v1/messages/{id}/thread`. */
export interface ThreadPage {
  /** Replies, ascending by seq. */
  items: Message[];
  /** The seq to go on after; null at the end. */
  next_cursor: string | null;
  /** The message that the thread hangs under. */
  root: Message;
}

/** Answer of `POST /v1/tickets`. */
export interface Ticket {
  /** Seconds that it lives. */
  expires_in: number;
  /** Pass it as `?ticket=`. One for `ws` works once. */
  ticket: string;
}

/** What a ticket opens. */
export type TicketPurpose = "ws" | "events";

/** `POST /v1/tickets`. */
export interface TicketRequest {
  /** What for. */
  for?: TicketPurpose;
}

/** A moment, cut to milliseconds so that what a client is told once is what it reads back later. */
export type Timestamp = string;

/** Answer of every route that signs somebody in. */
export interface TokenResponse {
  /** Bearer token (JWT). */
  access_token: string;
  /** Seconds until the access token expires. */
  expires_in: number;
  /** Single use; see `POST /v1/auth/refresh`. */
  refresh_token: string;
  /** Always `Bearer`. */
  token_type: string;
  /** Who signed in. */
  user: User;
}

/** Data of `typing`. */
export interface Typing {
  /** Forget it after so long without another one, milliseconds; 0 when stopped. */
  expires_in_ms: number;
  /** Typing, or stopped. */
  typing: boolean;
  /** Who. */
  user: Sender;
}

/** Fields of `typing.start` and `typing.stop`. */
export interface TypingCommand {
  /** Where. */
  conversation_id: ConversationId;
}

/** `POST /v1/conversations/{id}/typing`. */
export interface TypingRequest {
  /** Typing (again), or stopped. */
  typing: boolean;
}

/** `GET /v1/unread`: the badges. */
export interface Unread {
  /** Announcements after the caller's marker. */
  announcement_count: number;
  /** Conversations that have such messages. */
  conversation_count: number;
  /** Mentions after the read markers, muted conversations included. */
  mention_count: number;
  /** Notifications that are not read. */
  notification_count: number;
  /** Messages after the read markers, muted conversations left out. */
  unread_count: number;
}

/** A user as others of the org see them. */
export interface User {
  /** Id. */
  id: UserId;
  /** Picture, if any. */
  avatar_url: string | null;
  /** When the user was created. */
  created_at: Timestamp;
  /** Set when an admin has disabled the user. */
  disabled_at: Timestamp | null;
  /** What to show. */
  display_name: string;
  /** Signed in with a name alone. */
  guest: boolean;
  /** The tenant. */
  org_id: OrgId;
  /** Role in the org. */
  role: OrgRole;
  /** A line about themselves. */
  status_text: string | null;
  /** Unique in the org, whatever the case of its letters. */
  username: string;
}

/** Data of `user.blocked` and `user.unblocked`: tells one's own other devices. */
export interface UserBlocked {
  /** Who is (no longer) blocked. */
  user_id: UserId;
}

/** A person or bot. */
export type UserId = string;

/** News for everybody of the org, dense by `seq` in its data. */
export type AnnouncementEvent = {
  type: "announcement";
  data: Announcement;
};

/** The receiver read announcements, on another device maybe. Ephemeral. */
export type AnnouncementsReadEvent = {
  type: "announcements.read";
  data: AnnouncementsRead;
};

/** Replace the connection's access token before it ends. */
export type AuthRenewCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "auth.renew";
} & AuthRenew;

/** What was missed, on resume: moves the conversation's cursor from `from` to `to` in one step. */
export type ChangesFrame = Changes;

/** Everything after a cursor, for a client that found a gap. Ask again from `to` while `more`. */
export type ChangesGetCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "changes.get";
} & ChangesGet;

/** First on every connection. */
export type ConnectedEvent = {
  type: "connected";
  data: Connected;
};

/** A conversation is now the receiver's: made with them, joined, or they were added to it. */
export type ConversationCreatedEvent = {
  type: "conversation.created";
  conversation_id: ConversationId;
  data: Conversation;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** The server is alive; needs no answer. */
export type HeartbeatEvent = {
  type: "heartbeat";
  data: Empty;
  /** The change's place in the user's feed, dense. */
  user_seq?: number;
};

/** Authenticate, or resume: what was missed comes before the reply. */
export type HelloCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "hello";
} & Hello;

/** A message was sent, or the conversation itself says what changed about it (`kind` is `system`). */
export type MessageCreatedEvent = {
  type: "message.created";
  conversation_id: ConversationId;
  data: Message;
  /** The change's place in the conversation, dense. */
  seq: number;
};

/** Delete one's own message, or any as an admin of the conversation. */
export type MessageDeleteCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "message.delete";
} & MessageRef;

/** A message was deleted: what is left of it. */
export type MessageDeletedEvent = {
  type: "message.deleted";
  conversation_id: ConversationId;
  data: Message;
  /** The change's place in the conversation, dense. */
  seq: number;
};

/** Edit one's own message. */
export type MessageEditCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "message.edit";
} & MessageEdit;

/** Pin a message (admins; in a direct conversation both). */
export type MessagePinCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "message.pin";
} & MessageRef;

/** Send a message. Answered when it is committed; a retry with the same `client_id` gets the first message back. */
export type MessageSendCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "message.send";
} & MessageSend;

/** Unpin it. */
export type MessageUnpinCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "message.unpin";
} & MessageRef;

/** A message was edited, pinned or unpinned: its present state. */
export type MessageUpdatedEvent = {
  type: "message.updated";
  conversation_id: ConversationId;
  data: Message;
  /** The change's place in the conversation, dense. */
  seq: number;
};

/** The receiver is notified. */
export type NotificationCreatedEvent = {
  type: "notification.created";
  conversation_id: ConversationId;
  data: Notification;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** A notification was read. */
export type NotificationUpdatedEvent = {
  type: "notification.updated";
  conversation_id: ConversationId;
  data: Notification;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** The receiver's settings for all conversations changed. */
export type NotificationPreferencesUpdatedEvent = {
  type: "notification_preferences.updated";
  data: NotificationPreferences;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** A conversation is no longer the receiver's. */
export type ParticipantRemovedEvent = {
  type: "participant.removed";
  conversation_id: ConversationId;
  data: ParticipantRemoved;
  /** The change's place in the user's feed, dense. */
  user_seq?: number;
};

/** Answered at once. */
export type PingCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "ping";
} & Empty;

/** The receiver's own settings of a conversation changed. */
export type PreferencesUpdatedEvent = {
  type: "preferences.updated";
  conversation_id: ConversationId;
  data: Preferences;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** Say for this connection whether it is in use, and which conversation is on the screen. The most active connection of a user counts. */
export type PresenceSetCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "presence.set";
} & PresenceSet;

/** Be told of it no longer. */
export type PresenceUnwatchCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "presence.unwatch";
} & PresenceWatch;

/** A watched user came, went or is away; at most one per user and 5 s. Ephemeral. */
export type PresenceUpdatedEvent = {
  type: "presence.updated";
  data: Presence;
};

/** Be told of these users' presence, as far as one may see it; the reply tells it as of now. At most 500 for one connection. */
export type PresenceWatchCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "presence.watch";
} & PresenceWatch;

/** React to a message; at most 20 distinct emoji under one. */
export type ReactionAddCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "reaction.add";
} & ReactionCommand;

/** Somebody reacted: the message, and what changed. */
export type ReactionAddedEvent = {
  type: "reaction.added";
  conversation_id: ConversationId;
  data: ReactionEvent;
  /** The change's place in the conversation, dense. */
  seq: number;
};

/** Take a reaction back. */
export type ReactionRemoveCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "reaction.remove";
} & ReactionCommand;

/** Somebody took a reaction back: the message, and what changed. */
export type ReactionRemovedEvent = {
  type: "reaction.removed";
  conversation_id: ConversationId;
  data: ReactionEvent;
  /** The change's place in the conversation, dense. */
  seq: number;
};

/** Move one's delivered marker forward. Not kept above 100 participants. */
export type ReceiptDeliveredCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "receipt.delivered";
} & ReceiptMark;

/** Move one's read marker forward, and the delivered marker with it. */
export type ReceiptReadCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "receipt.read";
} & ReceiptMark;

/** Somebody's markers moved; above 100 participants only one's own are told. Ephemeral. */
export type ReceiptUpdatedEvent = {
  type: "receipt.updated";
  conversation_id: ConversationId;
  data: Receipt;
};

/** The server asks the client to move, at the moment it picked for it. */
export type ReconnectEvent = {
  type: "reconnect";
  data: Reconnect;
};

/** The client is too far behind, or its cursor is not of this history: fetch by REST. */
export type ResyncRequiredEvent = {
  type: "resync_required";
  data: Resync;
  conversation_id?: ConversationId;
};

/** A session of the receiver ended; its connections close. */
export type SessionRevokedEvent = {
  type: "session.revoked";
  data: SessionRevoked;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** Somebody is typing, or stopped. Ephemeral. */
export type TypingEvent = {
  type: "typing";
  conversation_id: ConversationId;
  data: Typing;
};

/** Say that one is typing, every 3 s while it is so. Others forget it after 5 s. */
export type TypingStartCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "typing.start";
} & TypingCommand;

/** Say that one stopped. */
export type TypingStopCommand = {
  /** Comes back in the reply. */
  ref?: string;
  type: "typing.stop";
} & TypingCommand;

/** The receiver blocked somebody, on another device maybe. */
export type UserBlockedEvent = {
  type: "user.blocked";
  data: UserBlocked;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** The receiver unblocked somebody. */
export type UserUnblockedEvent = {
  type: "user.unblocked";
  data: UserBlocked;
  /** The change's place in the user's feed, dense. */
  user_seq: number;
};

/** The profile of a watched user, or the receiver's own, changed. Ephemeral. */
export type UserUpdatedEvent = {
  type: "user.updated";
  data: User;
};

/** What a client sends. */
export type ClientCommand =
  | AuthRenewCommand
  | ChangesGetCommand
  | HelloCommand
  | MessageDeleteCommand
  | MessageEditCommand
  | MessagePinCommand
  | MessageSendCommand
  | MessageUnpinCommand
  | PingCommand
  | PresenceSetCommand
  | PresenceUnwatchCommand
  | PresenceWatchCommand
  | ReactionAddCommand
  | ReactionRemoveCommand
  | ReceiptDeliveredCommand
  | ReceiptReadCommand
  | TypingStartCommand
  | TypingStopCommand;

/** What the reply to each command has in `data`. */
export interface CommandReplies {
  "auth.renew": AuthRenewed;
  "changes.get": Changes;
  "hello": HelloReply;
  "message.delete": Message;
  "message.edit": Message;
  "message.pin": Message;
  "message.send": Message;
  "message.unpin": Message;
  "ping": Empty;
  "presence.set": Empty;
  "presence.unwatch": Empty;
  "presence.watch": PresenceList;
  "reaction.add": Message;
  "reaction.remove": Message;
  "receipt.delivered": Receipt;
  "receipt.read": Receipt;
  "typing.start": Empty;
  "typing.stop": Empty;
}

/** The answer to a command: done. */
export interface ReplyDone<T = unknown> {
  type: "reply";
  ref: string | null;
  ok: true;
  data: T;
}

/** The answer to a command: refused. */
export interface ReplyRefused {
  type: "reply";
  ref: string | null;
  ok: false;
  error: ReplyError;
}

/** The answer to a command. */
export type ReplyFrame<T = unknown> = ReplyDone<T> | ReplyRefused;

/** What the server pushes. */
export type ServerEvent =
  | ChangesFrame
  | AnnouncementEvent
  | AnnouncementsReadEvent
  | ConnectedEvent
  | ConversationCreatedEvent
  | HeartbeatEvent
  | MessageCreatedEvent
  | MessageDeletedEvent
  | MessageUpdatedEvent
  | NotificationCreatedEvent
  | NotificationUpdatedEvent
  | NotificationPreferencesUpdatedEvent
  | ParticipantRemovedEvent
  | PreferencesUpdatedEvent
  | PresenceUpdatedEvent
  | ReactionAddedEvent
  | ReactionRemovedEvent
  | ReceiptUpdatedEvent
  | ReconnectEvent
  | ResyncRequiredEvent
  | SessionRevokedEvent
  | TypingEvent
  | UserBlockedEvent
  | UserUnblockedEvent
  | UserUpdatedEvent;

/** What a client gets. */
export type ServerFrame = ServerEvent | ReplyFrame;

/** The server's close codes: 4000–4499 reconnect and resume, 4500–4999 stop. */
export type CloseCode = 4000 | 4001 | 4002 | 4003 | 4008 | 4500 | 4501 | 4502 | 4503 | 4504 | 1009 | 1011;

/** What each REST operation takes and gives. */
export interface Operations {
  /** Add people (admins). */
  add_participants: {
    method: "POST";
    path: "/v1/conversations/{id}/participants";
    params: {
      /** Where. */
      id: ConversationId;
    };
    body: AddParticipants;
    response: Conversation;
  };
  /** React to a message. At most 20 distinct emoji under one message. */
  add_reaction: {
    method: "PUT";
    path: "/v1/messages/{id}/reactions/{emoji}";
    params: {
      /** Which. */
      id: MessageId;
      /** One emoji, percent-encoded. */
      emoji: string;
    };
    response: Message;
  };
  /** Block a user: they can open no direct conversation with one, nor notify one. */
  block_user: {
    method: "PUT";
    path: "/v1/users/{id}/block";
    params: {
      /** Whom. */
      id: UserId;
    };
    response: undefined;
  };
  /** Announce something to everybody of the org (org admins). */
  create_announcement: {
    method: "POST";
    path: "/v1/announcements";
    body: CreateAnnouncement;
    response: Announcement;
  };
  /** Make a conversation. A direct one is found when the two have it already. */
  create_conversation: {
    method: "POST";
    path: "/v1/conversations";
    body: CreateConversation;
    response: Conversation;
  };
  /** Report a message or a user to the admins of the org. */
  create_report: {
    method: "POST";
    path: "/v1/reports";
    body: CreateReport;
    response: Report;
  };
  /** Decide a report, or open it again (org admins). */
  decide_report: {
    method: "PATCH";
    path: "/v1/org/reports/{id}";
    params: {
      /** Which. */
      id: ReportId;
    };
    body: ReportPatch;
    response: Report;
  };
  /** Close a conversation for all (owners). */
  delete_conversation: {
    method: "DELETE";
    path: "/v1/conversations/{id}";
    params: {
      /** Which. */
      id: ConversationId;
    };
    response: undefined;
  };
  /** Delete one's own message, or any as an admin of the conversation; deleting twice is fine. */
  delete_message: {
    method: "DELETE";
    path: "/v1/messages/{id}";
    params: {
      /** Which. */
      id: MessageId;
    };
    response: Message;
  };
  /** Edit one's own message. */
  edit_message: {
    method: "PATCH";
    path: "/v1/messages/{id}";
    params: {
      /** Which. */
      id: MessageId;
    };
    body: EditMessage;
    response: Message;
  };
  /** The document of the socket `GET /v1/ws`. */
  get_asyncapi: {
    method: "GET";
    path: "/v1/asyncapi.json";
    response: Record<string, unknown>;
  };
  /** One conversation. */
  get_conversation: {
    method: "GET";
    path: "/v1/conversations/{id}";
    params: {
      /** Which. */
      id: ConversationId;
    };
    response: Conversation;
  };
  /** Both documents as a page for people. Needs nothing from elsewhere. */
  get_docs: {
    method: "GET";
    path: "/v1/docs";
    response: string;
  };
  /** Oneself. */
  get_me: {
    method: "GET";
    path: "/v1/me";
    response: User;
  };
  /** One message. */
  get_message: {
    method: "GET";
    path: "/v1/messages/{id}";
    params: {
      /** Which. */
      id: MessageId;
    };
    response: Message;
  };
  /** What one wants to be told of, in all conversations. */
  get_notification_preferences: {
    method: "GET";
    path: "/v1/me/notification-preferences";
    response: NotificationPreferences;
  };
  /** This document. */
  get_openapi: {
    method: "GET";
    path: "/v1/openapi.json";
    response: Record<string, unknown>;
  };
  /** One participant. */
  get_participant: {
    method: "GET";
    path: "/v1/conversations/{id}/participants/{user_id}";
    params: {
      /** Where. */
      id: ConversationId;
      /** Who. */
      user_id: UserId;
    };
    response: Participant;
  };
  /** One user's presence: of people that one shares a conversation with. */
  get_presence: {
    method: "GET";
    path: "/v1/users/{id}/presence";
    params: {
      /** Who. */
      id: UserId;
    };
    response: Presence;
  };
  /** A thread: the message that it hangs under, and its replies, ascending. */
  get_thread: {
    method: "GET";
    path: "/v1/messages/{id}/thread";
    params: {
      /** The thread's root. */
      id: MessageId;
    };
    query?: {
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: ThreadPage;
  };
  /** The badges: how much is not read. Takes `If-None-Match`. */
  get_unread: {
    method: "GET";
    path: "/v1/unread";
    response: Unread;
  };
  /** One user. */
  get_user: {
    method: "GET";
    path: "/v1/users/{id}";
    params: {
      /** Who. */
      id: UserId;
    };
    response: User;
  };
  /** A ticket, for browsers: one that opens one socket within 30 s (`GET /v1/ws?ticket=…`), or one for events that is good until the token that bought it ends (`GET /v1/events?ticket=…`). The body may be absent. */
  issue_ticket: {
    method: "POST";
    path: "/v1/tickets";
    body?: TicketRequest | null;
    response: Ticket;
  };
  /** Join a public conversation; joining twice is fine. */
  join_conversation: {
    method: "POST";
    path: "/v1/conversations/{id}/join";
    params: {
      /** Which. */
      id: ConversationId;
    };
    response: Conversation;
  };
  /** Leave a conversation. The last owner hands it over first, unless nobody else is left. */
  leave_conversation: {
    method: "POST";
    path: "/v1/conversations/{id}/leave";
    params: {
      /** Which. */
      id: ConversationId;
    };
    response: undefined;
  };
  /** Announcements, newest first, and how far one has read. */
  list_announcements: {
    method: "GET";
    path: "/v1/announcements";
    query?: {
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: AnnouncementList;
  };
  /** What admins of the org did, newest first (org admins). */
  list_audit: {
    method: "GET";
    path: "/v1/org/audit";
    query?: {
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageAuditEntry;
  };
  /** Whom one has blocked, the last first. */
  list_blocks: {
    method: "GET";
    path: "/v1/me/blocks";
    query?: {
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageUser;
  };
  /** What changed after a seq: each changed message once, in its present state. */
  list_changes: {
    method: "GET";
    path: "/v1/conversations/{id}/changes";
    params: {
      /** Where. */
      id: ConversationId;
    };
    query?: {
      /** Everything after this seq; from the beginning when absent. */
      after?: number;
      /** 1–500; 500 when absent. */
      limit?: number;
    };
    response: Changes;
  };
  /** One's own conversations, last activity first. Takes `If-None-Match`. */
  list_conversations: {
    method: "GET";
    path: "/v1/conversations";
    query?: {
      /** Of this kind. */
      kind?: "direct" | "group" | "public";
      /** With messages that are not read (true), or without. */
      unread?: boolean;
      /** Archived ones (true), or the others; all when absent. */
      archived?: boolean;
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageConversation;
  };
  /** What a message said before each of its edits, oldest first. */
  list_edits: {
    method: "GET";
    path: "/v1/messages/{id}/edits";
    params: {
      /** Which. */
      id: MessageId;
    };
    response: MessageVersions;
  };
  /** A page of history, ascending by seq. `next_cursor` is the seq to go on with in the same direction. */
  list_messages: {
    method: "GET";
    path: "/v1/conversations/{id}/messages";
    params: {
      /** Where. */
      id: ConversationId;
    };
    query?: {
      /** Messages with a smaller seq, the nearest ones. */
      before?: number;
      /** Messages with a greater seq, the nearest ones. */
      after?: number;
      /** Messages on both sides of a seq, it included. */
      around?: number;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageMessage;
  };
  /** One's own notifications, newest first; on the first page also conversations with new messages. */
  list_notifications: {
    method: "GET";
    path: "/v1/notifications";
    query?: {
      /** Only those that are not read. */
      unread?: boolean;
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: NotificationList;
  };
  /** Users of the org, disabled ones too (org admins). */
  list_org_users: {
    method: "GET";
    path: "/v1/org/users";
    query?: {
      /** Beginning of the username or display name; everybody when absent. */
      query?: string;
      /** Disabled ones (true), or the others. */
      disabled?: boolean;
      /** Of this role. */
      role?: "member" | "admin";
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageUser;
  };
  /** Participants by the time they joined: all, or those whose username or display name begins with `query`, in any case. */
  list_participants: {
    method: "GET";
    path: "/v1/conversations/{id}/participants";
    params: {
      /** Where. */
      id: ConversationId;
    };
    query?: {
      /** What to look for; everything when absent. */
      query?: string;
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageParticipant;
  };
  /** Pinned messages, the last pinned first. */
  list_pins: {
    method: "GET";
    path: "/v1/conversations/{id}/pins";
    params: {
      /** Where. */
      id: ConversationId;
    };
    response: PageMessage;
  };
  /** The presence of users; of those that one may not see nothing is told. */
  list_presence: {
    method: "GET";
    path: "/v1/presence";
    query?: {
      /** Users, separated by commas, at most 500. Absent: who is there now among the people that one shares a conversation with, at most 500. */
      ids?: UserId[];
    };
    response: PresenceList;
  };
  /** The lobby: public conversations whose title contains `query`, last activity first. */
  list_public_conversations: {
    method: "GET";
    path: "/v1/conversations/public";
    query?: {
      /** What to look for; everything when absent. */
      query?: string;
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageConversation;
  };
  /** Who reacted, in the order of time. */
  list_reactions: {
    method: "GET";
    path: "/v1/messages/{id}/reactions";
    params: {
      /** Which. */
      id: MessageId;
    };
    query?: {
      /** With this emoji; with any when absent. */
      emoji?: string;
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageReactor;
  };
  /** Who got and who read a message, by the time they joined. */
  list_receipts: {
    method: "GET";
    path: "/v1/messages/{id}/receipts";
    params: {
      /** Which. */
      id: MessageId;
    };
    query?: {
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: MessageReceipts;
  };
  /** Reports, newest first (org admins). */
  list_reports: {
    method: "GET";
    path: "/v1/org/reports";
    query?: {
      /** As far as this. */
      status?: "open" | "resolved" | "dismissed";
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageReport;
  };
  /** One's own sessions, newest first. */
  list_sessions: {
    method: "GET";
    path: "/v1/auth/sessions";
    response: PageSession;
  };
  /** Sign in with a password. */
  login: {
    method: "POST";
    path: "/v1/auth/login";
    body: LoginRequest;
    response: TokenResponse;
  };
  /** End this session, or all of one's own. The body may be absent. */
  logout: {
    method: "POST";
    path: "/v1/auth/logout";
    body?: LogoutRequest | null;
    response: undefined;
  };
  /** Move one's delivered marker forward. Not kept above 100 participants. */
  mark_delivered: {
    method: "POST";
    path: "/v1/conversations/{id}/delivered";
    params: {
      /** Where. */
      id: ConversationId;
    };
    body: MarkerRequest;
    response: Receipt;
  };
  /** Move one's read markers forward in many conversations at once. Those that one does not take part in are left out of the answer. */
  mark_many: {
    method: "POST";
    path: "/v1/read";
    body: BulkRead;
    response: PageReceipt;
  };
  /** Move one's read marker forward (and the delivered marker with it). */
  mark_read: {
    method: "POST";
    path: "/v1/conversations/{id}/read";
    params: {
      /** Where. */
      id: ConversationId;
    };
    body: MarkerRequest;
    response: Receipt;
  };
  /** Pin a message (admins; in a direct conversation both). */
  pin_message: {
    method: "PUT";
    path: "/v1/messages/{id}/pin";
    params: {
      /** Which. */
      id: MessageId;
    };
    response: Message;
  };
  /** Move one's marker forward: announcements up to a seq are read. */
  read_announcements: {
    method: "POST";
    path: "/v1/announcements/read";
    body: ReadAnnouncements;
    response: AnnouncementsRead;
  };
  /** Mark notifications read: some, or all. The body may be absent: all. */
  read_notifications: {
    method: "POST";
    path: "/v1/notifications/read";
    body?: ReadNotifications | null;
    response: NotificationsRead;
  };
  /** Exchange a refresh token for fresh tokens. A refresh token works once; using it again ends its session. */
  refresh: {
    method: "POST";
    path: "/v1/auth/refresh";
    body: RefreshRequest;
    response: TokenResponse;
  };
  /** Make a user with a password, and sign in. */
  register: {
    method: "POST";
    path: "/v1/auth/register";
    body: RegisterRequest;
    response: TokenResponse;
  };
  /** Remove somebody (admins), or leave when it is oneself. */
  remove_participant: {
    method: "DELETE";
    path: "/v1/conversations/{id}/participants/{user_id}";
    params: {
      /** Where. */
      id: ConversationId;
      /** Who. */
      user_id: UserId;
    };
    response: undefined;
  };
  /** Take a reaction back. */
  remove_reaction: {
    method: "DELETE";
    path: "/v1/messages/{id}/reactions/{emoji}";
    params: {
      /** Which. */
      id: MessageId;
      /** One emoji, percent-encoded. */
      emoji: string;
    };
    response: Message;
  };
  /** End one of one's own sessions; its sockets close. */
  revoke_session: {
    method: "DELETE";
    path: "/v1/auth/sessions/{id}";
    params: {
      /** Which. */
      id: SessionId;
    };
    response: undefined;
  };
  /** Search the messages that one may see, with the place of what was found. */
  search_messages: {
    method: "GET";
    path: "/v1/search/messages";
    query?: {
      /** Words, at most 120 characters: a message must have them all, each at the beginning of one of its words, in any case and order. When absent the filters alone tell, newest first; `conversation_id` or `has` must then be there. */
      query?: string;
      /** In this conversation only. */
      conversation_id?: ConversationId;
      /** In conversations of this kind only. */
      kind?: "direct" | "group" | "public";
      /** By this sender only. */
      sender_id?: UserId;
      /** Made before this moment. */
      before?: Timestamp;
      /** Made at this moment or after it. */
      after?: Timestamp;
      /** With attachments only. */
      has?: "attachment";
      /** What comes first: `relevance` when absent (without words: the newest). */
      order?: "relevance" | "newest";
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageSearchHit;
  };
  /** Users whose username or display name begins with `query`, by username. */
  search_users: {
    method: "GET";
    path: "/v1/users";
    query?: {
      /** What to look for; everything when absent. */
      query?: string;
      /** `next_cursor` of the page before. */
      cursor?: string;
      /** 1–100; 50 when absent. */
      limit?: number;
    };
    response: PageUser;
  };
  /** Send a message. Answered when it is committed. */
  send_message: {
    method: "POST";
    path: "/v1/conversations/{id}/messages";
    params: {
      /** Where. */
      id: ConversationId;
    };
    body: SendMessage;
    response: Message;
  };
  /** Say that one is typing, every 3 s while it is so, or that one stopped. Others forget it after 5 s. */
  set_typing: {
    method: "POST";
    path: "/v1/conversations/{id}/typing";
    params: {
      /** Where. */
      id: ConversationId;
    };
    body: TypingRequest;
    response: undefined;
  };
  /** Sign in with a name alone (where the operator allows it). */
  sign_in_guest: {
    method: "POST";
    path: "/v1/auth/guest";
    body: GuestRequest;
    response: TokenResponse;
  };
  /** Unblock a user. */
  unblock_user: {
    method: "DELETE";
    path: "/v1/users/{id}/block";
    params: {
      /** Whom. */
      id: UserId;
    };
    response: undefined;
  };
  /** Unpin it. */
  unpin_message: {
    method: "DELETE";
    path: "/v1/messages/{id}/pin";
    params: {
      /** Which. */
      id: MessageId;
    };
    response: Message;
  };
  /** Change title, description, picture or policy, or put it into the archive or take it out (admins). */
  update_conversation: {
    method: "PATCH";
    path: "/v1/conversations/{id}";
    params: {
      /** Which. */
      id: ConversationId;
    };
    body: ConversationPatch;
    response: Conversation;
  };
  /** Change one's own profile. */
  update_me: {
    method: "PATCH";
    path: "/v1/me";
    body: ProfilePatch;
    response: User;
  };
  /** Change what one wants to be told of, in all conversations. */
  update_notification_preferences: {
    method: "PATCH";
    path: "/v1/me/notification-preferences";
    body: NotificationPreferencesPatch;
    response: NotificationPreferences;
  };
  /** Change a user's role in the org, or disable them (org admins; not oneself). */
  update_org_user: {
    method: "PATCH";
    path: "/v1/org/users/{id}";
    params: {
      /** Who. */
      id: UserId;
    };
    body: OrgUserPatch;
    response: User;
  };
  /** Change somebody's role (owners). */
  update_participant: {
    method: "PATCH";
    path: "/v1/conversations/{id}/participants/{user_id}";
    params: {
      /** Where. */
      id: ConversationId;
      /** Who. */
      user_id: UserId;
    };
    body: ParticipantPatch;
    response: Participant;
  };
  /** Change one's own settings of a conversation: what to be told of, mute, its place in one's list. */
  update_preferences: {
    method: "PATCH";
    path: "/v1/conversations/{id}/preferences";
    params: {
      /** Which. */
      id: ConversationId;
    };
    body: PreferencesPatch;
    response: Preferences;
  };
}
