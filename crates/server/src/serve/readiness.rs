//! Whether this node should get traffic.
//!
//! Postgres away, not migrated, or one that takes no writes (a standby), or the node ending: no. Redis away or late events: no until all parts have worked
//! once (a node with a wrong `REDIS_URL` must not replace a good one); after that the node is *degraded* and stays
//! in service, because sends still commit and delivery catches up. Taking every node out would make an outage of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bus::{Bus, BusStatus};
use gateway::Gateway;
use serde::Serialize;
use store::{Store, StoreHealth};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::failure::chain;

/// How long a part may take to answer; less than a usual probe waits.
const PART_TIMEOUT: Duration = Duration::from_secs(1);
/// An answer is given again for this long: probes must not be a load.
const CACHED: Duration = Duration::from_millis(500);

/// A part's state.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

/// The node's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ready,
    /// In service, but events may be late.
    Degraded,
    Unready,
    Draining,
}

/// The node's state.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) status: Status,
    pub(crate) store: Part,
    pub(crate) bus: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<Part>,
}

impl Report {
    /// For a person who looks at it.
    pub(crate) fn in_words(&self) -> String {
        let status = match self.status {
            Status::Ready => "ready",
            Status::Degraded => "degraded",
            Status::Unready => "not ready",
            Status::Draining => "draining",
        };
        let parts = [("store", Some(&self.store)), ("bus", Some(&self.bus)), ("gateway", self.gateway.as_ref())];
        let wrong = parts.into_iter().filter_map(|(name, part)| Some((name, part.filter(|part| !part.ok)?)));
        wrong.fold(status.to_owned(), |words, (name, part)| format!("{words}; {name}: {}", part.detail))
    }

    /// Traffic may come.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.status, Status::Ready | Status::Degraded)
    }
}

/// Asks the parts.
pub(crate) struct Readiness {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    gateway: Option<Gateway>,
    draining: AtomicBool,
    /// All parts have worked at the same time, once.
    has_worked: AtomicBool,
    /// What was said last, so that a change is logged once.
    told: parking_lot::Mutex<Status>,
    /// The last answers of the parts. Held while they are asked, so that many probes ask once.
    last: Mutex<Option<(Instant, Part, Part)>>,
}

impl Readiness {
    pub(crate) fn new(store: Arc<dyn Store>, bus: Arc<dyn Bus>, gateway: Option<Gateway>) -> Self {
        let (draining, has_worked) = Default::default();
        let told = parking_lot::Mutex::new(Status::Unready);
        Self { store, bus, gateway, draining, has_worked, told, last: Mutex::default() }
    }

    /// From now on the node is not ready. Whether that was said before.
    pub(crate) fn drain(&self) -> bool {
        self.draining.swap(true, Ordering::AcqRel)
    }

    /// The present state, at most half a second old, within about a second.
    pub(crate) async fn report(&self) -> Report {
        let (store, bus) = self.parts().await;
        let gateway = self.gateway.as_ref().map(|gateway| match gateway.degraded() {
            None => Part { ok: true, detail: "events flow".into() },
            Some(why) => Part { ok: false, detail: why },
        });
        let all_ok = store.ok && bus.ok && gateway.as_ref().is_none_or(|part| part.ok);
        if all_ok {
            self.has_worked.store(true, Ordering::Release);
        }
        let status = if self.draining.load(Ordering::Acquire) {
            Status::Draining
        } else if all_ok {
            Status::Ready
        } else if store.ok && self.has_worked.load(Ordering::Acquire) {
            Status::Degraded
        } else {
            Status::Unready
        };
        let report = Report { status, store, bus, gateway };
        self.log_change(&report);
        report
    }

    fn log_change(&self, report: &Report) {
        let before = std::mem::replace(&mut *self.told.lock(), report.status);
        let Report { status, store, bus, .. } = report;
        match (before, status) {
            (before, now) if before == *now => {}
            (_, Status::Unready) => tracing::warn!(store = store.detail, bus = bus.detail, "not ready"),
            (_, Status::Degraded) => tracing::warn!(bus = bus.detail, "degraded"),
            (_, Status::Ready | Status::Draining) => tracing::info!(status = ?status, "readiness changed"),
        }
    }

    async fn parts(&self) -> (Part, Part) {
        let mut last = self.last.lock().await;
        if let Some((at, store, bus)) = last.as_ref()
            && at.elapsed() < CACHED
        {
            return (store.clone(), bus.clone());
        }
        let (store, bus) = tokio::join!(self.ask_store(), self.ask_bus());
        *last = Some((Instant::now(), store.clone(), bus.clone()));
        (store, bus)
    }

    async fn ask_store(&self) -> Part {
        match timeout(PART_TIMEOUT, self.store.health()).await {
            // A load balancer that has other nodes has ones on the primary; reads alone are no chat.
            Ok(Ok(StoreHealth { version, read_only: Some(why), .. })) => {
                Part { ok: false, detail: format!("{version}: {why}; let DATABASE_URL lead to the primary") }
            }
            Ok(Ok(StoreHealth { version, out_of_reach, .. })) if !out_of_reach.is_empty() => {
                let what = out_of_reach.join(", ");
                Part { ok: false, detail: format!("{version}: this user may not read and write {what}; grant it") }
            }
            Ok(Ok(health)) if health.migrated => Part { ok: true, detail: health.version },
            Ok(Ok(health)) => {
                let detail = format!("{}: the schema is not this version's; run `starling migrate`", health.version);
                Part { ok: false, detail }
            }
            // With its causes: only operators reach the admin listener, and they want to know why.
            Ok(Err(error)) => Part { ok: false, detail: chain(&error) },
            Err(_) => Part { ok: false, detail: format!("no answer within {PART_TIMEOUT:?}") },
        }
    }

    async fn ask_bus(&self) -> Part {
        let up = *self.bus.status().borrow() == BusStatus::Up;
        // The round trip to every server decides; what they are is for whoever reads it.
        let asked = async {
            self.bus.ping().await?;
            self.bus.describe().await
        };
        match timeout(PART_TIMEOUT, asked).await {
            Ok(Ok(what)) if up => Part { ok: true, detail: what },
            Ok(Ok(_)) => Part { ok: false, detail: "subscribing".into() },
            Ok(Err(error)) => Part { ok: false, detail: chain(&error) },
            Err(_) => Part { ok: false, detail: format!("no answer within {PART_TIMEOUT:?}") },
        }
    }
}
