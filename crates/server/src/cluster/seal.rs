//! Letters are sealed with the operators' token, so that whoever reaches Redis without it can neither ask nor drain. A
//! seal counts for a short time, and each once. Of who has another token, or none, it is heard that it is there.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::wire::Letter;

/// Clocks of nodes may differ by so much, a letter's way included.
const COUNTS_FOR: Duration = Duration::from_secs(30);
/// Of more letters within that time the oldest are forgotten.
const REMEMBERED: usize = 16_384;

/// The key, and the letters that were read of late.
pub(super) struct Seal {
    key: Hmac<Sha256>,
    read: Mutex<HashMap<Uuid, Timestamp>>,
}

/// A letter as it travels: its text, and what proves that it is from one of us.
#[derive(Serialize, Deserialize)]
struct Sealed {
    text: String,
    seal: String,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Dated {
    id: Uuid,
    at: Timestamp,
    letter: Letter,
}

/// Why a letter is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no letter, or of a version that this one does not know")]
    Unreadable,
    #[error("it is not sealed with this cluster's STARLING_ADMIN_TOKEN")]
    Foreign,
    #[error("it is too old, or the clocks of two nodes differ by more than half a minute")]
    Late,
    #[error("it was read before")]
    Again,
}

impl Seal {
    pub(super) fn new(token: &str) -> Self {
        // Of one block whatever the token's length, as HMAC would make it of a long one.
        let mut key = [0; 64];
        key[..32].copy_from_slice(&Sha256::digest(token));
        Self { key: Hmac::new(&key.into()), read: Mutex::default() }
    }

    pub(super) fn close(&self, letter: Letter, now: Timestamp) -> Bytes {
        let text = dated(letter, now);
        let seal = hex(&self.key.clone().chain_update(&text).finalize().into_bytes());
        sealed(text, seal)
    }

    pub(super) fn open(&self, payload: &[u8], now: Timestamp) -> Result<Letter, Refused> {
        let Sealed { text, seal } = serde_json::from_slice(payload).map_err(|_| Refused::Unreadable)?;
        let seal = unhex(&seal).ok_or(Refused::Unreadable)?;
        self.key.clone().chain_update(&text).verify_slice(&seal).map_err(|_| Refused::Foreign)?;
        let Dated { id, at, letter } = serde_json::from_str(&text).map_err(|_| Refused::Unreadable)?;
        let age = now.get() - at.get();
        if age.unsigned_abs() > COUNTS_FOR {
            return Err(Refused::Late);
        }
        let mut read = self.read.lock();
        if read.len() >= REMEMBERED {
            read.retain(|_, at| (now.get() - at.get()).unsigned_abs() <= COUNTS_FOR);
        }
        if read.len() >= REMEMBERED || read.insert(id, at).is_some() {
            return Err(Refused::Again);
        }
        Ok(letter)
    }
}

/// As who has no token says that it is there. Nobody answers it or does what it says.
pub(super) fn unsealed(letter: Letter, now: Timestamp) -> Bytes {
    sealed(dated(letter, now), String::new())
}

/// What a letter of [`Refused::Foreign`] says, unless it is old. Nobody vouches for it.
pub(super) fn unproven(payload: &[u8], now: Timestamp) -> Option<Letter> {
    let Sealed { text, .. } = serde_json::from_slice(payload).ok()?;
    let Dated { at, letter, .. } = serde_json::from_str(&text).ok()?;
    ((now.get() - at.get()).unsigned_abs() <= COUNTS_FOR).then_some(letter)
}

// Ids, numbers and strings under fixed names: these always serialise.
fn dated(letter: Letter, at: Timestamp) -> String {
    serde_json::to_string(&Dated { id: Uuid::new_v4(), at, letter }).unwrap_or_default()
}

fn sealed(text: String, seal: String) -> Bytes {
    serde_json::to_vec(&Sealed { text, seal }).unwrap_or_default().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use protocol::NodeId;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_795_000_000_000 + second * 1_000).unwrap()
    }

    fn open(seal: &Seal, payload: &[u8], second: i64) -> Result<(), Refused> {
        seal.open(payload, at(second)).map(drop)
    }

    #[test]
    fn only_who_has_the_token_is_read_once_and_soon() {
        let (ours, others) = (Seal::new("0123456789abcdef"), Seal::new("fedcba9876543210"));
        let letter = || ours.close(Letter::Here { node: NodeId::generate() }, at(0));
        let payload = letter();
        assert_eq!(open(&others, &payload, 0), Err(Refused::Foreign));
        assert_eq!(open(&ours, &payload, 5), Ok(()));
        assert_eq!(open(&ours, &payload, 6), Err(Refused::Again));
        for second in [31, -31] {
            assert_eq!(open(&ours, &letter(), second), Err(Refused::Late));
        }
    }

    #[test]
    fn of_who_has_no_token_it_is_heard_that_it_is_there_and_no_more() {
        let (ours, node) = (Seal::new("0123456789abcdef"), NodeId::generate());
        let others = Seal::new("fedcba9876543210").close(Letter::Here { node }, at(0));
        for payload in [unsealed(Letter::Here { node }, at(0)), others] {
            assert_eq!(open(&ours, &payload, 0), Err(Refused::Foreign));
            assert!(matches!(unproven(&payload, at(5)), Some(Letter::Here { node: who }) if who == node));
            assert!(unproven(&payload, at(31)).is_none(), "it may be gone by now");
        }
        assert!(unproven(b"{}", at(0)).is_none());
    }

    #[test]
    fn no_single_wrong_byte_passes() {
        let seal = Seal::new("0123456789abcdef");
        let payload = seal.close(Letter::Gone { node: NodeId::generate() }, at(0));
        for place in 0..payload.len() {
            let mut wrong = payload.to_vec();
            wrong[place] ^= 1;
            // The case of a hexadecimal digit alone says the same.
            let same = wrong.eq_ignore_ascii_case(&payload);
            assert!(same || open(&seal, &wrong, 0).is_err(), "byte {place}");
        }
        for wrong in [&b""[..], b"{}", b"7", br#"{"text":"","seal":""}"#] {
            assert!(open(&seal, wrong, 0).is_err());
        }
    }
}
