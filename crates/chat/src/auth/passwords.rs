//! Passwords: argon2id, off the async threads, never more hashes at once than cores, and a bounded queue before
//! them, because each hash takes 19 MiB and some 20 ms.

use std::sync::{Arc, LazyLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use protocol::ErrorCode;
use tokio::sync::Semaphore;

use crate::{ChatError, Result};

/// Shortest and longest password, characters.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;
/// Hashes that may wait for each core; beyond it a request gets `overloaded`.
const WAITING_PER_CORE: usize = 32;
/// When a refused one may try again, milliseconds.
const RETRY_MS: u64 = 1_000;

/// What an unknown user's password is compared with, so that the answer takes as long as for a known one. Hashed
/// when first wanted, with the parameters of the day.
static NOBODYS_HASH: LazyLock<String> = LazyLock::new(|| hash_now(&super::secrets::generate()).unwrap_or_default());

/// Checks the length of a password that somebody wants to have.
pub(super) fn check(password: &str) -> Result<()> {
    let (min, max) = (*LENGTH.start(), *LENGTH.end());
    // Bytes first: a UTF-8 character has at most four.
    if password.len() > max * 4 || !LENGTH.contains(&password.chars().count()) {
        return Err(ChatError::field("password", format!("must have {min} to {max} characters")));
    }
    Ok(())
}

pub(super) struct Passwords {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { running: Arc::new(Semaphore::new(cores)), admitted: Arc::new(Semaphore::new(cores * WAITING_PER_CORE)) }
    }

    /// The PHC string of a password.
    pub(super) async fn hash(&self, password: String) -> Result<String> {
        self.run(move || hash_now(&password)).await?.map_err(internal)
    }

    /// Whether the password is the one that was hashed. `None`: there is no such user; takes as long.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS_HASH.clone());
            let same = PasswordHash::new(&hash)
                .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
            known && same
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let Ok(_admitted) = Arc::clone(&self.admitted).try_acquire_owned() else {
            let busy = ChatError::new(ErrorCode::Overloaded, "too many people are signing in; try again");
            return Err(busy.retry_after(RETRY_MS));
        };
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(internal)?;
        // The permit goes along: a caller that gives up does not stop the hash it started.
        tokio::task::spawn_blocking(move || {
            let _running = running;
            work()
        })
        .await
        .map_err(internal)
    }
}

fn hash_now(password: &str) -> std::result::Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ChatError {
    ChatError::new(ErrorCode::Internal, "something failed here").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_is() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct hors".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("anything".into(), None).await.unwrap());
        assert!(!passwords.verify("anything".into(), Some("not a hash".into())).await.unwrap());
    }

    #[test]
    fn an_unknown_user_costs_a_hash_of_the_same_strength() {
        let mine = hash_now("x").unwrap();
        let strength = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(strength(&NOBODYS_HASH), strength(&mine));
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(check("1234567").is_err());
        assert!(check("éééééééé").is_ok());
        assert!(check(&"é".repeat(256)).is_ok());
        assert!(check(&"é".repeat(257)).is_err());
        assert!(check(&"x".repeat(100_000)).is_err());
    }
}
