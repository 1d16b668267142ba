//! The commands of the socket as the documents tell them: fields, reply, what each does, an example. A row for each of
//! `Command::TYPES`; a test says so.

use protocol::{
    AuthRenew, AuthRenewed, Changes, ChangesGet, Command, Hello, HelloReply, Message, MessageEdit, MessageRef,
    MessageSend, PresenceList, PresenceSet, PresenceWatch, ReactionCommand, Receipt, ReceiptMark, TypingCommand,
};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::examples::command as example;

/// Nothing but `{}`.
#[derive(ToSchema)]
pub(super) struct Empty {}

/// Schemas by name.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// A schema's name, and how it and what it refers to are found.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) collect: fn(&mut Schemas),
}

/// The shape of a wire type.
pub(super) fn shape<T: ToSchema>() -> Shape {
    Shape {
        name: T::name().into_owned(),
        collect: |schemas| {
            schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
            T::schemas(schemas);
        },
    }
}

/// One command.
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) summary: &'static str,
    pub(super) fields: Shape,
    pub(super) reply: Shape,
    /// Frames without `type` and `ref`.
    pub(super) examples: Vec<(&'static str, Value)>,
}

fn row<F: ToSchema, R: ToSchema>(kind: &'static str, summary: &'static str) -> Row {
    Row { kind, summary, fields: shape::<F>(), reply: shape::<R>(), examples: example(kind) }
}

/// Every command, in the order of the documents.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        row::<Hello, HelloReply>("hello", "Authenticate, or resume: what was missed comes before the reply."),
        row::<MessageSend, Message>(
            "message.send",
            "Send a message. Answered when it is committed; a retry with the \
            same `client_id` gets the first message back.",
        ),
        row::<MessageEdit, Message>("message.edit", "Edit one's own message."),
        row::<MessageRef, Message>(
            "message.delete",
            "Delete one's own message, or any as an admin of the \
            conversation.",
        ),
        row::<MessageRef, Message>("message.pin", "Pin a message (admins; in a direct conversation both)."),
        row::<MessageRef, Message>("message.unpin", "Unpin it."),
        row::<ReactionCommand, Message>("reaction.add", "React to a message; at most 20 distinct emoji under one."),
        row::<ReactionCommand, Message>("reaction.remove", "Take a reaction back."),
        row::<TypingCommand, Empty>(
            "typing.start",
            "Say that one is typing, every 3 s while it is so. Others forget \
            it after 5 s.",
        ),
        row::<TypingCommand, Empty>("typing.stop", "Say that one stopped."),
        row::<PresenceSet, Empty>(
            "presence.set",
            "Say for this connection whether it is in use, and which \
            conversation is on the screen. The most active connection of a user counts.",
        ),
        row::<PresenceWatch, PresenceList>(
            "presence.watch",
            "Be told of these users' presence, as far as one may \
            see it; the reply tells it as of now. At most 500 for one connection.",
        ),
        row::<PresenceWatch, Empty>("presence.unwatch", "Be told of it no longer."),
        row::<ReceiptMark, Receipt>(
            "receipt.read",
            "Move one's read marker forward, and the delivered marker with \
            it.",
        ),
        row::<ReceiptMark, Receipt>(
            "receipt.delivered",
            "Move one's delivered marker forward. Not kept above 100 \
            participants.",
        ),
        row::<ChangesGet, Changes>(
            "changes.get",
            "Everything after a cursor, for a client that found a gap. Ask \
            again from `to` while `more`.",
        ),
        row::<AuthRenew, AuthRenewed>("auth.renew", "Replace the connection's access token before it ends."),
        row::<Empty, Empty>("ping", "Answered at once."),
    ];
    rows.sort_by_key(|row| Command::TYPES.iter().position(|kind| *kind == row.kind));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_told_with_an_example_that_is_one() {
        let rows = rows();
        let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, Command::TYPES);
        for row in rows {
            assert!(!row.examples.is_empty(), "{} has no example", row.kind);
            for (_, mut frame) in row.examples {
                frame["type"] = row.kind.into();
                assert!(Command::decode(&frame.to_string()).is_ok(), "{frame}");
            }
        }
    }
}
