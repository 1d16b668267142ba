//! Documents made from the code and checked in: the OpenAPI document and the table of error codes. A test fails when
//! a checked-in one differs; `UPDATE_GENERATED=1` writes it anew.

use protocol::{ErrorCode, FieldError, Problem};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::error::status;

/// Name of the security scheme and of the response that every operation has.
const BEARER: &str = "bearer";
const PROBLEM: &str = "Problem";

/// The head of the document; paths come from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Starling",
        description = "Chat: conversations, messages, participants, receipts. Events come over `GET /v1/ws`. Every \
                       error is `application/problem+json` with a stable `code`; see docs/errors.md.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem, FieldError, ErrorCode)),
    modifiers(&Bearer),
    tags(
        (name = "auth", description = "Signing in, sessions, tickets."),
        (name = "users", description = "Oneself and others."),
        (name = "conversations", description = "Direct, group and public conversations."),
        (name = "participants", description = "Who takes part."),
        (name = "messages", description = "Messages, and what changed."),
        (name = "receipts", description = "Delivered and read markers, typing."),
        (name = "presence", description = "Who is there now."),
        (name = "search", description = "Searching messages."),
        (name = "notifications", description = "Notifications, announcements, badges, and what one wants to be told of."),
        (name = "org", description = "For admins of an org."),
        (name = "system", description = "About this server."),
    ),
)]
pub(crate) struct Head;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
        let response = ResponseBuilder::new()
            .description("Refused or failed; `code` says why.")
            .content("application/problem+json", content)
            .build();
        components.responses.insert(PROBLEM.into(), RefOr::T(response));
    }
}

/// The OpenAPI document of the REST routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = crate::routes::routes().into_openapi();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
            operation.responses.responses.insert("default".into(), problem);
        }
    }
    document
}

/// The OpenAPI document as it is checked in (`docs/openapi.json`) and served.
pub fn openapi_document() -> String {
    let mut text = openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The table of error codes as it is checked in (`docs/errors.md`).
pub fn errors_document() -> String {
    use std::fmt::Write;
    let mut text = String::from(
        "# Error codes\n\n\
         Generated from `crates/protocol/src/error.rs` by `UPDATE_GENERATED=1 cargo test -p api`; do not edit.\n\n\
         Programs match on `code`, which never changes its meaning; `detail` (REST) and `message` (WebSocket) are for\n\
         people. REST answers are `application/problem+json` with the status below; over a socket the same codes come\n\
         in `error` of a reply. 429 and 503 carry `Retry-After`.\n\n\
         | code | status | meaning |\n| --- | --- | --- |\n",
    );
    for code in ErrorCode::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{code}` | {} | {} |", status(*code).as_u16(), code.meaning().trim());
    }
    text
}
