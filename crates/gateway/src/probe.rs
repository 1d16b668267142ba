//! Asks itself whether events flow: publishes to the node's own topic and waits to hear it.
//!
//! A connection that looks alive but carries nothing (a blackhole) shows in no error; this finds it, has the bus
//! reconnect, and meanwhile heads are read from the store often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bus::{BusStatus, MOMENT, Topic};
use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use crate::node::Node;

/// Between two probes.
const INTERVAL: Duration = Duration::from_secs(3);
/// A probe that is not heard within this has failed.
const DEADLINE: Duration = Duration::from_secs(2);
/// While events do not flow, heads are read this often.
const DEGRADED_SWEEP: Duration = Duration::from_secs(1);

/// Why events do not flow when what was published was not heard.
const UNHEARD: &str = "the bus does not carry this node's own probe";

/// The number of the last probe that was heard.
#[derive(Default)]
pub(crate) struct Probe {
    heard: AtomicU64,
    news: Notify,
}

impl Probe {
    /// A payload came on the node's own topic. False: it is no probe.
    pub(crate) fn heard(&self, payload: &Bytes) -> bool {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        if let Some(number) = number {
            self.heard.fetch_max(number, Ordering::AcqRel);
            self.news.notify_waiters();
        }
        number.is_some()
    }

    async fn wait_for(&self, number: u64) {
        loop {
            let news = self.news.notified();
            if self.heard.load(Ordering::Acquire) >= number {
                return;
            }
            news.await;
        }
    }
}

/// Runs until the node ends.
pub(crate) async fn run(node: Arc<Node>, probe: Arc<Probe>) {
    let topic = Topic::Node(node.config.node);
    let mut status = node.bus.status();
    node.subscribe(&[topic]).await;
    // Just started, the bus may not be up yet: that is nothing to warn of.
    tokio::select! {
        biased;
        () = node.stop.cancelled() => return,
        _ = timeout(DEADLINE, status.wait_for(|status| *status == BusStatus::Up)) => {}
    }
    for number in 1.. {
        let started = Instant::now();
        let up = *status.borrow_and_update() == BusStatus::Up;
        let heard = async {
            let event = [(topic, Bytes::from(number.to_string()))];
            let publish = || {
                let (bus, event) = (&node.bus, &event);
                async move { bus.publish(event).await.is_ok() }
            };
            // While it is degraded already nobody is to be told anew, and heads are to be read often.
            let published = up && if node.degraded().is_some() { publish().await } else { twice(publish).await };
            if !published {
                return Err("the bus is out of reach");
            }
            let heard = timeout(DEADLINE, probe.wait_for(number)).await;
            heard.map_err(|_| UNHEARD)?;
            node.metrics.bus_lag.observe(started.elapsed().as_secs_f64());
            Ok(())
        };
        let flows = heard.await;
        node.set_degraded(flows.err());
        let pause = if flows.is_ok() {
            INTERVAL
        } else {
            if flows == Err(UNHEARD) {
                // Published and not heard: the connection that listens is dead, though it looks alive.
                node.bus.reconnect();
            }
            node.sweep_now.notify_one();
            DEGRADED_SWEEP
        };
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep_until(started + pause) => {}
            // A change of the bus' state is worth a look at once.
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}

/// Whether it succeeds, at the second attempt at the latest: a machine that stood still for a moment is no outage.
async fn twice<F: Future<Output = bool>>(attempt: impl Fn() -> F) -> bool {
    if attempt().await {
        return true;
    }
    sleep(MOMENT).await;
    attempt().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_less_than_a_moment_succeeds_and_more_is_not_tried() {
        let start = Instant::now();
        let after = |millis| twice(move || async move { start.elapsed() >= Duration::from_millis(millis) });
        assert!(after(0).await && start.elapsed().is_zero());
        assert!(after(100).await && start.elapsed() == MOMENT);
        assert!(!after(10_000).await && start.elapsed() == MOMENT * 2);
    }
}
