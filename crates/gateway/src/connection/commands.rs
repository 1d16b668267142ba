//! What a client says: each command is started in its turn, and answered through the outbox.

use std::sync::{Arc, atomic::Ordering};

use chat::ChatError;
use protocol::{AuthRenew, BadCommand, CloseCode, Command, ErrorCode};
use tokio::time::Instant;

use super::Connection;
use crate::{
    dispatch,
    link::Link,
    node::Node,
    outbox::Class,
    rate::TooFast,
    serve::deadline_of,
    transport::{End, Transport},
};

/// Commands of one connection under way at once; beyond it its socket is not read. Fewer where outboxes are small: each
/// brings a reply, and mostly an event.
const IN_FLIGHT_MAX: usize = 32;
/// So many frames of an outbox for each command under way.
const FRAMES_PER_COMMAND: usize = 8;
/// Markers of one connection under way at once, beside those: each waits for a write that it shares with others. Beyond
/// it they are refused.
const MARKERS_MAX: usize = 256;
/// By then those that wait were written.
const MARKERS_WAIT_MS: u64 = 1_000;

impl<T: Transport> Connection<T> {
    pub(super) async fn command(&mut self, text: &str) -> std::result::Result<(), End> {
        let decoded = Command::decode(text);
        if let Err(too_fast) = self.rate.take(Instant::now()) {
            let TooFast::Wait(wait) = too_fast else {
                return Err(End::Close(CloseCode::RateLimited));
            };
            let reference = decoded.map_or_else(|bad| bad.reference, |(reference, _)| reference);
            let error = ChatError::new(ErrorCode::RateLimited, "too many commands; slow down")
                .retry_after((wait.as_millis() as u64).max(1));
            self.push(dispatch::refused(reference, &error));
            return Ok(());
        }
        match decoded {
            Err(BadCommand { reference, error }) => {
                dispatch::count(&self.node.metrics, "none", error.code.as_str());
                self.push(dispatch::bad(reference, error));
            }
            Ok((reference, Command::Hello(hello))) => self.hello(reference, hello),
            Ok((reference, Command::AuthRenew(AuthRenew { token }))) => self.renew(reference, token),
            Ok((reference, command)) => {
                self.go_live();
                if is_marker(&command) && self.link.markers() >= MARKERS_MAX {
                    dispatch::count(&self.node.metrics, dispatch::name(&command), ErrorCode::RateLimited.as_str());
                    let error = ChatError::new(ErrorCode::RateLimited, "too many markers are under way")
                        .retry_after(MARKERS_WAIT_MS);
                    self.push(dispatch::refused(reference, &error));
                    return Ok(());
                }
                let mut work = Box::pin(work(Arc::clone(&self.node), Arc::clone(&self.link), reference, command));
                // Polled once right here, so that commands reach the writer's queue in the order they came; then in
                // a task of its own: while this one waits for a slow socket, nothing that holds a connection to the
                // database may wait with it.
                if futures_util::poll!(&mut work).is_pending() {
                    self.node.spawn_for_connection(work);
                }
            }
        }
        Ok(())
    }

    fn renew(&self, reference: Option<String>, token: String) {
        if self.link.renewing.swap(true, Ordering::AcqRel) {
            let error = ChatError::new(ErrorCode::Invalid, "a renewal is under way already");
            return self.push(dispatch::refused(reference, &error));
        }
        let (node, link) = (Arc::clone(&self.node), Arc::clone(&self.link));
        self.node.spawn_for_connection(async move {
            let reply = match node.chat.authenticate_connection(&token).await {
                Ok(caller) if caller.user.id == link.user() && caller.session == link.caller.session => {
                    *link.expires_at.lock() = deadline_of(&node, caller.expires_at);
                    dispatch::done(reference, serde_json::json!({ "expires_at": caller.expires_at }))
                }
                Ok(_) => {
                    let error = ChatError::field("token", "belongs to another user or session");
                    dispatch::refused(reference, &error)
                }
                Err(error) => dispatch::refused(reference, &error),
            };
            link.renewing.store(false, Ordering::Release);
            link.outbox.push(reply, Class::Durable);
        });
    }
}

fn is_marker(command: &Command) -> bool {
    matches!(command, Command::ReceiptRead(_) | Command::ReceiptDelivered(_))
}

/// Whether the next command is read: what those before it bring must fit into the outbox. A client that says a lot at
/// once waits; it is not cut off for answers that it would have read.
pub(super) fn reads(link: &Link) -> bool {
    !is_busy(link) && link.outbox.is_roomy()
}

/// Whether as many commands are under way as may be.
pub(super) fn is_busy(link: &Link) -> bool {
    link.in_flight() >= (link.outbox.events_max() / FRAMES_PER_COMMAND).clamp(1, IN_FLIGHT_MAX)
}

/// Does one command and puts its reply into the outbox.
async fn work(node: Arc<Node>, link: Arc<Link>, reference: Option<String>, command: Command) {
    let counted = link.begin_command(is_marker(&command));
    let reads_much = matches!(command, Command::ChangesGet(_) | Command::PresenceWatch(_));
    // Who is unwatched must not come back by a watch that was asked for before it.
    let in_turn = reads_much || matches!(command, Command::PresenceUnwatch(_));
    let turn = if in_turn { Some(link.reads.lock().await) } else { None };
    if reads_much && !link.outbox.room().await {
        return;
    }
    let (reply, watched) = dispatch::run(&node, &link, reference, command).await;
    // Before the reply: it wakes the connection, which then may read on.
    drop(counted);
    link.outbox.push(reply, Class::Durable);
    if let Some(list) = watched {
        node.watch_answered(&link, &list);
    }
    drop(turn);
}
