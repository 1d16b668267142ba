//! Typed ids. All are UUIDv7 strings on the wire, so that a conversation id can never be passed for a
//! message id and creation order is roughly id order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, format = Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new, time-ordered id (UUIDv7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    )+};
}

id! {
    /// A tenant; users of one org never see another's.
    OrgId,
    /// A person or bot.
    UserId,
    /// A login that outlives sockets.
    SessionId,
    /// A conversation: direct, group or public.
    ConversationId,
    /// A message.
    MessageId,
    /// One live socket.
    ConnectionId,
    /// One running process of the cluster.
    NodeId,
    /// A notification to one user.
    NotificationId,
    /// An announcement to an org.
    AnnouncementId,
    /// A report of a message or a user.
    ReportId,
    /// An entry of an org's audit log.
    AuditId,
}
