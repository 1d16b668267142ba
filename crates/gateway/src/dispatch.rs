//! Commands to use cases: decode happened before, here is one call of `chat` each (of `presence` where it is the
//! connection's own affair), and the reply.

use std::sync::Arc;

use chat::{ChatError, Result};
use protocol::{Command, EditMessage, ErrorCode, PresenceList, Reply, ReplyError, SendMessage};
use serde::Serialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::Instrument;

use crate::{link::Link, metrics::Metrics, node::Node, traced};

/// Does a command and builds the reply frame; with it, whom the connection watches once the reply is on its way.
/// `hello` and `auth.renew` belong to the connection and do not get here.
pub(crate) async fn run(
    node: &Node,
    link: &Arc<Link>,
    reference: Option<String>,
    command: Command,
) -> (Utf8Bytes, Option<PresenceList>) {
    let (kind, mut watched) = (name(&command), None);
    let _timer = node.metrics.command_seconds.with_label_values(&[kind]).start_timer();
    let span = traced::command(link, kind);
    let doing = async {
        match command {
            Command::PresenceWatch(watch) => match node.watch(link, &watch.user_ids).await {
                Ok(list) => raw(watched.insert(list)),
                Err(error) => Err(error),
            },
            command => reply_data(node, link, command).await,
        }
    };
    let data = doing.instrument(span.clone()).await;
    let outcome = data.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok");
    count(&node.metrics, kind, outcome);
    span.record("outcome", outcome);
    // In the span: a defect that is logged makes it a failed one.
    let reply = span.in_scope(|| match data {
        Ok(data) => done(reference, data),
        Err(error) => refused(reference, &error),
    });
    (reply, watched)
}

async fn reply_data(node: &Node, link: &Arc<Link>, command: Command) -> Result<Box<serde_json::value::RawValue>> {
    let (chat, caller) = (&node.chat, &*link.caller);
    match command {
        Command::MessageSend(send) => {
            let request = SendMessage {
                content: send.content,
                client_id: Some(send.client_id),
                reply_to_id: send.reply_to_id,
                thread_root_id: send.thread_root_id,
                mentions: send.mentions,
                attachments: send.attachments,
            };
            raw(&chat.send(caller, send.conversation_id, request).await?.0)
        }
        Command::MessageEdit(edit) => raw(&chat
            .edit(caller, edit.message_id, EditMessage { content: edit.content, mentions: edit.mentions })
            .await?),
        Command::MessageDelete(delete) => raw(&chat.delete(caller, delete.message_id).await?),
        Command::MessagePin(pin) => raw(&chat.pin(caller, pin.message_id, true).await?),
        Command::MessageUnpin(pin) => raw(&chat.pin(caller, pin.message_id, false).await?),
        Command::ReactionAdd(react) => raw(&chat.react(caller, react.message_id, &react.emoji, true).await?),
        Command::ReactionRemove(react) => raw(&chat.react(caller, react.message_id, &react.emoji, false).await?),
        Command::TypingStart(typing) => done_with(chat.typing(caller, typing.conversation_id, true).await?),
        Command::TypingStop(typing) => done_with(chat.typing(caller, typing.conversation_id, false).await?),
        Command::ReceiptRead(mark) => raw(&chat.mark_read(caller, mark.conversation_id, mark.seq).await?),
        Command::ReceiptDelivered(mark) => raw(&chat.mark_delivered(caller, mark.conversation_id, mark.seq).await?),
        Command::ChangesGet(get) => raw(&chat.changes(caller, get.conversation_id, get.after, get.limit).await?),
        Command::PresenceSet(set) => {
            node.presence.set(link, set);
            done_with(())
        }
        Command::PresenceUnwatch(watch) => {
            node.unwatch(link, &watch.user_ids);
            done_with(())
        }
        Command::Ping => raw(&json!({})),
        Command::Hello(_) | Command::AuthRenew(_) | Command::PresenceWatch(_) => {
            Err(ChatError::new(ErrorCode::Internal, "this command belongs to the connection"))
        }
    }
}

fn done_with((): ()) -> Result<Box<serde_json::value::RawValue>> {
    raw(&json!({}))
}

fn raw(data: &impl Serialize) -> Result<Box<serde_json::value::RawValue>> {
    serde_json::value::to_raw_value(data)
        .map_err(|error| ChatError::new(ErrorCode::Internal, "something failed here").because(error))
}

/// A reply that says yes.
pub(crate) fn done(reference: Option<String>, data: impl Serialize) -> Utf8Bytes {
    frame(&Reply::done(reference, data))
}

/// A reply that says no. What failed here is logged, once.
pub(crate) fn refused(reference: Option<String>, error: &ChatError) -> Utf8Bytes {
    match error.code {
        ErrorCode::Internal => tracing::error!(error = error as &dyn std::error::Error, "a command failed"),
        ErrorCode::Unavailable => {
            tracing::debug!(error = error as &dyn std::error::Error, "a command met a part that is out of reach");
        }
        _ => {}
    }
    bad(reference, error.to_reply())
}

/// A reply to a frame that is no command.
pub(crate) fn bad(reference: Option<String>, error: ReplyError) -> Utf8Bytes {
    frame(&Reply::<()>::refused(reference, error))
}

fn frame(reply: &impl Serialize) -> Utf8Bytes {
    // A reply is strings, numbers and already serialised parts; should it ever not serialise, the client's own
    // time limit is the only thing left.
    serde_json::to_string(reply).unwrap_or_default().into()
}

pub(crate) fn count(metrics: &Metrics, kind: &str, outcome: &str) {
    metrics.commands.with_label_values(&[kind, outcome]).inc();
}

/// A command's `type`, as metric label.
pub(crate) fn name(command: &Command) -> &'static str {
    match command {
        Command::Hello(_) => "hello",
        Command::MessageSend(_) => "message.send",
        Command::MessageEdit(_) => "message.edit",
        Command::MessageDelete(_) => "message.delete",
        Command::MessagePin(_) => "message.pin",
        Command::MessageUnpin(_) => "message.unpin",
        Command::ReactionAdd(_) => "reaction.add",
        Command::ReactionRemove(_) => "reaction.remove",
        Command::TypingStart(_) => "typing.start",
        Command::TypingStop(_) => "typing.stop",
        Command::PresenceSet(_) => "presence.set",
        Command::PresenceWatch(_) => "presence.watch",
        Command::PresenceUnwatch(_) => "presence.unwatch",
        Command::ReceiptRead(_) => "receipt.read",
        Command::ReceiptDelivered(_) => "receipt.delivered",
        Command::ChangesGet(_) => "changes.get",
        Command::AuthRenew(_) => "auth.renew",
        Command::Ping => "ping",
    }
}
