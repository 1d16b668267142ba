//! Presence in Redis: leases in one sorted set, one hash per user with a field per node.
//!
//! Time is Redis' own, told by scripts, so that the clocks of nodes do not matter. Promises one round trip per call; in
//! a cluster, where presence is in parts with a hash tag each, one to the server of each part, all at the same time.
//! What a node without a lease said is dropped when others speak of the same user: back, it says everything again.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use futures_util::future::join_all;
use protocol::{NodeId, PresenceState, UserId};
use redis::Pipeline;

use super::{failure::Failure, keys::Keys, slot};
use crate::{
    NodePresence, PRESENCE_TTL, UserPresence,
    presence::{self, decode, encode},
};

/// Users in one script: it holds the server for about a millisecond.
const SCRIPT_MAX: usize = 500;

/// Now, in milliseconds.
const NOW: &str = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) ";

/// KEYS: the leases. ARGV: node, its time, how long leases may be unused. Answers the nodes that hold one.
const HOLD: &str = "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) \
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) \
    redis.call('PEXPIRE', KEYS[1], ARGV[3]) \
    return redis.call('ZRANGE', KEYS[1], 0, -1)";

/// KEYS: the leases. Answers the nodes that hold one.
const LIVE: &str = "return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')";

/// KEYS: the leases, then users. ARGV: node, how long words are kept, then per user the words or nothing.
const SET: &str = "local live = {[ARGV[1]] = true} \
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do live[node] = true end \
    for i = 2, #KEYS do \
      for _, node in ipairs(redis.call('HKEYS', KEYS[i])) do \
        if not live[node] then redis.call('HDEL', KEYS[i], node) end \
      end \
      if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[i], ARGV[1]) \
      else redis.call('HSET', KEYS[i], ARGV[1], ARGV[i + 1]) redis.call('PEXPIRE', KEYS[i], ARGV[2]) end \
    end";

/// A user's hash as it came: names and values in turn.
type Hash = Vec<(Vec<u8>, Vec<u8>)>;

/// In a cluster, presence is in so many parts, each with leases of its own, so that it is spread over the servers and
/// each script still finds what it needs in one slot.
const PARTS: u16 = 16;

/// Where a user's presence is: the whole of it, or a part in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Whole,
    One(u16),
}

impl Keys {
    pub(super) async fn hold_lease(&self, node: NodeId, ttl: Duration) -> Result<Vec<NodeId>, Failure> {
        let held = self.parts().map(async |part| {
            let leases = self.leases(part);
            let mut pipeline = Pipeline::new();
            let command = pipeline.cmd("EVAL").arg(format!("{NOW}{HOLD}")).arg(1).arg(&leases);
            command.arg(node.to_string()).arg(millis(ttl)).arg(millis(PRESENCE_TTL));
            let (names,): (Vec<Vec<u8>>,) = self.ask(self.directory.slot(&leases), &pipeline).await?;
            Ok(names)
        });
        // All are tried, whatever becomes of one: a part whose server is away must not end the lease in the others.
        let held: Result<Vec<Vec<Vec<u8>>>, Failure> = join_all(held).await.into_iter().collect();
        let names: HashSet<Vec<u8>> = held?.into_iter().flatten().collect();
        Ok(presence::nodes(names.into_iter().collect()))
    }

    pub(super) async fn release_lease(&self, node: NodeId) -> Result<(), Failure> {
        let released = self.parts().map(async |part| {
            let leases = self.leases(part);
            let mut pipeline = Pipeline::new();
            pipeline.cmd("ZREM").arg(&leases).arg(node.to_string()).ignore();
            self.ask(self.directory.slot(&leases), &pipeline).await
        });
        join_all(released).await.into_iter().collect()
    }

    pub(super) async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<(), Failure> {
        let said = self.by_part(users.iter(), |user| user.user).into_iter().map(async |(part, users)| {
            let leases = self.leases(part);
            let mut pipeline = Pipeline::new();
            for users in users.chunks(SCRIPT_MAX) {
                let command = pipeline.cmd("EVAL").arg(format!("{NOW}{SET}")).arg(users.len() + 1).arg(&leases);
                for (_, user) in users {
                    command.arg(self.user(part, user.user));
                }
                command.arg(node.to_string()).arg(millis(PRESENCE_TTL));
                for (_, user) in users {
                    let gone = user.state == PresenceState::Offline;
                    command.arg(if gone { String::new() } else { encode(user) });
                }
                command.ignore();
            }
            self.ask(self.directory.slot(&leases), &pipeline).await
        });
        join_all(said).await.into_iter().collect()
    }

    pub(super) async fn presence(&self, users: &[UserId]) -> Result<Vec<UserPresence>, Failure> {
        let read = self.by_part(users.iter(), |user| **user).into_iter().map(async |(part, users)| {
            let said = self.presence_of(part, &users).await?;
            Ok(users.into_iter().map(|(place, _)| place).zip(said).collect())
        });
        let read: Result<Vec<Vec<(usize, UserPresence)>>, Failure> = join_all(read).await.into_iter().collect();
        let mut all: Vec<_> = read?.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, presence)| presence).collect())
    }

    /// Of some users of one part, in order.
    async fn presence_of(&self, part: Part, users: &[(usize, &UserId)]) -> Result<Vec<UserPresence>, Failure> {
        let (live, leases) = (format!("{NOW}{LIVE}"), self.leases(part));
        let mut nodes = redis::cmd("EVAL");
        nodes.arg(&live).arg(1).arg(&leases);
        let mut pipeline = Pipeline::with_capacity(users.len() + 1);
        pipeline.add_command(nodes);
        for (_, user) in users {
            pipeline.cmd("HGETALL").arg(self.user(part, **user));
        }
        let answers: Vec<redis::Value> = self.ask(self.directory.slot(&leases), &pipeline).await?;
        let mut answers = answers.into_iter();
        let live: Vec<Vec<u8>> =
            answers.next().map(redis::from_redis_value).transpose().map_err(parse)?.unwrap_or_default();
        let live: HashSet<Vec<u8>> = live.into_iter().collect();
        let mut presences = Vec::with_capacity(users.len());
        for ((_, user), answer) in users.iter().zip(answers) {
            let said: Hash = redis::from_redis_value(answer).map_err(parse)?;
            let said: Vec<_> =
                said.iter().filter(|(node, _)| live.contains(node)).filter_map(|(_, words)| decode(words)).collect();
            presences.push(presence::together(**user, said.iter().map(|(state, focus)| (*state, focus.as_slice()))));
        }
        Ok(presences)
    }

    /// All parts.
    fn parts(&self) -> impl Iterator<Item = Part> {
        let cluster = self.directory.is_cluster();
        (0..if cluster { PARTS } else { 1 }).map(move |part| if cluster { Part::One(part) } else { Part::Whole })
    }

    /// Each with its place, by the part that it is in.
    fn by_part<T>(&self, all: impl Iterator<Item = T>, user: impl Fn(&T) -> UserId) -> BTreeMap<Part, Vec<(usize, T)>> {
        let mut parts: BTreeMap<Part, Vec<(usize, T)>> = BTreeMap::new();
        for (place, one) in all.enumerate() {
            let part = if self.directory.is_cluster() {
                Part::One(slot::of(user(&one).to_string().as_bytes()) % PARTS)
            } else {
                Part::Whole
            };
            parts.entry(part).or_default().push((place, one));
        }
        parts
    }

    fn leases(&self, part: Part) -> String {
        match part {
            Part::Whole => format!("{}nodes", self.prefix),
            Part::One(part) => format!("{}{{p{part}}}:nodes", self.prefix),
        }
    }

    fn user(&self, part: Part, id: UserId) -> String {
        match part {
            Part::Whole => format!("{}presence:{id}", self.prefix),
            Part::One(part) => format!("{}{{p{part}}}:presence:{id}", self.prefix),
        }
    }
}

fn millis(time: Duration) -> u64 {
    time.min(PRESENCE_TTL).as_millis() as u64
}

fn parse(error: redis::ParsingError) -> Failure {
    Failure::from(redis::RedisError::from(error))
}
