//! Generated documents are as checked in, whole, and agree with each other. `UPDATE_GENERATED=1` writes them anew.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

fn is_current(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, generated).unwrap();
    }
    let checked_in = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        checked_in == generated,
        "{path} is not what the code says: run `UPDATE_GENERATED=1 cargo test -p api document`"
    );
}

fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap()
}

/// Nothing is null but what an example sends.
fn nothing_is_null(at: &str, value: &Value) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "example" | "examples"))
            .for_each(|(name, field)| nothing_is_null(&format!("{at}/{name}"), field)),
        Value::Array(items) => items.iter().for_each(|item| nothing_is_null(at, item)),
        value => assert!(!value.is_null(), "{at}"),
    }
}

/// Every reference leads somewhere.
fn references_lead_somewhere(document: &Value) {
    nothing_is_null("", document);
    for part in document.to_string().split("\"$ref\":\"#").skip(1) {
        let pointer = &part[..part.find('"').unwrap()];
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn openapi_document_is_current() {
    is_current("docs/openapi.json", &api::openapi_document());
}

#[test]
fn asyncapi_document_is_current() {
    is_current("docs/asyncapi.json", &api::asyncapi_document());
}

#[test]
fn errors_document_is_current() {
    is_current("docs/errors.md", &api::errors_document());
}

#[test]
fn typescript_document_is_current() {
    is_current("clients/typescript/types.ts", &api::typescript_document());
}

#[test]
fn openapi_document_says_for_each_operation_how_it_fails_and_who_may_call_it() {
    let document = parsed(&api::openapi_document());
    let open = [
        "/v1/auth/guest",
        "/v1/auth/register",
        "/v1/auth/login",
        "/v1/auth/refresh",
        "/v1/openapi.json",
        "/v1/asyncapi.json",
        "/v1/docs",
    ];
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let line = format!("{method} {path}");
            assert!(operation["responses"]["default"]["$ref"].is_string(), "{line}");
            assert_eq!(operation["security"].is_array(), !open.contains(&path.as_str()), "{line}");
            assert!(operation["summary"].is_string(), "{line}");
            assert!(names.insert(operation["operationId"].to_string()), "two operations have the name of {line}");
            if operation["requestBody"].is_object() {
                let examples = operation["requestBody"]["content"]["application/json"]["examples"].as_object();
                assert!(examples.is_some_and(|examples| !examples.is_empty()), "{line} has no example");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let in_path = parameter["in"] == "path";
                assert!(!in_path || parameter["example"].is_string(), "{line}: {parameter}");
            }
        }
    }
    references_lead_somewhere(&document);
}

#[test]
fn asyncapi_document_has_every_command_and_every_event() {
    let document = parsed(&api::asyncapi_document());
    references_lead_somewhere(&document);
    let operations = document["operations"].as_object().unwrap();
    let named = |action: &str| -> BTreeSet<String> {
        operations.iter().filter(|(_, said)| said["action"] == action).map(|(name, _)| name.clone()).collect()
    };
    let commands: BTreeSet<_> = protocol::Command::TYPES.iter().map(ToString::to_string).collect();
    assert_eq!(named("receive"), commands);
    // The list of event types that the wire type itself has, so that none is missing in `EventType::ALL` either.
    let schema = serde_json::to_value(<protocol::EventType as utoipa::PartialSchema>::schema()).unwrap();
    let mut events: BTreeSet<String> =
        schema["enum"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap().to_owned()).collect();
    assert!(events.insert("changes".into()));
    assert_eq!(named("send"), events);
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        assert!(message["payload"].is_object(), "{name}");
    }
}

#[test]
fn documents_name_each_error_code_as_it_is_on_the_wire() {
    let codes: Vec<Value> = protocol::ErrorCode::ALL.iter().map(|code| code.as_str().into()).collect();
    for document in [api::openapi_document(), api::asyncapi_document()] {
        let schema = &parsed(&document)["components"]["schemas"]["ErrorCode"];
        assert_eq!(schema["enum"].as_array(), Some(&codes));
        assert_eq!(schema["x-enum-descriptions"].as_object().map(serde_json::Map::len), Some(codes.len()));
    }
}

#[test]
fn documents_agree_on_the_shapes_that_they_share() {
    let (rest, socket) = (parsed(&api::openapi_document()), parsed(&api::asyncapi_document()));
    let mut shared = 0;
    for (name, schema) in socket["components"]["schemas"].as_object().unwrap() {
        if let Some(other) = rest["components"]["schemas"].get(name) {
            assert_eq!(other, schema, "{name}");
            shared += 1;
        }
    }
    assert!(shared > 20, "{shared}");
}

#[test]
fn typescript_document_has_a_type_for_all_that_it_names() {
    let text = api::typescript_document();
    let declared: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("export type ").or_else(|| line.strip_prefix("export interface ")))
        .filter_map(|rest| rest.split([' ', '<', '=']).next())
        .collect();
    for name in ["Message", "Conversation", "ServerFrame", "ClientCommand", "MessageSendCommand", "Operations"] {
        assert!(declared.contains(name), "{name}");
    }
    assert!(!text.contains("unknown;"), "a schema was not understood");
}
