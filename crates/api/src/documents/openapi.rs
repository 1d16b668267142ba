//! The OpenAPI document: what utoipa makes of the routes, with the one way in which all of them fail, and examples.

use protocol::{ErrorCode, FieldError, Problem};
use serde_json::{Map, Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{errors, examples, pretty, prose};

/// Name of the security scheme and of the response that every operation has.
const BEARER: &str = "bearer";
const PROBLEM: &str = "Problem";

/// The head of the document; paths come from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Starling",
        description = "Chat: conversations, messages, receipts, presence, notifications. Events come over \
                       `GET /v1/ws`, or as Server-Sent Events over `GET /v1/events`: see `/v1/asyncapi.json`. Every error is `application/problem+json` with a \
                       stable `code`; see docs/errors.md.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem, FieldError, ErrorCode)),
    modifiers(&Bearer),
    tags(
        (name = "auth", description = "Signing in, sessions, tickets."),
        (name = "users", description = "Oneself and others, blocking, reporting."),
        (name = "conversations", description = "Direct, group and public conversations."),
        (name = "participants", description = "Who takes part."),
        (name = "messages", description = "Messages, reactions, pins, threads, and what changed."),
        (name = "receipts", description = "Delivered and read markers, typing."),
        (name = "presence", description = "Who is there now."),
        (name = "search", description = "Searching messages."),
        (name = "notifications", description = "Notifications, announcements, badges, what to be told of."),
        (name = "org", description = "For admins of an org."),
        (name = "system", description = "About this server."),
    ),
)]
pub(crate) struct Head;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
}

/// The document of the REST routes.
pub(super) fn openapi() -> Value {
    // utoipa's own types: these always serialise.
    let mut document = serde_json::to_value(crate::routes::routes().into_openapi()).unwrap_or_default();
    prose::clean(&mut document);
    prose::forget_counter(&mut document);
    errors::explain(&mut document);
    document["components"]["responses"][PROBLEM] = json!({
        "description": "Refused or failed; `code` says why.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            operation["responses"]["default"] = json!({ "$ref": format!("#/components/responses/{PROBLEM}") });
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                never_null(&mut parameter["schema"]);
            }
            examples::illustrate(path, operation);
        }
    }
    document
}

/// A parameter is there or not: what utoipa makes of an `Option` has a null that no URL and no header can carry.
fn never_null(schema: &mut Value) {
    if let Some(parts) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        parts.retain(|part| part["type"] != "null");
        if parts.len() == 1 {
            *schema = parts.remove(0);
        }
    } else if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if types.len() == 1 {
            schema["type"] = types.remove(0);
        }
    }
}

/// The OpenAPI document as it is checked in (`docs/openapi.json`) and served.
pub fn openapi_document() -> String {
    pretty(&openapi())
}
