//! The AsyncAPI document of the socket, from the tables of commands and events and the schemas of the wire types.

use std::fmt::Write;

use protocol::{Changes, CloseCode, REF_MAX, ReplyError, should_reconnect};
use serde_json::{Map, Value, json};

use super::{
    commands::{self, Schemas, Shape, shape},
    errors,
    events::{self, Field},
    pretty, prose,
};

/// The channel's name in the document.
const CHANNEL: &str = "ws";

/// The document of the socket.
pub(super) fn asyncapi() -> Value {
    let mut parts = Parts::default();
    for row in commands::rows() {
        parts.command(&row);
    }
    for row in events::rows() {
        parts.event(&row);
    }
    parts.page();
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Starling: the socket",
            "version": env!("CARGO_PKG_VERSION"),
            "description": description(),
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": { CHANNEL: {
            "address": "/v1/ws",
            "description": "One socket: commands from the client, replies and events from the server, as JSON text \
                            frames. Authenticate by the header `Authorization: Bearer …`, by `?ticket=` (see \
                            `POST /v1/tickets`) or by the first command `hello`. \
                            With `?await_hello=true` events are held until `hello` comes.",
            "messages": parts.references,
            "bindings": { "ws": { "method": "GET", "bindingVersion": "0.1.0" } },
        } },
        "operations": parts.operations,
        "components": { "messages": parts.messages, "schemas": parts.named() },
    });
    prose::clean(&mut document);
    prose::forget_counter(&mut document);
    errors::explain(&mut document);
    document
}

/// The AsyncAPI document as it is checked in (`docs/asyncapi.json`) and served.
pub fn asyncapi_document() -> String {
    pretty(&asyncapi())
}

fn description() -> String {
    let mut text = String::from(
        "A command is `{\"type\", \"ref\", …its fields}`; its reply repeats `ref` and has `ok` with `data`, or `error` \
         with a stable `code`. Durable events of a conversation carry `seq`, dense; those of a user carry `user_seq`. \
         Reply and event come in either order. Unknown fields and unknown event types are to be ignored.\n\n\
         `GET /v1/events` brings the same events as Server-Sent Events (`event:` is the type, `data:` the frame), \
         signed in by the header or by `?ticket=` of `POST /v1/tickets {\"for\": \"events\"}`. It is as if a socket had \
         said `hello` at once: `reply` is its answer. `id:` comes back as `Last-Event-ID` (or `?last_event_id=`) and \
         resumes on any node; the last event is `close` with `code` and `reason`. Refusals are 401, 403 and 503.\n\n\
         Close codes:",
    );
    for code in CloseCode::ALL {
        let then = if should_reconnect(code.code()) { "reconnect and resume" } else { "do not reconnect" };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n\n- `{}` {}: {then}", code.code(), code.reason());
    }
    text
}

/// The growing document.
#[derive(Default)]
struct Parts {
    schemas: Schemas,
    messages: Map<String, Value>,
    references: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Parts {
    /// Takes a shape in, and gives the reference to it.
    fn schema(&mut self, shape: &Shape) -> Value {
        (shape.collect)(&mut self.schemas);
        reference(&shape.name)
    }

    fn message(&mut self, name: &str, message: Value) {
        self.references.insert(name.into(), json!({ "$ref": format!("#/components/messages/{name}") }));
        self.messages.insert(name.into(), message);
    }

    fn command(&mut self, row: &commands::Row) {
        let fields = self.schema(&row.fields);
        let head = json!({
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": { "const": row.kind },
                "ref": { "type": "string", "maxLength": REF_MAX, "description": "Comes back in the reply." },
            },
        });
        let examples = row.examples.iter().map(|(name, fields)| {
            let mut frame = json!({ "type": row.kind, "ref": "1" });
            for (field, value) in fields.as_object().into_iter().flatten() {
                frame[field] = value.clone();
            }
            json!({ "name": name, "payload": frame })
        });
        let examples: Vec<_> = examples.collect();
        self.message(
            row.kind,
            json!({
                "name": row.kind,
                "summary": row.summary,
                "payload": { "allOf": [head, fields] },
                "examples": examples,
            }),
        );
        let reply = format!("{}.reply", row.kind);
        let data = self.schema(&row.reply);
        let error = self.schema(&shape::<ReplyError>());
        self.message(
            &reply,
            json!({
                "name": reply,
                "summary": format!("The reply to `{}`.", row.kind),
                "payload": { "oneOf": [
                    reply_schema(&json!({ "const": true }), "data", &data),
                    reply_schema(&json!({ "const": false }), "error", &error),
                ] },
            }),
        );
        let messages = |name: &str| json!([{ "$ref": format!("#/channels/{CHANNEL}/messages/{name}") }]);
        let channel = json!({ "$ref": format!("#/channels/{CHANNEL}") });
        self.operations.insert(
            row.kind.into(),
            json!({
                "action": "receive",
                "channel": channel,
                "summary": row.summary,
                "messages": messages(row.kind),
                "reply": { "channel": channel, "messages": messages(&reply) },
            }),
        );
    }

    fn event(&mut self, row: &events::Row) {
        let name = row.name();
        let data = self.schema(&row.data);
        let mut required = vec!["type", "data"];
        let mut properties = json!({ "type": { "const": name } });
        let counter = json!({ "type": "integer", "format": "int64", "minimum": 0 });
        for (field, there, schema, description) in [
            (
                "conversation_id",
                row.conversation_id,
                json!({ "$ref": "#/components/schemas/ConversationId" }),
                "Where.",
            ),
            ("seq", row.seq, counter.clone(), "The change's place in the conversation, dense."),
            ("user_seq", row.user_seq, counter, "The change's place in the user's feed, dense."),
        ] {
            if there != Field::Never {
                properties[field] = schema;
                if properties[field].get("$ref").is_none() {
                    properties[field]["description"] = description.into();
                }
            }
            if there == Field::Always {
                required.push(field);
            }
        }
        properties["data"] = data;
        let payload = json!({ "type": "object", "required": required, "properties": properties });
        self.told(&name, row.summary, &payload);
    }

    /// The frame `changes`, the only flat one.
    fn page(&mut self) {
        let payload = self.schema(&shape::<Changes>());
        let summary = "What was missed, on resume: moves the conversation's cursor from `from` to `to` in one step.";
        self.told("changes", summary, &payload);
    }

    fn told(&mut self, name: &str, summary: &str, payload: &Value) {
        self.message(name, json!({ "name": name, "summary": summary, "payload": payload }));
        self.operations.insert(
            name.into(),
            json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{CHANNEL}") },
                "summary": summary,
                "messages": [{ "$ref": format!("#/channels/{CHANNEL}/messages/{name}") }],
            }),
        );
    }

    /// Schemas by name, each once.
    fn named(&self) -> Value {
        let schemas = self.schemas.iter().map(|(name, schema)| {
            // utoipa's own types: these always serialise.
            (name.clone(), serde_json::to_value(schema).unwrap_or_default())
        });
        Value::Object(schemas.collect())
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn reply_schema(ok: &Value, part: &str, schema: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["type", "ref", "ok", part],
        "properties": {
            "type": { "const": "reply" },
            "ref": { "type": ["string", "null"], "description": "The command's; null when it could not be read." },
            "ok": ok,
            part: schema,
        },
    })
}
