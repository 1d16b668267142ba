//! How a connection starts: its greeting, its first command, and the flow of events that follows.

use std::{sync::Arc, time::Duration};

use chat::ChatError;
use protocol::{Connected, ErrorCode, Event, EventType, Hello, HelloReply, Resume};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Connection;
use crate::{
    close::close_code,
    dispatch,
    follow::{Live, Started},
    link::Link,
    node::Node,
    outbox::Class,
    serve::{Opening, log_failure},
    transport::Transport,
};

/// A client that says nothing at first, and did not promise to, goes live after this.
const FIRST_COMMAND: Duration = Duration::from_secs(1);
/// Conversations that a resume may name.
const RESUME_CURSORS_MAX: usize = 1_000;

impl<T: Transport> Connection<T> {
    pub(super) fn greet(&self, started: &Started) {
        let data = Connected {
            connection_id: self.link.id,
            user: self.link.caller.user.clone(),
            epoch: started.memberships.epoch.clone(),
            user_seq: started.memberships.user_seq,
            announcement_seq: started.announcement_seq,
            heartbeat_interval_ms: self.node.config.heartbeat.as_millis() as u64,
            limits: self.node.chat.limits().clone(),
        };
        self.push_event(&Event::plain(EventType::Connected, data), Class::Durable);
    }

    pub(super) fn open(&mut self, started: Started, opening: Opening) {
        match opening {
            Opening::Silent { says_hello } => {
                let patience = if says_hello { self.node.config.hello_timeout } else { FIRST_COMMAND };
                self.first_command_by = Instant::now() + patience;
                self.started = Some(started);
            }
            Opening::Hello(reference, hello) => {
                self.started = Some(started);
                self.hello(reference, hello);
            }
            Opening::Stream(last) => {
                let (node, link) = (Arc::clone(&self.node), Arc::clone(&self.link));
                self.node.spawn_for_connection(async move {
                    let live = node.stream(&link, started, last).await;
                    tell(&node, &link, live, |reply| Some(dispatch::done(None, reply))).await;
                });
            }
        }
    }

    pub(super) fn hello(&mut self, reference: Option<String>, hello: Hello) {
        let Some(started) = self.started.take() else {
            let error = ChatError::new(ErrorCode::Invalid, "hello comes first, and once");
            return self.push(dispatch::refused(reference, &error));
        };
        if hello.resume.as_ref().is_some_and(|resume| resume.cursors.len() > RESUME_CURSORS_MAX) {
            self.started = Some(started);
            let error = ChatError::field(
                "resume.cursors",
                format!("must name at most {RESUME_CURSORS_MAX} conversations; name the most recent"),
            );
            return self.push(dispatch::refused(reference, &error));
        }
        self.start_flow(started, Some(Asked { reference, resume: hello.resume }));
    }

    /// The client did not say `hello`: what was held goes out.
    pub(super) fn go_live(&mut self) {
        if let Some(started) = self.started.take() {
            self.start_flow(started, None);
        }
    }

    /// Replays what was missed, if asked to, and lets events flow, in a task of its own.
    fn start_flow(&self, started: Started, asked: Option<Asked>) {
        let (node, link) = (Arc::clone(&self.node), Arc::clone(&self.link));
        self.node.spawn_for_connection(async move {
            let (reference, resume) = match asked {
                Some(Asked { reference, resume }) => (Some(reference), resume),
                None => (None, None),
            };
            let live = match resume {
                Some(resume) => node.resume(&link, started, &resume).await,
                None => node.go_live(&link, started).await,
            };
            tell(&node, &link, live, |reply| reference.map(|reference| dispatch::done(reference, reply))).await;
        });
    }
}

/// A `hello` that waits for its answer.
struct Asked {
    reference: Option<String>,
    resume: Option<Resume>,
}

/// Tells what events flow from, in the frame that `answer` makes of it; ends the connection when they cannot.
async fn tell(
    node: &Node,
    link: &Arc<Link>,
    live: chat::Result<Live>,
    answer: impl FnOnce(&HelloReply) -> Option<Utf8Bytes>,
) {
    match live {
        Ok(Live { mut reply, rest }) => {
            {
                // Held: the news of the feed that a conversation is lost goes out before this answer, which then does
                // not name it, or after it. Who leaves one for that takes the lock before telling.
                let following = link.following.lock();
                reply.heads.retain(|id, _| following.contains(*id));
                if let Some(frame) = answer(&reply) {
                    link.outbox.push(frame, Class::Durable);
                }
            }
            if let Err(error) = node.told_heads(link, &reply).await {
                log_failure(link, &error);
                return link.outbox.close(close_code(&error));
            }
            node.tell_rest(link, &rest).await;
        }
        Err(error) => {
            log_failure(link, &error);
            link.outbox.close(close_code(&error));
        }
    }
}
