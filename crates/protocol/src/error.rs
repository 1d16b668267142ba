//! Stable error codes, and the two shapes they have on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal),+ $(,)?) => {
        /// A stable error code: what programs match on. Its doc comment is its entry in `docs/errors.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name),+
        }

        impl ErrorCode {
            /// Every code, for documents and tests.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// What it means, for documents.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+)),+ }
            }
        }
    };
}

codes! {
    /// The body or frame is not JSON, or not the JSON that is expected here.
    BadJson = "bad_json",
    /// A field has a value that is not allowed; `errors` names the fields.
    Invalid = "invalid",
    /// The frame's `type` is not a command.
    UnknownCommand = "unknown_command",
    /// No credentials, or credentials that are not valid.
    NotAuthenticated = "not_authenticated",
    /// The access token has expired: refresh it.
    TokenExpired = "token_expired",
    /// The session was revoked: sign in again.
    SessionRevoked = "session_revoked",
    /// The user was disabled by an admin.
    UserDisabled = "user_disabled",
    /// Wrong username or password.
    InvalidCredentials = "invalid_credentials",
    /// The operator has switched this way of signing in off.
    SignInDisabled = "sign_in_disabled",
    /// The caller may not do this.
    Forbidden = "forbidden",
    /// A public room that the caller has not joined.
    NotAParticipant = "not_a_participant",
    /// Only admins may post in this conversation.
    PostingRestricted = "posting_restricted",
    /// One of the two has blocked the other.
    Blocked = "blocked",
    /// No such thing, or none that the caller may know of.
    NotFound = "not_found",
    /// No such route.
    NoSuchRoute = "no_such_route",
    /// The route exists, but not with this method.
    MethodNotAllowed = "method_not_allowed",
    /// Somebody else has this username.
    UsernameTaken = "username_taken",
    /// The `client_id` or `Idempotency-Key` was used before with another request.
    IdempotencyConflict = "idempotency_conflict",
    /// The last owner must hand the conversation over first.
    LastOwner = "last_owner",
    /// The message is deleted.
    MessageDeleted = "message_deleted",
    /// The time within which one may edit has passed.
    EditWindowPassed = "edit_window_passed",
    /// There are as many of these as there may be; the message names the limit.
    LimitReached = "limit_reached",
    /// The conversation is archived.
    Archived = "archived",
    /// Not possible in a conversation of this kind.
    WrongKind = "wrong_kind",
    /// The body or frame is over the limit.
    TooLarge = "too_large",
    /// The `Content-Type` is not `application/json`.
    UnsupportedMediaType = "unsupported_media_type",
    /// Too often; try again after `retry_after_ms`.
    RateLimited = "rate_limited",
    /// Slow mode: wait before the next message.
    SlowMode = "slow_mode",
    /// More comes than the server can write; try again after `retry_after_ms` with the same `client_id`.
    Overloaded = "overloaded",
    /// A part that this needs is out of reach; try again with the same `client_id`.
    Unavailable = "unavailable",
    /// The request took too long; whether it was done is not known: try again with the same `client_id`.
    Timeout = "timeout",
    /// Something failed here; the log has it under the request's id.
    Internal = "internal",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One field that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The field's name, dotted for nested ones and with numbers in lists: `attachments.0.url`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// `error` in a WebSocket reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplyError {
    /// Stable code.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub message: String,
    /// The fields that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// When to try again, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// REST error body, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the code says more than a URL would.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status' name.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One sentence for a person.
    pub detail: String,
    /// Stable code.
    pub code: ErrorCode,
    /// The fields that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The request's id, as in the header `x-request-id` and in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When to try again, milliseconds; the header `Retry-After` has it in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
