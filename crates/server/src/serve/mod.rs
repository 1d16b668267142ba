//! Serving a node: listeners, and the order in which it ends.

pub(crate) mod admin;
mod listen;
pub(crate) mod metrics;
pub(crate) mod readiness;
mod systemd;
pub(crate) mod web;

use std::{future::Future, time::Duration};

use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use listen::bind;

use crate::Node;

/// Beyond its window the gateway gets this for close frames of those that did not move.
const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// For changes that were taken to be committed and published.
const WRITER_END: Duration = Duration::from_secs(15);
/// For other nodes to hear that this one answers no more.
const GOODBYE: Duration = Duration::from_secs(1);
/// For connections to the store to end.
const STORE_END: Duration = Duration::from_secs(3);

/// Serves a node until `shutdown` is over, then ends it so that users do not notice (invariant 12): readiness
/// fails, sockets are told to move and upgrades are refused, REST finishes what it has, changes that were taken are
/// committed. Every step has a deadline. Returns when all is done.
pub async fn run(node: Node, public: TcpListener, admin: Option<TcpListener>, shutdown: impl Future<Output = ()>) {
    let (stop, stop_admin) = (CancellationToken::new(), CancellationToken::new());
    let (requests, probes) = (TaskTracker::new(), TaskTracker::new());
    let patience = listen::Patience::of(node.heartbeat);
    let serving = tokio::spawn(listen::accept(public, node.public, patience, stop.clone(), requests.clone()));
    if let Some(admin) = admin {
        tokio::spawn(listen::accept(admin, node.admin, patience, stop_admin.clone(), probes));
    }
    systemd::started();
    tokio::spawn(systemd::run(node.readiness.clone(), stop_admin.clone()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(node.chat.clone().keep_erasing()));
    shutdown.await;

    systemd::ending();
    node.readiness.drain();
    if let Some(gateway) = &node.gateway {
        within(node.drain_window + DRAIN_GRACE, "sockets", gateway.drain()).await;
    }
    stop.cancel();
    let _ = serving.await;
    requests.close();
    within(node.request_timeout + Duration::from_secs(2), "requests", requests.wait()).await;
    within(WRITER_END, "changes", node.chat.shutdown()).await;
    within(GOODBYE, "the goodbye", node.cluster.leave()).await;
    within(STORE_END, "the store", node.store.close()).await;
    drop(node.bus);
    stop_admin.cancel();
    tracing::info!("ended");
}

async fn within(deadline: Duration, what: &str, end: impl Future<Output = ()>) {
    if timeout(deadline, end).await.is_err() {
        tracing::warn!(what, ?deadline, "did not end in time, going on without");
    }
}
