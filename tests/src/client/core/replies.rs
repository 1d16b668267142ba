//! What the server answers: to `hello`, to what is fetched and watched, and to commands.

use std::time::Duration;

use protocol::{Changes, ErrorCode, Reply};
use serde_json::Value;

use super::{
    BROKEN, Core, HELLO_REF, RETRY, WATCH_REF,
    words::{Answered, Output, Persistence, Phase, is_passing, passing},
};
use crate::client::view::Load;

impl Core {
    /// Takes a reply of the server, to whatever it was said.
    pub(super) fn reply(&mut self, now: Duration, frame: Value) {
        let Ok(reply) = serde_json::from_value::<Reply<Value>>(frame.clone()) else {
            self.view.violations.push(format!("a malformed reply: {frame}"));
            return;
        };
        let reference = reply.reference.clone().unwrap_or_default();
        if reference == HELLO_REF {
            self.hello(now, frame, reply.ok);
        } else if reference == WATCH_REF {
            self.watching(now, reply, frame);
        } else if let Some(load) = Load::of(&reference) {
            self.loaded(now, load, reply, frame);
        } else if let Some(at) = self.commands.iter().position(|command| command.number.to_string() == reference) {
            self.answer(now, at, reply);
        } else if !reference.parse().is_ok_and(|number| self.repeated.contains(&number)) {
            self.view.violations.push(format!("a reply that nobody waits for: {frame}"));
        }
    }

    fn hello(&mut self, now: Duration, frame: Value, ok: bool) {
        if !ok {
            // A node that lost its database says so, and closes.
            if !passing(&frame["error"]["code"]) {
                self.view.violations.push(format!("hello was refused: {frame}"));
            }
            return self.leave(now, BROKEN);
        }
        self.view.take(frame);
        self.phase = Phase::Live;
        self.connections += 1;
        self.failures = 0;
        self.loading.extend(self.view.take_to_load());
        for load in self.loading.clone() {
            self.load(now, load, 0);
        }
        self.say_watch(now);
        self.flush(now);
    }

    /// A page of a conversation that is fetched.
    fn loaded(&mut self, now: Duration, load: Load, reply: Reply<Value>, frame: Value) {
        if !self.view.is_current(&load) {
            return;
        }
        match (reply.error, reply.data.map(serde_json::from_value::<Changes>)) {
            (None, Some(Ok(page))) => {
                let next = page.more.then_some(page.to);
                self.view.take(frame);
                match next {
                    Some(after) => self.load(now, load, after),
                    None => self.loading.retain(|loading| *loading != load),
                }
            }
            (Some(error), _) if error.retry_after_ms.is_some() || is_passing(error.code) => {
                let after = error.retry_after_ms.map_or(RETRY, Duration::from_millis);
                self.load_later.push((now + after, load));
            }
            // No longer theirs.
            (Some(error), _) if matches!(error.code, ErrorCode::NotFound | ErrorCode::NotAParticipant) => {
                self.loading.retain(|loading| *loading != load);
            }
            other => {
                self.view.violations.push(format!("`changes.get` of {}: {other:?}", load.id));
                self.loading.retain(|loading| *loading != load);
            }
        }
    }

    fn answer(&mut self, now: Duration, at: usize, reply: Reply<Value>) {
        let command = &mut self.commands[at];
        let again = command.persistence == Persistence::UntilAnswered;
        if let Some(error) = reply.error.as_ref().filter(|error| again && is_passing(error.code)) {
            command.said = None;
            command.not_before = now + error.retry_after_ms.map_or(RETRY, Duration::from_millis);
            self.repeated.insert(command.number);
            return;
        }
        let number = self.commands.remove(at).number;
        self.outputs.push_back(Output::Answered { number, outcome: Answered::Reply(reply) });
    }
}
