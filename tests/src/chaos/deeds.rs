//! What somebody does, tried until there is an answer, and written down for the auditor.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use protocol::{ConversationId, ErrorCode, Message, UserId};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::device::Device;
use crate::{
    audit::{Act, Deed, Log, Outcome},
    client::{Rest, is_passing},
};

/// After this nobody waits for an answer any more, whatever is broken.
const PATIENCE: Duration = Duration::from_secs(45);
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(200);

/// What was done so far.
pub(super) struct Book {
    start: Instant,
    log: Mutex<Log>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    tokens: AtomicU64,
}

/// A REST call.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

impl Book {
    pub(super) fn new(start: Instant, users: Vec<UserId>) -> Self {
        let log = Mutex::new(Log { users, ..Log::default() });
        Self { start, log, counts: Mutex::default(), tokens: AtomicU64::new(0) }
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn since_join(&self, id: ConversationId) {
        self.log.lock().since_join.insert(id);
    }

    /// A word that nothing else in this round begins with.
    pub(super) fn token(&self) -> String {
        format!("t{}", self.tokens.fetch_add(1, Relaxed))
    }

    pub(super) fn count(&self, what: &'static str) {
        *self.counts.lock().entry(what).or_default() += 1;
    }

    /// Puts what was done into a log; how often each thing was done.
    pub(super) fn close(&self, log: &mut Log) -> BTreeMap<&'static str, u64> {
        let done = self.log.lock().clone();
        (log.users, log.acts, log.since_join) = (done.users, done.acts, done.since_join);
        self.counts.lock().clone()
    }

    fn write(&self, at: Duration, user: UserId, deed: Option<Deed>, outcome: Outcome) {
        if let Some(deed) = deed {
            let until = self.now();
            self.log.lock().acts.push(Act { at, until, user, deed, outcome });
        }
    }

    /// Over REST; what was answered when it was done.
    pub(super) async fn call(
        &self,
        what: &'static str,
        user: UserId,
        rest: &Rest,
        call: Call,
        deed: Option<Deed>,
    ) -> Option<Value> {
        self.count(what);
        let (at, mut outcome, mut answer) = (self.now(), Outcome::Unknown, None);
        let mut in_doubt = false;
        while self.now() < at + PATIENCE {
            match rest.call(call.method.clone(), &call.path, call.body.clone(), &[]).await {
                Ok(said) if said.status.is_success() => {
                    outcome = Outcome::Done(message(&said.body));
                    answer = Some(said.body);
                    break;
                }
                Ok(said) => {
                    let code: Option<ErrorCode> =
                        said.body.get("code").and_then(|code| serde_json::from_value(code.clone()).ok());
                    match code.filter(|code| !is_passing(*code) && said.status != StatusCode::INTERNAL_SERVER_ERROR) {
                        // An earlier try may be why.
                        Some(_) if in_doubt => break,
                        Some(code) => {
                            outcome = Outcome::Refused(code);
                            break;
                        }
                        None => in_doubt = true,
                    }
                }
                Err(_) => in_doubt = true,
            }
            sleep(AGAIN).await;
        }
        self.write(at, user, deed, outcome);
        answer
    }

    /// Over a socket; the same. A stream says nothing.
    pub(super) async fn say(
        &self,
        what: &'static str,
        device: &Device,
        kind: &str,
        fields: Value,
        deed: Option<Deed>,
    ) -> Option<Value> {
        self.count(what);
        let at = self.now();
        let (mut outcome, mut answer) = (Outcome::Unknown, None);
        if let Some(client) = device.client()
            && let Ok(reply) = client.persist(kind, fields, PATIENCE).await
            && reply.ok
        {
            // A refusal may be an earlier try's doing: nobody knows.
            let data = reply.data.unwrap_or_default();
            outcome = Outcome::Done(message(&data));
            answer = Some(data);
        }
        self.write(at, device.user, deed, outcome);
        answer
    }
}

fn message(body: &Value) -> Option<Box<Message>> {
    serde_json::from_value(body.clone()).ok().map(Box::new)
}
