//! How many messages the database has: an estimate that costs next to nothing, asked for now and then by whoever looks
//! at the metrics.

use std::{sync::Arc, time::Duration};

use prometheus::{Gauge, Registry};
use store::Store;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::failure::chain;

/// It is asked for at most this often, however often somebody looks, and whether or not it was answered.
const PAUSE: Duration = Duration::from_mins(1);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Stored {
    store: Arc<dyn Store>,
    gauge: Gauge,
    /// When it was asked for last. Held while it is asked for, so that two who look ask once.
    asked: Mutex<Option<Instant>>,
}

impl Stored {
    pub(super) fn register(store: Arc<dyn Store>, registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = Gauge::new(
            "starling_messages_stored",
            "About how many messages the database has, deleted ones included, as every node sees it; read at most once a \
             minute, NaN until it is known.",
        )?;
        gauge.set(f64::NAN);
        registry.register(Box::new(gauge.clone()))?;
        Ok(Self { store, gauge, asked: Mutex::default() })
    }

    /// Asks, if it is time. What is not answered leaves the gauge as it was.
    pub(super) async fn look(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        *asked = Some(Instant::now());
        match timeout(ANSWER, self.store.messages_stored()).await {
            Ok(Ok(Some(messages))) => self.gauge.set(messages as f64),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(error = chain(&error), "the number of messages cannot be read"),
            Err(_) => tracing::debug!("the number of messages did not come in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use store::sqlite::{SqliteConfig, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn it_is_unknown_until_a_store_answers_and_then_asked_for_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap());
        let stored = Stored::register(store.clone(), &Registry::new()).unwrap();
        stored.look().await;
        assert!(stored.gauge.get().is_nan(), "there is no table yet");
        store.migrate().await.unwrap();
        stored.look().await;
        assert!(stored.gauge.get().is_nan(), "not asked again so soon");
        *stored.asked.lock().await = None;
        stored.look().await;
        assert!(stored.gauge.get().abs() < f64::EPSILON, "{}", stored.gauge.get());
    }
}
