//! The wire: ids, REST bodies, WebSocket commands, events, error codes and close codes.
//!
//! Types and serde only: no I/O, no policy. Every other crate (and the load tester, which is a client)
//! speaks through these, and the OpenAPI document is generated from them.

mod attachment;
mod auth;
mod close;
mod command;
mod conversation;
mod error;
mod event;
mod ids;
mod limits;
mod mention;
mod message;
mod moderation;
mod notification;
mod object;
mod preferences;
mod presence;
mod reaction;
mod receipt;
mod search;
mod text;
mod timestamp;
mod user;

pub use attachment::*;
pub use auth::*;
pub use close::*;
pub use command::*;
pub use conversation::*;
pub use error::*;
pub use event::*;
pub use ids::*;
pub use limits::*;
pub use mention::*;
pub use message::*;
pub use moderation::*;
pub use notification::*;
pub use preferences::*;
pub use presence::*;
pub use reaction::*;
pub use receipt::*;
pub use search::*;
pub use text::*;
pub use timestamp::*;
pub use user::*;

/// A conversation's change counter (`seq`), dense from 1; 0 stands for "before everything".
pub type Seq = u64;

/// A user's feed counter (`user_seq`), dense from 1; 0 stands for "before everything".
pub type UserSeq = u64;

/// One page of a REST list.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, in the order the route documents.
    pub items: Vec<T>,
    /// Opaque cursor of the next page; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}
