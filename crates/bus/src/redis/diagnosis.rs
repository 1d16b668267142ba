//! What an operator should know of the servers before nodes use them.

use std::{collections::HashMap, time::Duration};

use redis::Pipeline;
use tokio::time::timeout;

use super::{failure::Failure, keys::ask, server::Server};

/// What one server says of itself; see [`RedisBus::diagnose`](super::RedisBus::diagnose).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// `HOST:PORT`.
    pub server: String,
    /// How it is; none where this user may not ask, as with some hosted services; an error: why it does not answer.
    pub state: Result<Option<ServerState>, String>,
    /// Its settings; none where this user may not read them, as with many hosted services.
    pub settings: Option<ServerSettings>,
}

/// What one Sentinel says; see [`RedisBus::diagnose_sentinels`](super::RedisBus::diagnose_sentinels).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentinelDiagnosis {
    /// `HOST:PORT`.
    pub sentinel: String,
    /// Whether it sees enough others to agree that the master is gone, and to replace it; an error: why not, or why it
    /// does not say so.
    pub quorum: Result<(), String>,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerState {
    /// It takes writes: it is no replica.
    pub master: bool,
    /// Replicas that are connected to it.
    pub replicas: u32,
    /// Where it is part of a Redis Cluster: how many slots have an owner that it can reach.
    pub slots: Option<u32>,
}

/// Settings of a server that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Bytes that its data may take (`maxmemory`); 0: as much as there is.
    pub memory: u64,
    /// What it forgets when that is full (`maxmemory-policy`).
    pub policy: String,
    /// When it closes the connection of a node that does not keep up (`client-output-buffer-limit pubsub`); 0: never.
    pub output_bytes: u64,
}

type Settings = HashMap<String, String>;

pub(super) async fn of(server: &Server, limit: Duration) -> Diagnosis {
    let asked = async {
        let state = match state(server).await {
            Err(failure) if failure.is_refused() => None,
            state => Some(state?),
        };
        Ok((state, settings(server).await?))
    };
    let answer = timeout(limit, asked).await.unwrap_or_else(|_| Err(Failure::silent(limit)));
    let (state, settings) = match answer {
        Ok((state, settings)) => (Ok(state), settings),
        Err(failure) => (Err(failure.to_string()), None),
    };
    Diagnosis { server: server.name.clone(), state, settings }
}

async fn state(server: &Server) -> Result<ServerState, Failure> {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("INFO");
    let (info,): (String,) = ask(server, &pipeline).await?;
    let slots = if field(&info, "cluster_enabled") == Some("1") {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLUSTER").arg("INFO");
        let (cluster,): (String,) = ask(server, &pipeline).await?;
        Some(field(&cluster, "cluster_slots_ok").and_then(|slots| slots.parse().ok()).unwrap_or(0))
    } else {
        None
    };
    Ok(ServerState {
        master: field(&info, "role") != Some("slave"),
        replicas: field(&info, "connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0),
        slots,
    })
}

/// The value behind `name:` in the lines of an INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

async fn settings(server: &Server) -> Result<Option<ServerSettings>, Failure> {
    let mut pipeline = Pipeline::new();
    for name in ["maxmemory", "maxmemory-policy", "client-output-buffer-limit"] {
        pipeline.cmd("CONFIG").arg("GET").arg(name);
    }
    match ask::<(Settings, Settings, Settings)>(server, &pipeline).await {
        Ok((memory, policy, output)) => Ok(read(&memory, &policy, &output)),
        // It may not be asked that; whether it works at all, a ping tells.
        Err(failure) if failure.is_refused() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn read(memory: &Settings, policy: &Settings, output: &Settings) -> Option<ServerSettings> {
    Some(ServerSettings {
        memory: memory.get("maxmemory")?.parse().ok()?,
        policy: policy.get("maxmemory-policy")?.clone(),
        output_bytes: hard_limit(output.get("client-output-buffer-limit")?)?,
    })
}

/// The hard limit of the class `pubsub` in `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`.
fn hard_limit(classes: &str) -> Option<u64> {
    let mut words = classes.split_whitespace();
    words.find(|word| *word == "pubsub")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_by_its_whole_name() {
        let info = "# Replication\r\nrole:slave\r\nrole_of:x\r\nconnected_slaves:2\r\n";
        assert_eq!((field(info, "role"), field(info, "connected_slaves")), (Some("slave"), Some("2")));
        assert_eq!((field(info, "rol"), field(info, "cluster_enabled")), (None, None));
    }

    #[test]
    fn the_limit_of_subscribers_is_found_among_the_others() {
        let classes = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(hard_limit(classes), Some(33_554_432));
        assert_eq!(hard_limit("normal 0 0 0"), None);
        assert_eq!(hard_limit("pubsub"), None);
    }
}
