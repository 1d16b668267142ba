//! The error codes with what they mean: the table in `docs/errors.md`, and the same within the other documents.

use std::fmt::Write;

use protocol::ErrorCode;
use serde_json::Value;

use crate::error::status;

/// Tells in a document's shape of the codes how each is written, what it means and its status over HTTP.
pub(super) fn explain(document: &mut Value) {
    let schema = &mut document["components"]["schemas"]["ErrorCode"];
    // utoipa does not see names that a macro gives to serde.
    schema["enum"] = ErrorCode::ALL.iter().map(|code| Value::from(code.as_str())).collect();
    for code in ErrorCode::ALL {
        schema["x-enum-descriptions"][code.as_str()] = code.meaning().trim().into();
        schema["x-http-statuses"][code.as_str()] = status(*code).as_u16().into();
    }
}

/// The table of error codes as it is checked in (`docs/errors.md`).
pub fn errors_document() -> String {
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
