//! What a refusal must leave as it was: everything that Ann, an admin of her org, can see of it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use starling_tests::client::Socket;

use crate::samples::World;

/// All that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot(Vec<(String, Value)>);

impl Snapshot {
    pub(crate) async fn take(world: &World) -> Result<Self> {
        let (http, token) = (&world.http, &*world.ann.token);
        let (group, message) = (&world.group, &world.message);
        let mut seen = Vec::new();
        for path in [
            "me",
            "me/blocks",
            "me/notification-preferences",
            "auth/sessions",
            "conversations?limit=100",
            "conversations/public",
            &format!("conversations/{group}"),
            &format!("conversations/{group}/participants"),
            &format!("conversations/{group}/pins"),
            &format!("conversations/{group}/changes?after=0"),
            &format!("messages/{message}/edits"),
            "notifications",
            "announcements",
            "unread",
            "org/users?limit=100",
            "org/reports",
            "org/audit",
        ] {
            seen.push((path.to_owned(), http.done(token, &format!("GET /v1/{path}"), Value::Null).await?));
        }
        // The feeds' heads.
        for who in [&world.ann, &world.ben] {
            let mut socket = Socket::with_token(&http.base, &who.token).await?;
            let connected = socket.until("connected").await?;
            socket.close().await?;
            let data = &connected["data"];
            seen.push((format!("feed of {}", who.id), json!([data["user_seq"], data["announcement_seq"]])));
        }
        Ok(Self(seen))
    }

    /// Fails when anything is not as it was.
    pub(crate) async fn is_still(&self, world: &World) -> Result<()> {
        let now = Self::take(world).await.context("looking again")?;
        for ((what, before), (_, after)) in self.0.iter().zip(&now.0) {
            ensure!(before == after, "a refusal changed {what} from {before} to {after}");
        }
        Ok(())
    }
}
