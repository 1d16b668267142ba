//! Asks servers of a cluster which master serves which slots.
//!
//! Several are asked at once, and of a majority the one counts that has seen the latest epoch of a cluster that works:
//! who was cut off does not lead back to an old owner. What a server says itself (`MOVED`) is believed at once.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use rand::seq::IndexedRandom;
use redis::{Pipeline, Value};

use super::{Map, latest, question};
use crate::redis::{
    RedisConfig,
    failure::{Failure, Moved},
    server::Server,
    url::{Login, name},
};

/// Most servers that are asked in one look.
const ASKED: usize = 5;
/// One that answers as part of a cluster that works is believed before any that does not.
const WORKS: u64 = 1 << 62;

pub(super) struct Cluster {
    login: Login,
    seeds: Vec<(String, u16)>,
    /// The seeds as servers, made at the first look.
    known: Mutex<HashMap<String, Arc<Server>>>,
    question: Pipeline,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<(String, u16)>, login: Login) -> Self {
        let mut question = Pipeline::new();
        question.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
        Self { login, seeds, known: Mutex::default(), question }
    }

    /// The cluster now.
    pub(super) async fn find(&self, before: &Map, config: &RedisConfig) -> Result<Map, Failure> {
        let mut asked: Vec<Arc<Server>> = before.servers.sample(&mut rand::rng(), ASKED).cloned().collect();
        let masters = asked.len();
        // The seeds too: all masters that are known may be gone.
        for (host, port) in &self.seeds {
            if asked.len() < ASKED.max(masters + 1) && !asked.iter().any(|server| server.name == name(host, *port)) {
                asked.push(self.server(host, *port, before, config)?);
            }
        }
        let answers = asked.iter().map(async |server| {
            let answers = question(&server.pipe, &self.question).await.map_err(|failure| failure.of(&server.name))?;
            let said = match <[Value; 2]>::try_from(answers) {
                Ok([info, slots]) => epoch(info).zip(ranges(slots)),
                Err(_) => None,
            };
            let (epoch, ranges) =
                said.ok_or_else(|| Failure::unavailable(format!("{}: an answer that cannot be read", server.name)))?;
            Ok((epoch, (server.clone(), ranges)))
        });
        let (by, ranges) = latest(answers).await?;
        let mut map = Map::slots();
        for range in ranges {
            let host = range.host.as_deref().unwrap_or_else(|| host_of(&by));
            map.assign(range.first, range.last, &self.server(host, range.port, before, config)?);
        }
        map.tidy();
        self.forget_others(&map);
        Ok(map)
    }

    /// The server that `by` redirects to.
    pub(super) fn redirected(
        &self,
        moved: &Moved,
        by: &Server,
        map: &Map,
        config: &RedisConfig,
    ) -> Result<Arc<Server>, Failure> {
        self.server(moved.host.as_deref().unwrap_or_else(|| host_of(by)), moved.port, map, config)
    }

    /// The server at an address: the one that is in use, if there is one.
    fn server(&self, host: &str, port: u16, map: &Map, config: &RedisConfig) -> Result<Arc<Server>, Failure> {
        let name = name(host, port);
        let mut known = self.known.lock();
        if let Some(server) = map.named(&name).or_else(|| known.get(&name)) {
            return Ok(server.clone());
        }
        let wrong = |error: crate::BusError| Failure::refused(error.to_string());
        let client = self.login.client(host, port).map_err(wrong)?;
        let server = Arc::new(Server::new(name.clone(), &client, config, false).map_err(wrong)?);
        known.insert(name, server.clone());
        Ok(server)
    }

    /// Keeps the seeds and what the map holds.
    fn forget_others(&self, map: &Map) {
        let seeds: Vec<_> = self.seeds.iter().map(|(host, port)| name(host, *port)).collect();
        self.known.lock().retain(|name, _| seeds.contains(name) || map.named(name).is_some());
    }
}

/// The host in a server's name.
fn host_of(server: &Server) -> &str {
    let host = server.name.rsplit_once(':').map_or(server.name.as_str(), |(host, _)| host);
    host.trim_matches(['[', ']'])
}

/// From the answer to `CLUSTER INFO`: what tells a later view from an older one.
fn epoch(info: Value) -> Option<u64> {
    let info: String = redis::from_redis_value(info).ok()?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let epoch: u64 = field("cluster_current_epoch")?.parse().ok()?;
    Some(if field("cluster_state")? == "ok" { epoch.saturating_add(WORKS) } else { epoch })
}

/// Slots of one master.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    /// None: the host that was asked.
    host: Option<String>,
    port: u16,
}

/// The answer to `CLUSTER SLOTS`.
fn ranges(answer: Value) -> Option<Vec<Range>> {
    let Value::Array(ranges) = answer else { return None };
    ranges.into_iter().map(range).collect()
}

fn range(range: Value) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let number = |value: Value| u16::try_from(redis::from_redis_value::<i64>(value).ok()?).ok();
    let (first, last) = (number(parts.next()?)?, number(parts.next()?)?);
    // The master comes first, its replicas after it.
    let Value::Array(master) = parts.next()? else { return None };
    let mut master = master.into_iter();
    let host: Option<String> = redis::from_redis_value(master.next()?).ok()?;
    // `?`: the server does not know its own name yet.
    let host = host.filter(|host| !host.is_empty() && host != "?");
    Some(Range { first, last, host, port: number(master.next()?).filter(|port| *port != 0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn slots_are_read_with_the_host_or_without() {
        let master = |host: Value, port| Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])]);
        let answer = Value::Array(vec![
            Value::Array(vec![Value::Int(0), Value::Int(8_191), master(text("10.0.0.1"), 1), master(text("r"), 9)]),
            Value::Array(vec![Value::Int(8_192), Value::Int(8_192), master(Value::Nil, 2)]),
            Value::Array(vec![Value::Int(8_193), Value::Int(16_383), master(text(""), 3)]),
        ]);
        let range = |first, last, host: Option<&str>, port| Range { first, last, host: host.map(Into::into), port };
        let expected =
            [range(0, 8_191, Some("10.0.0.1"), 1), range(8_192, 8_192, None, 2), range(8_193, 16_383, None, 3)];
        assert_eq!(ranges(answer).unwrap(), expected);
        for bad in [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1)])]),
            Value::Array(vec![Value::Array(vec![Value::Int(-1), Value::Int(1), master(text("h"), 1)])]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1), master(text("h"), 0)])]),
        ] {
            assert_eq!(ranges(bad.clone()), None, "{bad:?}");
        }
        assert_eq!(ranges(Value::Array(vec![])), Some(vec![]));
    }

    #[test]
    fn a_cluster_that_works_is_believed_before_a_later_epoch_of_one_that_does_not() {
        let info =
            |state: &str, epoch: u64| text(&format!("cluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\n"));
        assert!(epoch(info("ok", 3)) > epoch(info("ok", 2)));
        assert!(epoch(info("ok", 2)) > epoch(info("fail", 7)));
        assert!(epoch(info("fail", 7)) > epoch(info("fail", 6)));
        assert_eq!(epoch(text("cluster_state:ok\r\n")), None);
        assert_eq!(epoch(Value::Nil), None);
    }
}
