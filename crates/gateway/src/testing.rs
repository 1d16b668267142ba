//! What unit tests here share: a connection without a socket.

use std::sync::Arc;

use chat::Caller;
use protocol::{ConnectionId, OrgId, OrgRole, Timestamp, User, UserId};
use tokio::time::Instant;

use crate::{
    link::Link,
    outbox::{Outbox, OutboxLimits},
};

/// Somebody's connection; its frames wait in its outbox.
pub(crate) fn link() -> Arc<Link> {
    let now: Timestamp = time::OffsetDateTime::UNIX_EPOCH.into();
    let user = User {
        id: UserId::generate(),
        org_id: OrgId::generate(),
        username: "ada".into(),
        display_name: "Ada".into(),
        avatar_url: None,
        status_text: None,
        role: OrgRole::Member,
        guest: false,
        disabled_at: None,
        created_at: now,
    };
    let caller = Arc::new(Caller { user, session: None, expires_at: now });
    let outbox = Outbox::new(OutboxLimits { bytes: 100_000, events: 100 });
    Arc::new(Link::new(ConnectionId::generate(), caller, outbox, Instant::now()))
}
