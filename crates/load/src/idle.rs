//! Sockets that do nothing: what a connection costs.

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use crate::{Client, People, Target};

/// What to open.
#[derive(Debug, Clone)]
pub struct Idle {
    /// Distinguishes this run's users and conversations.
    pub run: String,
    /// Sockets, each of its own user.
    pub sockets: usize,
    /// Conversations that each user takes part in (groups of 10 are formed).
    pub conversations: usize,
}

/// Opens the sockets and hands them over, in the order of their users.
pub async fn open(target: &Target, idle: &Idle) -> Result<Vec<Client>> {
    let people = People::new(target)?;
    let everybody = people.make(&idle.run, idle.sockets).await?;
    for round in 0..idle.conversations {
        stream::iter(everybody.chunks(10).enumerate())
            .map(|(n, chunk)| {
                let people = &people;
                async move { people.group(&format!("idle {round}.{n}"), chunk).await }
            })
            .buffer_unordered(8)
            .try_collect::<Vec<_>>()
            .await?;
    }
    stream::iter(everybody.iter().enumerate())
        .map(|(n, person)| Client::connect(&target.gateways[n % target.gateways.len()], &person.token))
        .buffered(16)
        .try_collect()
        .await
}

/// Reads from the sockets (a client that does not answer pings is closed) until `end` comes. Fails when one of them
/// ended before.
pub async fn hold(clients: Vec<Client>, end: impl Future<Output = ()>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move { while client.stream.next().await.is_ok() {} });
    }
    end.await;
    let ended = std::iter::from_fn(|| tasks.try_join_next()).count();
    ensure!(ended == 0, "{ended} sockets were closed by the server");
    Ok(())
}
