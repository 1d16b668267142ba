//! Keys that verify signatures. Each key is pinned to one algorithm when it is read, so that a token's header can
//! only choose among keys and never how a key is used (`none`, or HS256 with a public key, match no key).

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde_json::{Map, Value};

/// An uncompressed P-256 point: a tag and two coordinates.
const P256_POINT_BYTES: usize = 65;

#[derive(Clone)]
pub(super) struct Key {
    /// The name that a token's header uses; configured keys have none and are tried for every token.
    kid: Option<String>,
    algorithm: Algorithm,
    verifying: DecodingKey,
}

impl Key {
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self { kid: None, algorithm: Algorithm::HS256, verifying: DecodingKey::from_secret(secret) }
    }

    /// Reads a public key; the message is fit for an operator.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("this is a private key; configure the public one (BEGIN PUBLIC KEY)".into());
        }
        if !pem.contains("PUBLIC KEY") {
            return Err("this is not a public key in PEM form (BEGIN PUBLIC KEY)".into());
        }
        let bytes = pem.as_bytes();
        let read = [
            (Algorithm::RS256, DecodingKey::from_rsa_pem(bytes)),
            (Algorithm::ES256, DecodingKey::from_ec_pem(bytes)),
            (Algorithm::EdDSA, DecodingKey::from_ed_pem(bytes)),
        ];
        let found = read.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
        let (algorithm, key) = found.ok_or("this is not an RSA, EC P-256 or Ed25519 public key")?;
        let wrong_curve = algorithm == Algorithm::ES256
            && key.try_get_as_bytes().map_or(true, |point| point.len() != P256_POINT_BYTES);
        if wrong_curve {
            return Err("of EC keys only the curve P-256 (ES256) is understood".into());
        }
        Ok(Self { kid: None, algorithm, verifying: key })
    }

    /// Reads an entry of a key set; `None` for keys of a kind that we do not use.
    pub(super) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            // A shared secret has no place in a set that anybody may read.
            _ => return None,
        };
        let declared = jwk.common.key_algorithm.map(Algorithm::try_from);
        if declared.is_some_and(|declared| declared.ok() != Some(algorithm)) {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { kid: jwk.common.key_id.clone(), algorithm, verifying: key })
    }

    /// Whether a token with this header may have been signed by this key.
    pub(super) fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        self.algorithm == algorithm
            && match (&self.kid, kid) {
                (Some(own), Some(wanted)) => own == wanted,
                _ => true,
            }
    }

    /// The claims when the signature is good. Only that is checked here; see [`super::claims`] for the rest.
    pub(super) fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let mut validation = Validation::new(self.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode(token, &self.verifying, &validation).ok().map(|data| data.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    #[test]
    fn a_key_is_pinned_to_the_algorithm_that_its_pem_tells() {
        for (pem, algorithm) in [
            (testing::RSA_PUBLIC, Algorithm::RS256),
            (testing::EC_PUBLIC, Algorithm::ES256),
            (testing::ED_PUBLIC, Algorithm::EdDSA),
        ] {
            let key = Key::from_pem(pem).ok().unwrap();
            assert!(key.fits(algorithm, None) && key.fits(algorithm, Some("any")));
            for other in [Algorithm::HS256, Algorithm::PS256, Algorithm::ES384, Algorithm::RS512] {
                assert!(!key.fits(other, None));
            }
        }
    }

    #[test]
    fn what_is_no_usable_public_key_is_refused_with_a_reason() {
        let reason = |pem: &str| Key::from_pem(pem).err().unwrap();
        assert!(reason(testing::RSA_PRIVATE).contains("private key"));
        assert!(reason("hello").contains("PEM"));
        assert!(reason("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").contains("not an RSA"));
        assert!(reason(testing::EC_P384_PUBLIC).contains("P-256"));
    }
}
