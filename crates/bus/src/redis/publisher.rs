//! Publishing: each event to the server of its topic, one pipeline for each server.
//!
//! Promises that events of one topic stay in order, and an end within the command timeout. What a server that no longer
//! serves a topic refuses is sent to the one that does, together with everything after it on the same slot: events can
//! arrive twice then, never in disorder.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use redis::{Cmd, Pipeline};
use tokio::time::timeout;

use super::{
    directory::{Directory, Map},
    failure::{Failure, Moved},
    pipe::Broken,
    server::Server,
};
use crate::Topic;

pub(super) struct Publisher {
    directory: Arc<Directory>,
    prefix: String,
    limit: Duration,
}

/// An event on its way.
struct Sent<'a> {
    channel: String,
    slot: u16,
    payload: &'a Bytes,
}

impl Publisher {
    pub(super) fn new(directory: Arc<Directory>, prefix: String, limit: Duration) -> Self {
        Self { directory, prefix, limit }
    }

    pub(super) async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), Failure> {
        let events = batch.iter().map(|(topic, payload)| {
            let channel = format!("{}{topic}", self.prefix);
            Sent { slot: self.directory.slot(&channel), channel, payload }
        });
        let mut events: Vec<Sent<'_>> = events.collect();
        if events.is_empty() {
            return Ok(());
        }
        timeout(self.limit, self.publish_twice(&mut events)).await.unwrap_or_else(|_| {
            self.directory.suspect();
            Err(Failure::silent(self.limit))
        })
    }

    /// Drops the connections; the next publish makes new ones.
    pub(super) fn forget(&self) {
        for server in &self.directory.map().servers {
            server.pipe.forget();
        }
    }

    async fn publish_twice(&self, events: &mut Vec<Sent<'_>>) -> Result<(), Failure> {
        let map = self.directory.map();
        let Err(failure) = self.publish_once(&map, events).await else { return Ok(()) };
        if failure.is_refused() {
            return Err(failure);
        }
        // Where nothing can have changed, this asks nobody.
        match self.directory.newer(&map).await {
            Some(map) => self.publish_once(&map, events).await,
            None => Err(failure),
        }
    }

    /// Publishes what goes through; what is left in `events` did not, for the reason that comes back.
    async fn publish_once(&self, map: &Map, events: &mut Vec<Sent<'_>>) -> Result<(), Failure> {
        let mut groups: Vec<(Option<&Arc<Server>>, Vec<Sent<'_>>)> = Vec::new();
        for event in events.drain(..) {
            let server = map.server(event.slot);
            let same = |known: Option<&Arc<Server>>| known.map(Arc::as_ptr) == server.map(Arc::as_ptr);
            match groups.iter_mut().find(|(known, _)| same(*known)) {
                Some((_, group)) => group.push(event),
                None => groups.push((server, vec![event])),
            }
        }
        let sent = join_all(groups.into_iter().map(async |(server, group)| match server {
            Some(server) => self.publish_to(server, group).await,
            None => Err((self.unserved(&group), group)),
        }));
        let mut failed: Option<Failure> = None;
        for result in sent.await {
            if let Err((failure, mut left)) = result {
                // A refusal is final, so that it is what is told.
                if failed.as_ref().is_none_or(|failed| !failed.is_refused()) {
                    failed = Some(failure);
                }
                events.append(&mut left);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn publish_to<'a>(&self, server: &Server, mut group: Vec<Sent<'a>>) -> Result<(), (Failure, Vec<Sent<'a>>)> {
        let command = if self.directory.is_cluster() { "SPUBLISH" } else { "PUBLISH" };
        let mut pipeline = Pipeline::with_capacity(group.len());
        for event in &group {
            let mut publish = Cmd::with_capacity(3, command.len() + event.channel.len() + event.payload.len());
            publish.arg(command).arg(&event.channel).arg(event.payload.as_ref());
            pipeline.add_command(publish);
        }
        let Err(Broken { failure, refused }) = server.pipe.run(&pipeline).await else { return Ok(()) };
        let Some(refused) = refused else { return Err((failure, group)) };
        let mut places = refused.iter().filter(|(place, _)| *place < group.len()).collect::<Vec<_>>();
        places.sort_unstable_by_key(|(place, _)| *place);
        if places.is_empty() {
            return Err((failure, group));
        }
        for (_, error) in &places {
            if let Some(moved) = Moved::read(error) {
                self.directory.redirect(&moved, server);
            }
        }
        // From the first one that was refused on, everything of the same slot goes again.
        let mut again: Vec<u16> = Vec::new();
        let mut place = 0;
        group.retain(|event| {
            if places.iter().any(|(refused, _)| *refused == place) {
                again.push(event.slot);
            }
            place += 1;
            again.contains(&event.slot)
        });
        Err((failure, group))
    }

    fn unserved(&self, group: &[Sent<'_>]) -> Failure {
        let slot = group.first().map_or(0, |event| event.slot);
        self.directory.server(slot).err().unwrap_or_else(|| Failure::elsewhere("the slot has a server again"))
    }
}
