//! TypeScript types of the wire, from the same two documents: each schema by its name, the frames of the socket as
//! unions told apart by `type`, and what each REST operation takes and gives. Types alone: no code.

use std::fmt::Write;

use protocol::CloseCode;
use serde_json::{Map, Value};

use super::{asyncapi::asyncapi, openapi::openapi};

const HEAD: &str = "\
// What Starling's REST API and socket speak, as TypeScript types.
// Generated from crates/protocol by `make generate`; do not edit.

/* eslint-disable */

";

/// The TypeScript types as they are checked in (`clients/typescript/types.ts`).
pub fn typescript_document() -> String {
    let (rest, socket) = (openapi(), asyncapi());
    let mut schemas = Map::new();
    for document in [&socket, &rest] {
        if let Some(named) = document["components"]["schemas"].as_object() {
            schemas.extend(named.clone());
        }
    }
    let mut text = String::from(HEAD);
    for (name, schema) in &schemas {
        declare(&mut text, &type_name(name), schema);
    }
    frames(&mut text, &socket);
    operations(&mut text, &rest);
    text
}

/// `Page_Message` is `PageMessage`.
fn type_name(schema: &str) -> String {
    schema.split('_').collect()
}

// Writing to a String cannot fail, here and below.

fn declare(text: &mut String, name: &str, schema: &Value) {
    comment(text, schema, 0);
    if schema["properties"].is_object() {
        let _ = writeln!(text, "export interface {name} {}\n", object(schema, 0));
    } else {
        let _ = writeln!(text, "export type {name} = {};\n", type_of(schema, 0));
    }
}

fn comment(text: &mut String, schema: &Value, depth: usize) {
    if let Some(said) = schema["description"].as_str() {
        // The end of a comment inside one would end it.
        let said = said.replace("*/", "* /").replace("\n\n", " ");
        let _ = writeln!(text, "{}/** {said} */", "  ".repeat(depth));
    }
}

fn type_of(schema: &Value, depth: usize) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        return type_name(target.rsplit('/').next().unwrap_or_default());
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return union(values.iter().map(Value::to_string).collect());
    }
    for (keyword, sign) in [("oneOf", " | "), ("anyOf", " | "), ("allOf", " & ")] {
        if let Some(parts) = schema[keyword].as_array() {
            let parts: Vec<_> = parts.iter().map(|part| type_of(part, depth)).collect();
            return if sign == " | " { union(parts) } else { parts.join(sign) };
        }
    }
    match &schema["type"] {
        Value::Array(types) => union(types.iter().map(|kind| plain(kind, schema, depth)).collect()),
        kind => plain(kind, schema, depth),
    }
}

fn union(mut parts: Vec<String>) -> String {
    // `null` last, as one writes it by hand.
    parts.sort_by_key(|part| part == "null");
    parts.join(" | ")
}

fn plain(kind: &Value, schema: &Value, depth: usize) -> String {
    match kind.as_str() {
        Some("string") => "string".into(),
        Some("integer" | "number") => "number".into(),
        Some("boolean") => "boolean".into(),
        Some("null") => "null".into(),
        Some("array") => {
            let item = type_of(&schema["items"], depth);
            if item.contains(' ') { format!("({item})[]") } else { format!("{item}[]") }
        }
        Some("object") => object(schema, depth),
        _ => "unknown".into(),
    }
}

fn object(schema: &Value, depth: usize) -> String {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return match &schema["additionalProperties"] {
            Value::Object(values) => format!("Record<string, {}>", type_of(&Value::Object(values.clone()), depth)),
            _ => "Record<string, unknown>".into(),
        };
    };
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut names: Vec<_> = properties.keys().collect();
    names.sort_by_key(|name| match name.as_str() {
        "type" | "id" | "ref" => 0,
        name if required.contains(&name) => 1,
        _ => 2,
    });
    let mut text = String::from("{\n");
    for name in names {
        let property = &properties[name];
        comment(&mut text, property, depth + 1);
        let optional = if required.contains(&name.as_str()) { "" } else { "?" };
        let _ = writeln!(text, "{}{}{optional}: {};", "  ".repeat(depth + 1), key(name), type_of(property, depth + 1));
    }
    let _ = write!(text, "{}}}", "  ".repeat(depth));
    text
}

/// A property's name, in quotes where it needs them.
fn key(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("{name:?}") }
}

/// `message.created` is `MessageCreated`.
fn pascal(name: &str) -> String {
    let words = name.split(['.', '_']);
    words
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

/// Commands, replies and events, and the unions of them.
fn frames(text: &mut String, socket: &Value) {
    let mut commands = Vec::new();
    let mut events = vec!["ChangesFrame".to_owned()];
    let mut replies = String::new();
    for (name, operation) in socket["operations"].as_object().into_iter().flatten() {
        let message = &socket["components"]["messages"][name];
        let _ = writeln!(text, "/** {} */", message["summary"].as_str().unwrap_or_default());
        let frame = type_of(&message["payload"], 0);
        if operation["action"] == "receive" {
            let type_name = format!("{}Command", pascal(name));
            let _ = writeln!(text, "export type {type_name} = {frame};\n");
            commands.push(type_name);
            let reply = &socket["components"]["messages"][format!("{name}.reply")]["payload"]["oneOf"][0];
            let _ = writeln!(replies, "  {name:?}: {};", type_of(&reply["properties"]["data"], 1));
        } else if name == "changes" {
            let _ = writeln!(text, "export type ChangesFrame = {frame};\n");
        } else {
            let type_name = format!("{}Event", pascal(name));
            let _ = writeln!(text, "export type {type_name} = {frame};\n");
            events.push(type_name);
        }
    }
    let list = |names: &[String]| format!("\n  | {}", names.join("\n  | "));
    let codes: Vec<_> = CloseCode::ALL.iter().map(|code| code.code().to_string()).collect();
    let _ = write!(
        text,
        "/** What a client sends. */\n\
         export type ClientCommand ={};\n\n\
         /** What the reply to each command has in `data`. */\n\
         export interface CommandReplies {{\n{replies}}}\n\n\
         /** The answer to a command: done. */\n\
         export interface ReplyDone<T = unknown> {{\n  type: \"reply\";\n  ref: string | null;\n  ok: true;\n  data: T;\n}}\n\n\
         /** The answer to a command: refused. */\n\
         export interface ReplyRefused {{\n  type: \"reply\";\n  ref: string | null;\n  ok: false;\n  error: ReplyError;\n}}\n\n\
         /** The answer to a command. */\n\
         export type ReplyFrame<T = unknown> = ReplyDone<T> | ReplyRefused;\n\n\
         /** What the server pushes. */\n\
         export type ServerEvent ={};\n\n\
         /** What a client gets. */\n\
         export type ServerFrame = ServerEvent | ReplyFrame;\n\n\
         /** The server's close codes: 4000–4499 reconnect and resume, 4500–4999 stop. */\n\
         export type CloseCode = {};\n\n",
        list(&commands),
        list(&events),
        codes.join(" | "),
    );
}

/// What each REST operation takes and gives, by its name in the OpenAPI document.
fn operations(text: &mut String, rest: &Value) {
    text.push_str("/** What each REST operation takes and gives. */\nexport interface Operations {\n");
    let mut all: Vec<_> = Vec::new();
    for (path, item) in rest["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            all.push((operation["operationId"].as_str().unwrap_or_default(), method, path, operation));
        }
    }
    all.sort_unstable_by_key(|(id, ..)| *id);
    for (id, method, path, operation) in all {
        let _ = writeln!(text, "  /** {} */", operation["summary"].as_str().unwrap_or_default());
        let _ = writeln!(text, "  {id}: {{");
        let _ = writeln!(text, "    method: {:?};", method.to_uppercase());
        let _ = writeln!(text, "    path: {path:?};");
        for place in ["path", "query"] {
            parameters(text, operation, place);
        }
        let body = &operation["requestBody"];
        if body.is_object() {
            let optional = if body["required"] == true { "" } else { "?" };
            let _ =
                writeln!(text, "    body{optional}: {};", type_of(&body["content"]["application/json"]["schema"], 2));
        }
        let _ = writeln!(text, "    response: {};\n  }};", answer(operation));
    }
    text.push_str("}\n");
}

fn parameters(text: &mut String, operation: &Value, place: &str) {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<_> = parameters.filter(|parameter| parameter["in"] == place).collect();
    if parameters.is_empty() {
        return;
    }
    let all_optional = parameters.iter().all(|parameter| parameter["required"] != true);
    let name = if place == "path" { "params" } else { place };
    let _ = writeln!(text, "    {name}{}: {{", if all_optional { "?" } else { "" });
    for parameter in parameters {
        comment(text, parameter, 3);
        let optional = if parameter["required"] == true { "" } else { "?" };
        let name = key(parameter["name"].as_str().unwrap_or_default());
        let kind = type_of(&parameter["schema"], 3);
        let _ = writeln!(text, "      {name}{optional}: {kind};");
    }
    text.push_str("    };\n");
}

/// What an operation answers when it does what it should: of several statuses the same thing comes once.
fn answer(operation: &Value) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        if !status.starts_with('2') {
            continue;
        }
        let contents = response["content"].as_object();
        let kind = match contents.and_then(|contents| contents.get("application/json")) {
            Some(content) => type_of(&content["schema"], 2),
            None if contents.is_some() => "string".into(),
            None => "undefined".into(),
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(" | ")
}
