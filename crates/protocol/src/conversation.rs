//! Conversations and who takes part in them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConversationId, Message, Presence, Seq, Timestamp, User, UserId};

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Two people; one per pair and subject.
    Direct,
    /// By invitation.
    Group,
    /// In the lobby; anyone of the org may join.
    Public,
}

/// Role of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes part.
    Member,
    /// May also manage members and delete messages.
    Admin,
    /// May also appoint admins and delete the conversation.
    Owner,
}

/// Who may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Posting {
    /// Every participant.
    #[default]
    Everyone,
    /// Admins and owners.
    Admins,
}

/// What of the past a new participant may read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Everything.
    #[default]
    All,
    /// Only what came after they joined.
    SinceJoin,
}

/// What a participant wants to be told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// Every message.
    #[default]
    All,
    /// Mentions only.
    Mentions,
    /// Nothing.
    None,
}

/// What a conversation is about: a listing, a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The app's word for the kind of thing, ≤ 64 characters.
    #[serde(rename = "type")]
    pub kind: String,
    /// The app's id, ≤ 120 characters.
    pub id: String,
    /// What to show, ≤ 120 characters.
    pub title: String,
    /// Where it leads (`https://…` or `http://…`, ≤ 2,000 characters).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A conversation as one viewer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// Id.
    pub id: ConversationId,
    /// Kind.
    pub kind: ConversationKind,
    /// Name; null in a direct conversation.
    #[schema(required)]
    pub title: Option<String>,
    /// More about it.
    #[schema(required)]
    pub description: Option<String>,
    /// Picture, if any.
    #[schema(required)]
    pub avatar_url: Option<String>,
    /// What it is about.
    #[schema(required)]
    pub subject: Option<Subject>,
    /// The other one in a direct conversation.
    #[schema(required)]
    pub other: Option<User>,
    /// Whether the other one is there; null unless direct, and where it is not told (events, a block).
    #[schema(required)]
    pub other_presence: Option<Presence>,
    /// The other one's delivered marker; null unless direct.
    #[schema(required)]
    pub other_delivered_seq: Option<Seq>,
    /// The other one's read marker; null unless direct.
    #[schema(required)]
    pub other_read_seq: Option<Seq>,
    /// The viewer's role; null when they only look at a public room from outside.
    #[schema(required)]
    pub role: Option<Role>,
    /// Who may send.
    pub posting: Posting,
    /// What new participants may read.
    pub history: History,
    /// Seconds between two messages of one member; 0 = no slow mode. Admins are free.
    pub slow_mode_seconds: u32,
    /// What the viewer wants to be told of.
    pub notify: Notify,
    /// How many take part.
    pub participant_count: u64,
    /// The conversation's head.
    pub last_seq: Seq,
    /// The newest message, system messages included; null for a viewer who may not read it.
    #[schema(required, no_recursion)]
    pub last_message: Option<Box<Message>>,
    /// When the last message came.
    pub last_activity_at: Timestamp,
    /// Number of the newest message: `unread_count` is this less `read_number`.
    pub last_number: u64,
    /// Messages after the viewer's read marker.
    pub unread_count: u64,
    /// Mentions of the viewer among them.
    pub mention_count: u64,
    /// Places of the first 100 of these mentions, ascending: to jump to, and to keep the count right from events.
    pub mention_seqs: Vec<Seq>,
    /// The viewer's read marker.
    pub read_seq: Seq,
    /// Number of the last message at or before the read marker.
    pub read_number: u64,
    /// Muted until then.
    #[schema(required)]
    pub muted_until: Option<Timestamp>,
    /// When the viewer pinned it to the top of their list.
    #[schema(required)]
    pub pinned_at: Option<Timestamp>,
    /// Set when archived: nothing may be sent.
    #[schema(required)]
    pub archived_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `POST /v1/conversations`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConversation {
    /// Kind.
    pub kind: ConversationKind,
    /// Name, 1–120 characters: required for `group` and `public`, refused for `direct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// More about it, ≤ 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// The others; exactly one for `direct`. ≤ 1,000.
    #[serde(default)]
    pub participant_ids: Vec<UserId>,
    /// What it is about.
    #[serde(default, deserialize_with = "crate::object::option", skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Who may send.
    #[serde(default)]
    pub posting: Posting,
    /// What new participants may read.
    #[serde(default)]
    pub history: History,
    /// Seconds between two messages of one member, ≤ 86,400; 0 = no slow mode.
    #[serde(default)]
    pub slow_mode_seconds: u32,
}

/// `PATCH /v1/conversations/{id}` (admins): only the named fields change; `null` clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationPatch {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// New description, or null.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// New picture, or null.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub avatar_url: Option<Option<String>>,
    /// Who may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posting: Option<Posting>,
    /// Seconds between two messages of one member, ≤ 86,400; 0 = no slow mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_mode_seconds: Option<u32>,
    /// Into the archive (nothing may be sent any more), or out of it. Not together with another field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// Which of one's conversations; what is absent does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    /// Of this kind.
    pub kind: Option<ConversationKind>,
    /// With messages that are not read (true), or without.
    pub unread: Option<bool>,
    /// Archived (true), or not.
    pub archived: Option<bool>,
}

/// One participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    /// Who.
    pub user: User,
    /// Role.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Their read marker.
    pub read_seq: Seq,
    /// Their delivered marker. Not kept above 100 participants.
    pub delivered_seq: Seq,
    /// The caller blocked them: hide what they write.
    pub blocked: bool,
}

/// `POST /v1/conversations/{id}/participants` (admins).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddParticipants {
    /// Who to add, 1–1,000; those who take part already are left as they are.
    pub user_ids: Vec<UserId>,
}

/// `PATCH /v1/conversations/{id}/participants/{user_id}` (owners).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantPatch {
    /// New role. Making somebody owner leaves the caller an owner too.
    pub role: Role,
}

/// A participant's markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// In which conversation.
    pub conversation_id: ConversationId,
    /// Whose.
    pub user_id: UserId,
    /// Everything up to here reached a device of theirs.
    pub delivered_seq: Seq,
    /// Everything up to here was read.
    pub read_seq: Seq,
    /// Number of the last message at or before `read_seq`.
    pub read_number: u64,
}

/// `POST /v1/conversations/{id}/read` and `…/delivered`; also the body of the commands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkerRequest {
    /// Up to here; a value past the head means the head.
    pub seq: Seq,
}

/// A field that may be absent, null or a value: `None`, `Some(None)`, `Some(Some(v))`.
pub(crate) mod double_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    // The signature is serde's.
    #[allow(clippy::option_option, clippy::ref_option)]
    pub(crate) fn serialize<S: Serializer, T: Serialize>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    #[allow(clippy::option_option)]
    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(deserializer).map(Some)
    }
}
