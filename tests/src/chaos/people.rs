//! The people of a round: each with devices that write down everything, and conversations to talk in. Everybody shares
//! one with everybody, and every socket watches all the others.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use protocol::{Conversation, ConversationId, Ticket, UserId};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{Plan, deeds::Book, device::Device, stage::Stage};
use crate::{
    client::{Client, Pass, Rest, SseClient},
    cluster::Person,
};

/// A REST call that takes longer is tried again.
const CALL: Duration = Duration::from_secs(6);
/// Everybody is connected within this, at the beginning of a round.
const ARRIVE: Duration = Duration::from_mins(1);

/// Somebody.
pub(super) struct Someone {
    pub(super) id: UserId,
    pub(super) name: String,
    pub(super) rest: Rest,
    /// At least one socket, and streams.
    pub(super) devices: Vec<Device>,
}

/// Everybody and everything of a round.
pub(super) struct People {
    pub(super) all: Vec<Arc<Someone>>,
    pub(super) book: Arc<Book>,
    /// Each person's own group, by their place in `all`.
    pub(super) groups: Vec<ConversationId>,
    pub(super) rooms: Vec<ConversationId>,
    /// Everybody is in it, and nobody but the prober talks in it.
    pub(super) probes: ConversationId,
}

impl People {
    pub(super) async fn arrive(plan: &Plan, round: usize, stage: &Stage, start: Instant) -> Result<Self> {
        let mut persons = Vec::new();
        for at in 0..plan.people {
            persons.push(stage.cluster.person(&format!("s{}r{round}p{at}", plan.seed)).await?);
        }
        let mut all = Vec::new();
        for (at, person) in persons.iter().enumerate() {
            let rest = Rest::patient(&stage.cluster.url(), Some(&person.token), CALL)?;
            let many = plan.devices / plan.people + usize::from(at < plan.devices % plan.people);
            let socket = || Client::recording(&stage.cluster.url(), &person.token, start);
            let mut devices: Vec<_> = (0..many.max(1)).map(|_| Device::socket(person.id, socket())).collect();
            if at < plan.streams {
                // As a page does, and as an app without a browser does.
                let pass = if at % 2 == 0 { ticket(person).await? } else { Pass::Token(person.token.clone()) };
                let stream = SseClient::recording(&stage.cluster.url(), pass, &rest, start);
                devices.push(Device::stream(person.id, stream));
            }
            all.push(Arc::new(Someone { id: person.id, name: person.name.clone(), rest, devices }));
        }
        let book = Arc::new(Book::new(start, persons.iter().map(|person| person.id).collect()));
        let mut people =
            Self { all, book, groups: Vec::new(), rooms: Vec::new(), probes: ConversationId(uuid::Uuid::nil()) };
        timeout(ARRIVE, try_join_all(people.devices().map(Device::live)))
            .await
            .context("not everybody could connect")??;
        people.talk(&persons).await?;
        for device in people.devices() {
            // Nothing was there before them.
            device.listed(Duration::ZERO, Vec::new());
            let others = people.all.iter().map(|someone| someone.id).filter(|id| *id != device.user);
            if let Some(client) = device.client() {
                client.watch(others.collect())?;
            }
        }
        Ok(people)
    }

    /// Makes the conversations that they begin with.
    async fn talk(&mut self, persons: &[Person]) -> Result<()> {
        let many = persons.len();
        for (at, person) in persons.iter().enumerate() {
            let others: Vec<_> = (1..=5).map(|step| persons[(at + step * 2 + 1) % many].id).collect();
            let others: Vec<_> = others.into_iter().filter(|id| *id != person.id).collect();
            let since_join = at % 3 == 0;
            let history = if since_join { "since_join" } else { "all" };
            let body = json!({"kind": "group", "title": format!("group {at}"), "participant_ids": others,
                "history": history});
            let id = create(person, body).await?;
            if since_join {
                self.book.since_join(id);
            }
            self.groups.push(id);
        }
        for person in persons.iter().take(2) {
            self.rooms.push(create(person, json!({"kind": "public", "title": "a room"})).await?);
        }
        let others: Vec<_> = persons.iter().skip(1).map(|person| person.id).collect();
        let first = persons.first().context("nobody is there")?;
        self.probes = create(first, json!({"kind": "group", "title": "probes", "participant_ids": others})).await?;
        Ok(())
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.all.iter().flat_map(|someone| &someone.devices)
    }

    /// Those that are not turned off.
    pub(super) fn present(&self) -> Vec<Device> {
        self.devices().filter(|device| !device.away.load(Relaxed)).cloned().collect()
    }
}

async fn ticket(person: &Person) -> Result<Pass> {
    let ticket: Ticket = person.rest.post("tickets", json!({"for": "events"})).await?.ok()?;
    Ok(Pass::Ticket(ticket.ticket))
}

async fn create(person: &Person, body: Value) -> Result<ConversationId> {
    let conversation: Conversation = person.rest.post("conversations", body).await?.ok()?;
    Ok(conversation.id)
}
