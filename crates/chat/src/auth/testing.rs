//! Keys and tokens for the tests of this folder. The key files open nothing: they were made for these tests alone.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(super) const SECRET: &[u8] = b"a secret of the tests, 32 bytes+";
pub(super) const RSA_PRIVATE: &str = include_str!("testdata/rsa.pem");
pub(super) const RSA_PUBLIC: &str = include_str!("testdata/rsa.pub");
pub(super) const EC_PRIVATE: &str = include_str!("testdata/ec.pem");
pub(super) const EC_PUBLIC: &str = include_str!("testdata/ec.pub");
pub(super) const EC_P384_PUBLIC: &str = include_str!("testdata/ec384.pub");
pub(super) const ED_PRIVATE: &str = include_str!("testdata/ed.pem");
pub(super) const ED_PUBLIC: &str = include_str!("testdata/ed.pub");

/// The private key that belongs to an algorithm.
pub(super) fn signing_key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(SECRET),
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(),
        other => panic!("no test key for {other:?}"),
    }
}

pub(super) fn token(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(Into::into), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &signing_key(algorithm)).unwrap()
}

/// A key set with the public keys of these algorithms, each under its algorithm's name.
pub(super) fn key_set(algorithms: &[Algorithm]) -> String {
    let keys: Vec<Value> = algorithms
        .iter()
        .map(|algorithm| {
            let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&signing_key(*algorithm), *algorithm).unwrap();
            let mut jwk = serde_json::to_value(jwk).unwrap();
            jwk["kid"] = json!(format!("{algorithm:?}"));
            jwk["use"] = json!("sig");
            jwk
        })
        .collect();
    json!({ "keys": keys }).to_string()
}
