//! Asks Sentinels which server is the master.
//!
//! All are asked at once, and of a majority the latest word counts: one that was cut off together with an old master
//! does not lead there. Whether the server takes itself for the master, who connects to it asks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use redis::{Client, Pipeline, Value};

use super::{Map, latest, question};
use crate::redis::{
    RedisConfig,
    diagnosis::SentinelDiagnosis,
    failure::Failure,
    pipe::{Broken, Pipe},
    server::Server,
    url::{Login, name},
};

pub(super) struct Sentinel {
    /// By name, for errors.
    sentinels: Vec<(String, Pipe)>,
    master: String,
    login: Login,
    question: Pipeline,
}

impl Sentinel {
    pub(super) fn new(sentinels: Vec<(String, Client)>, master: String, login: Login, limit: Duration) -> Self {
        let sentinels = sentinels.into_iter().map(|(name, client)| (name, Pipe::new(client, limit, false)));
        let mut question = Pipeline::new();
        question.cmd("SENTINEL").arg("MASTER").arg(&master);
        Self { sentinels: sentinels.collect(), master, login, question }
    }

    /// The name of the set.
    pub(super) fn master(&self) -> &str {
        &self.master
    }

    /// What each Sentinel says of whether the master could be replaced.
    pub(super) async fn quorums(&self) -> Vec<SentinelDiagnosis> {
        let mut ask = Pipeline::new();
        ask.cmd("SENTINEL").arg("CKQUORUM").arg(&self.master);
        let asked = self.sentinels.iter().map(async |(name, pipe)| SentinelDiagnosis {
            sentinel: name.clone(),
            quorum: pipe.run(&ask).await.map(drop).map_err(|broken| against(&broken)),
        });
        join_all(asked).await
    }

    /// The master now.
    pub(super) async fn find(&self, before: &Map, config: &RedisConfig) -> Result<Map, Failure> {
        let asked = self.sentinels.iter().map(async |(name, pipe)| {
            let answers =
                question(pipe, &self.question).await.map_err(|failure| failure.of(&format!("sentinel {name}")))?;
            let answer = answers.into_iter().next().unwrap_or(Value::Nil);
            let said = read(answer).ok_or_else(|| Failure::unavailable(format!("sentinel {name}: no master known")))?;
            Ok((said.epoch, said))
        });
        let said = latest(asked).await?;
        let name = name(&said.host, said.port);
        if let Some(server) = before.named(&name) {
            return Ok(Map::one(server.clone()));
        }
        let client = self.login.client(&said.host, said.port).map_err(|error| Failure::refused(error.to_string()))?;
        let server = Server::new(name, &client, config, true).map_err(|error| Failure::refused(error.to_string()))?;
        tracing::info!(server = server.name, master = self.master, "the Sentinels name this master");
        Ok(Map::one(Arc::new(server)))
    }
}

/// Why a Sentinel does not say yes: in its own words, where it said no.
fn against(broken: &Broken) -> String {
    match broken.refused.as_deref() {
        Some([(_, no), ..]) => format!("{} {}", no.code(), no.details().unwrap_or_default().trim()),
        _ => broken.failure.to_string(),
    }
}

/// What a Sentinel says of the master.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    host: String,
    port: u16,
    /// Which failover this is of.
    epoch: u64,
}

/// The answer to `SENTINEL MASTER`.
fn read(answer: Value) -> Option<Said> {
    let fields: HashMap<String, String> = redis::from_redis_value(answer).ok()?;
    let port = fields.get("port")?.parse().ok().filter(|port| *port != 0)?;
    let host = fields.get("ip").filter(|host| !host.is_empty())?.clone();
    Some(Said { host, port, epoch: fields.get("config-epoch")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[&str]) -> Value {
        Value::Array(fields.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn the_answer_of_a_sentinel_is_read_and_nonsense_is_not() {
        let whole = answer(&["name", "main", "ip", "10.0.0.1", "port", "6379", "config-epoch", "3", "quorum", "2"]);
        assert_eq!(read(whole), Some(Said { host: "10.0.0.1".into(), port: 6_379, epoch: 3 }));
        for bad in [
            Value::Nil,
            Value::Int(1),
            answer(&[]),
            answer(&["ip", "h", "port", "0", "config-epoch", "1"]),
            answer(&["ip", "", "port", "1", "config-epoch", "1"]),
            answer(&["ip", "h", "port", "99999", "config-epoch", "1"]),
            answer(&["ip", "h", "port", "1"]),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad:?}");
        }
    }
}
