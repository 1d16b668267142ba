//! How a use case that failed ends a connection that cannot go on without it.

use std::time::Duration;

use chat::ChatError;
use protocol::{CloseCode, ErrorCode};

/// How long a farewell may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// The close code for an error.
pub(crate) fn close_code(error: &ChatError) -> CloseCode {
    match error.code {
        ErrorCode::NotAuthenticated => CloseCode::NotAuthenticated,
        ErrorCode::TokenExpired => CloseCode::TokenExpired,
        ErrorCode::SessionRevoked => CloseCode::SessionRevoked,
        ErrorCode::UserDisabled => CloseCode::UserDisabled,
        _ => CloseCode::Internal,
    }
}
