//! Documents made from the code and checked in: OpenAPI, AsyncAPI, TypeScript types, the table of error codes. A test
//! fails when a checked-in one differs; `UPDATE_GENERATED=1` writes it anew. They are made once per process, and are
//! not made at all by a server that nobody asks for them.

mod asyncapi;
mod commands;
mod errors;
mod events;
mod examples;
mod openapi;
mod prose;
mod typescript;

use serde_json::Value;

pub use asyncapi::asyncapi_document;
pub use errors::errors_document;
pub use examples::PLACEHOLDERS;
pub(crate) use openapi::Head;
pub use openapi::openapi_document;
pub use typescript::typescript_document;

/// As documents are written: indented, with a line break at the end.
fn pretty(document: &Value) -> String {
    // A document is text, numbers, lists and objects: these always serialise.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}
