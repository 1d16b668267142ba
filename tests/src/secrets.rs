//! What no log may have, whatever a test is about: all that tests start is looked at when it ends.

/// How JSON Web Tokens begin, in base64: `{"typ":` and `{"alg":`.
const TOKENS: [&str; 2] = ["eyJ0eXAi", "eyJhbGci"];

/// The first line that has a token in it.
pub fn first_told(log: &str) -> Option<&str> {
    log.lines().find(|line| TOKENS.iter().any(|token| line.contains(token)))
}

/// Fails the test that runs when a token is in this log. Within a test that fails already it says nothing.
pub(crate) fn check(who: &str, log: &str) {
    if let Some(line) = first_told(log).filter(|_| !std::thread::panicking()) {
        panic!("{who} logged a token: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sign_with;

    #[test]
    fn every_token_of_the_tests_is_one() {
        let token = sign_with("a secret", &serde_json::json!({"sub": "1"})).unwrap();
        assert_eq!(first_told(&format!("GET /\nGET /?token={token} HTTP/1.1")).map(str::len), Some(21 + token.len()));
        assert_eq!(first_told("GET /\nGET /?token= HTTP/1.1"), None);
    }
}
