//! Presence in Redis: leases in one sorted set, one hash per user with a field per node.
//!
//! Time is Redis' own, told by scripts, so that the clocks of nodes do not matter. Promises one round trip per call.
//! What a node without a lease said is dropped when others speak of the same user: back, it says everything again.

use std::{collections::HashSet, time::Duration};

use protocol::{NodeId, PresenceState, UserId};
use redis::Pipeline;

use super::{failure::Failure, keys::Keys};
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

impl Keys {
    pub(super) async fn hold_lease(&self, node: NodeId, ttl: Duration) -> Result<Vec<NodeId>, Failure> {
        let mut command = redis::cmd("EVAL");
        command.arg(format!("{NOW}{HOLD}")).arg(1).arg(self.leases());
        command.arg(node.to_string()).arg(millis(ttl)).arg(millis(PRESENCE_TTL));
        let names = self.within(async |connection| command.query_async(connection).await).await?;
        Ok(presence::nodes(names))
    }

    pub(super) async fn release_lease(&self, node: NodeId) -> Result<(), Failure> {
        let mut command = redis::cmd("ZREM");
        command.arg(self.leases()).arg(node.to_string());
        self.within(async |connection| command.query_async(connection).await).await
    }

    pub(super) async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<(), Failure> {
        if users.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::new();
        for users in users.chunks(SCRIPT_MAX) {
            let command = pipeline.cmd("EVAL").arg(format!("{NOW}{SET}")).arg(users.len() + 1).arg(self.leases());
            for user in users {
                command.arg(self.user(user.user));
            }
            command.arg(node.to_string()).arg(millis(PRESENCE_TTL));
            for user in users {
                let gone = user.state == PresenceState::Offline;
                command.arg(if gone { String::new() } else { encode(user) });
            }
            command.ignore();
        }
        self.within(async |connection| pipeline.query_async(connection).await).await
    }

    pub(super) async fn presence(&self, users: &[UserId]) -> Result<Vec<UserPresence>, Failure> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let live = format!("{NOW}{LIVE}");
        let mut nodes = redis::cmd("EVAL");
        nodes.arg(&live).arg(1).arg(self.leases());
        let mut pipeline = Pipeline::with_capacity(users.len() + 1);
        pipeline.add_command(nodes);
        for user in users {
            pipeline.cmd("HGETALL").arg(self.user(*user));
        }
        let answers: Vec<redis::Value> = self.within(async |connection| pipeline.query_async(connection).await).await?;
        let mut answers = answers.into_iter();
        let live: Vec<Vec<u8>> =
            answers.next().map(redis::from_redis_value).transpose().map_err(parse)?.unwrap_or_default();
        let live: HashSet<Vec<u8>> = live.into_iter().collect();
        let mut presences = Vec::with_capacity(users.len());
        for (user, answer) in users.iter().zip(answers) {
            let said: Hash = redis::from_redis_value(answer).map_err(parse)?;
            let said: Vec<_> =
                said.iter().filter(|(node, _)| live.contains(node)).filter_map(|(_, words)| decode(words)).collect();
            presences.push(presence::together(*user, said.iter().map(|(state, focus)| (*state, focus.as_slice()))));
        }
        Ok(presences)
    }

    fn leases(&self) -> String {
        format!("{}nodes", self.prefix)
    }

    fn user(&self, id: UserId) -> String {
        format!("{}presence:{id}", self.prefix)
    }
}

fn millis(time: Duration) -> u64 {
    time.min(PRESENCE_TTL).as_millis() as u64
}

fn parse(error: redis::ParsingError) -> Failure {
    Failure::from(redis::RedisError::from(error))
}
