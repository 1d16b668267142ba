//! WebSocket close codes. A client decides by range alone: 4000–4499 reconnect and resume,
//! 4500–4999 stop.

/// Why the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The node is going away.
    GoingAway = 4000,
    /// The outbox overflowed with durable events.
    SlowConsumer = 4001,
    /// Two heartbeats passed without a sign of life.
    HeartbeatTimeout = 4002,
    /// The access token ended: renew it, then reconnect.
    TokenExpired = 4003,
    /// Too many refused commands, or too many connections.
    RateLimited = 4008,
    /// No valid credentials.
    NotAuthenticated = 4500,
    /// The session was revoked.
    SessionRevoked = 4501,
    /// A frame that no client of this protocol sends (binary, not JSON text).
    BadFrame = 4502,
    /// The `Origin` is not on the allow-list.
    OriginRefused = 4503,
    /// The user was disabled.
    UserDisabled = 4504,
    /// A frame over the size limit (RFC 6455).
    TooBig = 1009,
    /// Something failed here (RFC 6455).
    Internal = 1011,
}

impl CloseCode {
    /// Every code, for documents and tests.
    pub const ALL: &[Self] = &[
        Self::GoingAway,
        Self::SlowConsumer,
        Self::HeartbeatTimeout,
        Self::TokenExpired,
        Self::RateLimited,
        Self::NotAuthenticated,
        Self::SessionRevoked,
        Self::BadFrame,
        Self::OriginRefused,
        Self::UserDisabled,
        Self::TooBig,
        Self::Internal,
    ];

    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The reason on the wire.
    pub fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "going away",
            Self::SlowConsumer => "slow consumer",
            Self::HeartbeatTimeout => "heartbeat timeout",
            Self::TokenExpired => "token expired",
            Self::RateLimited => "rate limited",
            Self::NotAuthenticated => "not authenticated",
            Self::SessionRevoked => "session revoked",
            Self::BadFrame => "bad frame",
            Self::OriginRefused => "origin refused",
            Self::UserDisabled => "user disabled",
            Self::TooBig => "frame too big",
            Self::Internal => "internal error",
        }
    }
}

/// Whether a client that was closed with `code` should reconnect (with full-jitter backoff) and resume.
pub fn should_reconnect(code: u16) -> bool {
    !matches!(code, 4500..=4999 | 1002 | 1003 | 1007..=1009)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_says_whether_to_reconnect() {
        for code in CloseCode::ALL {
            let terminal = code.code() >= 4500 || *code == CloseCode::TooBig;
            assert_eq!(should_reconnect(code.code()), !terminal, "{code:?}");
        }
        assert!(should_reconnect(1006));
    }
}
