//! Which tokens are good, over every kind of key, and that no other is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    super::{JwksSource, VerifyKey, claims, testing},
    *,
};

const NOW: i64 = 1_790_000_000;
const PUBLIC: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn now() -> Timestamp {
    Timestamp::from_unix_millis(NOW * 1_000).unwrap()
}

fn good() -> Value {
    json!({"sub": "42", "exp": NOW + 60})
}

fn configured() -> AuthConfig {
    let keys = [testing::RSA_PUBLIC, testing::EC_PUBLIC, testing::ED_PUBLIC];
    AuthConfig {
        secret: Some(testing::SECRET.to_vec()),
        keys: keys.map(|pem| VerifyKey { pem: pem.into() }).to_vec(),
        ..AuthConfig::default()
    }
}

fn verifier(config: &AuthConfig) -> Verifier {
    Verifier::new(config).unwrap()
}

async fn refusal(verifier: &Verifier, token: &str) -> TokenError {
    verifier.verify(token, now()).await.err().expect("the token is refused")
}

async fn subject(verifier: &Verifier, token: &str) -> String {
    match verifier.verify(token, now()).await.unwrap().identity {
        Identity::External(profile) => profile.external_id,
        Identity::Own { .. } => panic!("not a token of ours"),
    }
}

#[tokio::test]
async fn every_kind_of_key_verifies_its_own_tokens_only() {
    let all = verifier(&configured());
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let token = testing::token(algorithm, None, &good());
        assert_eq!(subject(&all, &token).await, "42");
        // The same token, with one character of its claims changed.
        let mut parts: Vec<String> = token.split('.').map(Into::into).collect();
        parts[1] = URL_SAFE_NO_PAD.encode(json!({"sub": "43", "exp": NOW + 60}).to_string());
        assert_eq!(refusal(&all, &parts.join(".")).await, TokenError::Signature);
        // A node that has none of the keys.
        let other = verifier(&AuthConfig { secret: None, keys: Vec::new(), ..configured() });
        assert_eq!(refusal(&other, &token).await, TokenError::NoKey);
    }
}

#[tokio::test]
async fn the_header_cannot_choose_how_a_key_is_used() {
    let all = verifier(&configured());
    let claims = URL_SAFE_NO_PAD.encode(good().to_string());
    for none in ["none", "None", "NONE"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": none}).to_string());
        assert_eq!(refusal(&all, &format!("{header}.{claims}.")).await, TokenError::Format);
    }
    // HS256 with a public key as the secret.
    for public in [testing::RSA_PUBLIC, testing::EC_PUBLIC, testing::ED_PUBLIC] {
        let external: claims::ExternalClaims = serde_json::from_value(good()).unwrap();
        let token = claims::mint_external(public.as_bytes(), &external).unwrap();
        assert_eq!(refusal(&all, &token).await, TokenError::Signature);
        let keys_only = verifier(&AuthConfig { secret: None, ..configured() });
        assert_eq!(refusal(&keys_only, &token).await, TokenError::NoKey);
    }
    // Another algorithm of the same family.
    let header = jsonwebtoken::Header::new(Algorithm::HS512);
    let key = jsonwebtoken::EncodingKey::from_secret(testing::SECRET);
    let token = jsonwebtoken::encode(&header, &good(), &key).unwrap();
    assert_eq!(refusal(&all, &token).await, TokenError::NoKey);
}

#[tokio::test]
async fn tokens_that_are_no_tokens_are_refused() {
    let all = verifier(&configured());
    let huge = "a".repeat(1_000_000);
    for bad in ["", ".", "..", "a.b.c", "é.é.é", "eyJhbGciOiJIUzI1NiJ9", huge.as_str()] {
        assert_eq!(refusal(&all, bad).await, TokenError::Format);
    }
    let not_an_object = testing::token(Algorithm::HS256, None, &json!(["sub"]));
    assert_eq!(refusal(&all, &not_an_object).await, TokenError::Signature);
}

#[tokio::test]
async fn time_issuer_and_audience_are_checked() {
    let config = AuthConfig { issuer: Some("them".into()), audience: Some("chat".into()), ..configured() };
    let strict = verifier(&config);
    let sign = |claims: Value| testing::token(Algorithm::RS256, None, &claims);
    let fine = json!({"sub": "42", "exp": NOW + 60, "iss": "them", "aud": ["chat", "mail"]});
    assert_eq!(subject(&strict, &sign(fine.clone())).await, "42");
    for (claim, value, error) in [
        ("exp", json!(NOW - 60), ClaimError::Expired),
        ("exp", Value::Null, ClaimError::Bad("exp")),
        ("nbf", json!(NOW + 60), ClaimError::Bad("nbf")),
        ("iss", json!("others"), ClaimError::Bad("iss")),
        ("iss", Value::Null, ClaimError::Bad("iss")),
        ("aud", json!("mail"), ClaimError::Bad("aud")),
        ("aud", Value::Null, ClaimError::Bad("aud")),
        ("sub", json!(""), ClaimError::Bad("sub")),
        ("org", json!("Not A Slug"), ClaimError::Bad("org")),
    ] {
        let mut claims = fine.clone();
        claims[claim] = value;
        assert_eq!(refusal(&strict, &sign(claims)).await, TokenError::Claim(error), "{claim}");
    }
    let mut without_exp = fine;
    without_exp.as_object_mut().unwrap().remove("exp");
    assert_eq!(refusal(&strict, &sign(without_exp)).await, TokenError::Claim(ClaimError::Bad("exp")));
}

#[tokio::test]
async fn only_our_secret_makes_a_token_ours() {
    let config = AuthConfig { issuer: Some("them".into()), ..configured() };
    let strict = verifier(&config);
    let (user, session) = (UserId::generate(), SessionId::generate());
    let end = Timestamp::from_unix_millis((NOW + 60) * 1_000).unwrap();
    let own = claims::mint_own(testing::SECRET, user, session, now(), end).unwrap();
    let verified = strict.verify(&own, now()).await.unwrap();
    assert!(matches!(verified.identity, Identity::Own { user: u, session: s } if u == user && s == session));
    assert_eq!(verified.expires_at, end);
    let late = Timestamp::from_unix_millis((NOW + 65) * 1_000).unwrap();
    assert_eq!(strict.verify(&own, late).await.err(), Some(TokenError::Claim(ClaimError::Expired)));
    // The same claims, signed by somebody whose public key we trust for their own users.
    let claims = json!({"iss": "starling", "sub": user, "sid": session, "exp": NOW + 60});
    let forged = testing::token(Algorithm::EdDSA, None, &claims);
    assert_eq!(refusal(&strict, &forged).await, TokenError::Claim(ClaimError::Bad("iss")));
}

#[tokio::test]
async fn while_a_secret_is_changed_what_either_signed_is_good_whatever_it_is() {
    let new = b"the secret that comes after it, long enough".to_vec();
    let other = b"the secret of somebody else, just as long!!".to_vec();
    let (user, session) = (UserId::generate(), SessionId::generate());
    let end = Timestamp::from_unix_millis((NOW + 60) * 1_000).unwrap();
    let sign = |secret: &[u8]| {
        let external: claims::ExternalClaims = serde_json::from_value(good()).unwrap();
        [
            claims::mint_own(secret, user, session, now(), end).unwrap(),
            claims::mint_external(secret, &external).unwrap(),
        ]
    };
    let old = testing::SECRET.to_vec();
    let node = |secret: Option<&Vec<u8>>, previous: &[&Vec<u8>]| {
        let previous_secrets = previous.iter().map(|&secret| secret.clone()).collect();
        verifier(&AuthConfig { secret: secret.cloned(), previous_secrets, ..AuthConfig::default() })
    };
    // As nodes are before, in each of the three steps, and when the secret gives way to keys of another system.
    for (stage, verifier, good) in [
        ("before", node(Some(&old), &[]), vec![&old]),
        ("the new one is accepted", node(Some(&old), &[&new]), vec![&old, &new]),
        ("the new one signs", node(Some(&new), &[&old]), vec![&new, &old]),
        ("after", node(Some(&new), &[]), vec![&new]),
        ("nothing signs any more", node(None, &[&new, &old]), vec![&new, &old]),
    ] {
        for secret in [&old, &new, &other] {
            for token in sign(secret) {
                match verifier.verify(&token, now()).await {
                    Ok(_) => assert!(good.contains(&secret), "{stage}"),
                    Err(error) => {
                        assert_eq!((error, good.contains(&secret)), (TokenError::Signature, false), "{stage}");
                    }
                }
            }
        }
    }
    // A token of ours is that by either secret, and its time is looked at all the same.
    let changed = node(Some(&new), &[&old]);
    let [own, _] = sign(&old);
    let verified = changed.verify(&own, now()).await.unwrap();
    assert!(matches!(verified.identity, Identity::Own { user: u, session: s } if u == user && s == session));
    let late = Timestamp::from_unix_millis((NOW + 65) * 1_000).unwrap();
    assert_eq!(changed.verify(&own, late).await.err(), Some(TokenError::Claim(ClaimError::Expired)));
}

#[tokio::test]
async fn a_key_set_from_a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, testing::key_set(&[Algorithm::RS256])).unwrap();
    let jwks = Some(JwksSource::File(path.clone()));
    let verifier = verifier(&AuthConfig { jwks, ..AuthConfig::default() });
    let by = |algorithm: Algorithm| testing::token(algorithm, Some(&format!("{algorithm:?}")), &good());
    assert_eq!(subject(&verifier, &by(Algorithm::RS256)).await, "42");
    assert_eq!(refusal(&verifier, &by(Algorithm::ES256)).await, TokenError::NoKey);
    assert_eq!(refusal(&verifier, &testing::token(Algorithm::RS256, Some("other"), &good())).await, TokenError::NoKey);
    std::fs::write(&path, testing::key_set(&PUBLIC)).unwrap();
    eventually(|| async { verifier.verify(&by(Algorithm::ES256), now()).await.is_ok() }).await;
    // A broken file leaves the keys as they were.
    std::fs::write(&path, "half a docum").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert_eq!(subject(&verifier, &by(Algorithm::EdDSA)).await, "42");
}

#[tokio::test]
async fn a_key_set_from_a_url_is_fetched_and_an_unknown_key_id_does_not_hammer_it() {
    let hits = Arc::new(AtomicUsize::new(0));
    let document = Arc::new(Mutex::new(testing::key_set(&PUBLIC)));
    let (count, served) = (Arc::clone(&hits), Arc::clone(&document));
    let app = axum::Router::new().route(
        "/keys",
        axum::routing::get(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let body = served.lock().clone();
            async move { body }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let verifier = verifier(&AuthConfig { jwks: Some(JwksSource::Url(url)), ..AuthConfig::default() });
    for algorithm in PUBLIC {
        let token = testing::token(algorithm, Some(&format!("{algorithm:?}")), &good());
        assert_eq!(subject(&verifier, &token).await, "42");
        assert_eq!(subject(&verifier, &testing::token(algorithm, None, &good())).await, "42");
    }
    let unknown = testing::token(Algorithm::RS256, Some("unknown"), &good());
    for _ in 0..20 {
        assert_eq!(refusal(&verifier, &unknown).await, TokenError::NoKey);
    }
    assert_eq!(hits.load(Ordering::SeqCst), 1);
    server.abort();
}

#[tokio::test]
async fn a_url_that_does_not_answer_does_not_hold_up_the_start() {
    // Bound and never accepted: connections are made and stay silent.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let started = std::time::Instant::now();
    let verifier = verifier(&AuthConfig { jwks: Some(JwksSource::Url(url)), ..configured() });
    // Tokens of configured keys are not held up either when the key set is not asked.
    assert_eq!(subject(&verifier, &testing::token(Algorithm::HS256, None, &good())).await, "42");
    assert!(started.elapsed() < std::time::Duration::from_secs(3));
}

#[test]
fn a_short_secret_or_a_bad_key_is_told_to_the_operator() {
    let short = AuthConfig { secret: Some(b"short".to_vec()), ..AuthConfig::default() };
    assert!(Verifier::new(&short).err().unwrap().contains("at least 32 bytes"));
    let previous_secrets = vec![vec![7; 32], b"short".to_vec()];
    let short = AuthConfig { previous_secrets, ..configured() };
    assert!(Verifier::new(&short).err().unwrap().contains("at least 32 bytes"));
    let bad = AuthConfig { keys: vec![VerifyKey { pem: "hello".into() }], ..AuthConfig::default() };
    assert!(Verifier::new(&bad).err().unwrap().starts_with("public key 1: "));
}

/// Waits until it is so, at most ten seconds.
async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !holds().await {
        assert!(std::time::Instant::now() < end, "it did not become so in ten seconds");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
