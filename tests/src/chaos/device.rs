//! One device of somebody: a socket, or an event stream that only listens.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Result;
use protocol::{Conversation, UserId};

use crate::{
    audit::Entry,
    client::{Client, SseClient, View},
};

/// See the module.
#[derive(Clone)]
pub(super) struct Device {
    pub(super) user: UserId,
    line: Line,
    /// Its owner has turned it off.
    pub(super) away: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Line {
    Socket(Arc<Client>),
    Stream(Arc<SseClient>),
}

impl Device {
    pub(super) fn socket(user: UserId, client: Client) -> Self {
        Self { user, line: Line::Socket(Arc::new(client)), away: Arc::default() }
    }

    pub(super) fn stream(user: UserId, stream: SseClient) -> Self {
        Self { user, line: Line::Stream(Arc::new(stream)), away: Arc::default() }
    }

    /// Who can say something; streams cannot.
    pub(super) fn client(&self) -> Option<&Client> {
        match &self.line {
            Line::Socket(client) => Some(client),
            Line::Stream(_) => None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        match &self.line {
            Line::Socket(client) => client.is_live(),
            Line::Stream(stream) => stream.is_live(),
        }
    }

    pub(super) fn connections(&self) -> usize {
        match &self.line {
            Line::Socket(client) => client.connections(),
            Line::Stream(stream) => stream.connections(),
        }
    }

    /// Looks at what it knows.
    pub(super) fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        match &self.line {
            Line::Socket(client) => client.look(look),
            Line::Stream(stream) => stream.look(look),
        }
    }

    /// It fetched its list, asked for at this time of the log; this was the answer.
    pub(super) fn listed(&self, asked: Duration, conversations: Vec<Conversation>) {
        match &self.line {
            Line::Socket(client) => client.listed(asked, conversations),
            Line::Stream(stream) => stream.listed(asked, conversations),
        }
    }

    pub(super) fn take_log(&self) -> Vec<Entry> {
        match &self.line {
            Line::Socket(client) => client.take_log(),
            Line::Stream(stream) => stream.take_log(),
        }
    }

    /// Waits until events flow.
    pub(super) async fn live(&self) -> Result<()> {
        match &self.line {
            Line::Socket(client) => client.live().await,
            Line::Stream(stream) => stream.live().await,
        }
    }

    pub(super) async fn break_connection(&self) -> Result<()> {
        match &self.line {
            Line::Socket(client) => client.break_connection().await,
            Line::Stream(stream) => stream.break_connection().await,
        }
    }

    pub(super) async fn offline(&self) -> Result<()> {
        match &self.line {
            Line::Socket(client) => client.offline().await,
            Line::Stream(stream) => stream.offline().await,
        }
    }

    pub(super) async fn online(&self) -> Result<()> {
        match &self.line {
            Line::Socket(client) => client.online().await,
            Line::Stream(stream) => stream.online().await,
        }
    }
}
