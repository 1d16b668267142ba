//! A store that says how long each of its calls took: a wrapper, so that every call is seen, of every store, and none
//! has to think of it.

mod calls;

use std::sync::Arc;

use prometheus::{HistogramOpts, HistogramTimer, HistogramVec, Registry};
use store::Store;

/// Seconds: from a look-up by a key to what the store gives up after.
const BUCKETS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// See the module.
pub(crate) struct Timed {
    store: Arc<dyn Store>,
    seconds: HistogramVec,
}

impl Timed {
    /// Wraps a store and registers what is measured. Fails when the registry has it already.
    pub(crate) fn new(store: Arc<dyn Store>, registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "starling_store_seconds",
                "Time of a call of the store, waiting for a connection and trying again included, failed and given up ones \
                 too.",
            )
            .buckets(BUCKETS.to_vec()),
            &["call"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { store, seconds })
    }

    /// Observes when it is dropped: also a call that its caller gave up. The label is a name of [`calls`].
    fn timer(&self, call: &'static str) -> HistogramTimer {
        self.seconds.with_label_values(&[call]).start_timer()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use store::{
        StoreError,
        sqlite::{SqliteConfig, SqliteStore},
    };

    use super::*;

    #[tokio::test]
    async fn each_call_is_counted_under_its_name_also_when_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap());
        let registry = Registry::new();
        let timed = Timed::new(store, &registry).unwrap();
        timed.migrate().await.unwrap();
        timed.health().await.unwrap();
        let slug = "acme";
        let (first, again) = (timed.ensure_org(slug).await.unwrap(), timed.ensure_org(slug).await.unwrap());
        assert_eq!(first, again);
        // Answered by a call of another name.
        timed.memberships(protocol::UserId::generate(), 10).await.unwrap();
        timed.close().await;
        assert!(matches!(timed.ensure_org(slug).await, Err(StoreError::Unavailable(_))));
        let count = |call: &str| timed.seconds.with_label_values(&[call]).get_sample_count();
        assert_eq!((count("health"), count("ensure_org"), count("memberships_of")), (1, 3, 1));
        assert_eq!(count("migrate"), 0, "it takes as long as it takes");
    }

    #[test]
    fn what_takes_longest_is_in_a_bucket() {
        let longest = store::postgres::PostgresConfig::new("").call_timeout;
        assert!(BUCKETS.iter().any(|&bucket| Duration::from_secs_f64(bucket) > longest));
    }
}
