//! What systemd is told, where it asks (`Type=notify`, `WatchdogSec=`): that the node listens, how it is, that it ends,
//! and that it is still at work. Elsewhere nothing happens.
//!
//! A node is *started* when it listens: whether it should get traffic, `/readyz` tells, and a database that is away must
//! not have systemd kill it. The watchdog is fed by a task of the node's own runtime, after a look at its own parts: a
//! runtime that no longer gets to its tasks is restarted.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::readiness::Readiness;

/// How often the state is looked at where there is no watchdog.
const LOOK: Duration = Duration::from_secs(10);

/// The node listens.
pub(crate) fn started() {
    tell(&[NotifyState::Ready]);
}

/// The node is being ended.
pub(crate) fn ending() {
    tell(&[NotifyState::Stopping]);
}

/// Tells how the node is, and that it is at work, until `stop`.
pub(crate) async fn run(readiness: Arc<Readiness>, stop: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    // Twice within what it may take, as systemd's manual advises.
    let every = sd_notify::watchdog_enabled().map_or(LOOK, |most| (most / 2).min(LOOK));
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        // One line is one thing that is told.
        let status = readiness.report().await.in_words().replace('\n', " ");
        tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
