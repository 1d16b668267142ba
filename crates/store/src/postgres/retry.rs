//! Tries a call again where Postgres asks for it. Only where it is certain that the try before wrote nothing: after a
//! connection that broke, that is not known, and the caller hears of it.

use std::time::Duration;

use super::fault::{Outcome, Retry};

/// Most tries of a call that meets deadlocks or serialisation failures.
const CONFLICT_TRIES: u32 = 6;
/// Most tries of a call that waits too long for a lock.
const LOCK_TRIES: u32 = 2;

/// Runs a call until it is done, or fails for another reason, or too often.
pub(super) async fn retried<T, F: Future<Output = Outcome<T>>>(call: impl Fn() -> F) -> Outcome<T> {
    let mut tries = 0;
    loop {
        let fault = match call().await {
            Ok(done) => return Ok(done),
            Err(fault) => fault,
        };
        tries += 1;
        let most = match fault.retry() {
            Some(Retry::Conflict) => CONFLICT_TRIES,
            Some(Retry::LockTimeout) => LOCK_TRIES,
            None => 0,
        };
        if tries >= most {
            return Err(fault);
        }
        tracing::debug!(?fault, tries, "a call of the store is tried again");
        // The other transaction went on; a few milliseconds let it finish.
        tokio::time::sleep(Duration::from_millis(5 * u64::from(tries))).await;
    }
}
