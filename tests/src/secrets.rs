//! What no log may have, whatever a test is about: all that tests start is looked at when it ends.
//!
//! Finds what always begins alike. Refresh tokens and tickets for sockets are chance from their first character on:
//! only a test that was given one can look for it, as `tests/cluster/secrets.rs` does.

/// How that begins which proves who somebody is. In base64: JSON Web Tokens (`{"typ":` and `{"alg":`), and tickets for
/// events (`{"user":"`). In words: passwords, where people of the tests sign in with one over HTTP.
const SECRETS: [&str; 4] = ["eyJ0eXAi", "eyJhbGci", "eyJ1c2VyIjoi", "correct horse"];

/// The first line that has a secret in it.
pub fn first_told(log: &str) -> Option<&str> {
    log.lines().find(|line| SECRETS.iter().any(|secret| line.contains(secret)))
}

/// Fails the test that runs when a secret is in this log. Within a test that fails already it says nothing.
pub(crate) fn check(who: &str, log: &str) {
    if let Some(line) = first_told(log).filter(|_| !std::thread::panicking()) {
        panic!("{who} logged a token, a ticket or a password: {line}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bus::local::LocalBus;
    use chat::{AuthConfig, Chat, ChatConfig, Env};
    use prometheus::Registry;
    use protocol::{GuestRequest, TicketPurpose, TicketRequest};
    use store::{
        Store,
        sqlite::{SqliteConfig, SqliteStore},
    };

    use super::*;
    use crate::{cluster::sign_with, process::temp_dir};

    fn is_found(secret: &str) {
        let line = format!("GET /?secret={secret} HTTP/1.1");
        assert_eq!(first_told(&format!("GET /\n{line}\nGET /")), Some(&*line));
    }

    #[test]
    fn every_token_of_the_tests_is_found_and_nothing_where_there_is_none() {
        is_found(&sign_with("a secret", &serde_json::json!({"sub": "1"})).unwrap());
        assert_eq!(first_told("GET /\nGET /?token= HTTP/1.1"), None);
    }

    #[tokio::test]
    async fn tokens_and_tickets_for_events_are_found_as_a_node_makes_them() {
        let dir = temp_dir("secrets").unwrap();
        let config = SqliteConfig { durable: false, ..SqliteConfig::new(dir.path()) };
        let store = Arc::new(SqliteStore::open(config).await.unwrap());
        store.migrate().await.unwrap();
        let auth = AuthConfig { secret: Some(vec![7; 32]), guest_sign_in: true, ..AuthConfig::default() };
        let config = ChatConfig { auth, ..ChatConfig::default() };
        let chat = Chat::new(store, Arc::new(LocalBus::start()), Env::system(), config, &Registry::new()).unwrap();
        let ann = chat.sign_in_guest(GuestRequest { username: "ann".into(), device: None }).await.unwrap();
        is_found(&ann.access_token);
        let caller = chat.authenticate(&ann.access_token).await.unwrap();
        let ticket = chat.issue_ticket(&caller, TicketRequest { purpose: TicketPurpose::Events }).await.unwrap();
        is_found(&ticket.ticket);
    }
}
