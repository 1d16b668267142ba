//! Switches for the tests of our own tests: one protection of delivery off, a clock that can be stepped.
//!
//! Read in debug builds alone. To a release build both variables are unknown ones, which it refuses like any other.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use chat::{Clock, Env, Protections, SystemClock};
use protocol::Timestamp;

use crate::{config::Environment, failure::Failure};

/// Names the protection that is off.
const WEAKEN: &str = "STARLING_TEST_WEAKEN";
/// Names a file with the milliseconds that the node's clock is ahead (negative: behind); it may change at any time.
const CLOCK: &str = "STARLING_TEST_CLOCK_OFFSET_FILE";
/// How often that file is read.
const LOOK: Duration = Duration::from_millis(50);

/// The variables that this build knows.
pub(crate) const NAMES: &[&str] = if cfg!(debug_assertions) { &[WEAKEN, CLOCK] } else { &[] };

/// What the tests want to be different. By default nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Testing {
    weaken: Option<(String, Protections)>,
    clock: Option<PathBuf>,
}

impl Testing {
    /// Reads what this build knows.
    pub(crate) fn read(environment: &Environment) -> Result<Self, Failure> {
        let value = |name: &str| environment.get(name).filter(|_| NAMES.contains(&name));
        let weaken = value(WEAKEN)
            .map(|name| match name.parse() {
                Ok(protections) => Ok((name.clone(), protections)),
                Err(expected) => Err(Failure::configuration(
                    WEAKEN,
                    format!("{name:?} is no protection"),
                    format!("write {expected}"),
                )),
            })
            .transpose()?;
        Ok(Self { weaken, clock: value(CLOCK).map(PathBuf::from) })
    }

    /// The world of a node. Says so in the log when it is not the usual one.
    pub(crate) fn env(&self) -> Env {
        let mut env = Env::system();
        if let Some((name, protections)) = &self.weaken {
            tracing::warn!(protection = name, "a protection of delivery is off, for a test");
            env = env.with_protections(*protections);
        }
        if let Some(file) = &self.clock {
            tracing::warn!(file = %file.display(), "the clock follows a file, for a test");
            env = env.with_clock(Arc::new(SteppedClock::following(file)));
        }
        env
    }
}

/// The machine's clock, so many milliseconds ahead.
struct SteppedClock {
    ahead: Arc<AtomicI64>,
}

impl SteppedClock {
    fn following(file: &Path) -> Self {
        let ahead = Arc::new(AtomicI64::new(offset(file)));
        let (file, weak) = (file.to_owned(), Arc::downgrade(&ahead));
        std::thread::spawn(move || {
            while let Some(ahead) = weak.upgrade() {
                ahead.store(offset(&file), Relaxed);
                drop(ahead);
                std::thread::sleep(LOOK);
            }
        });
        Self { ahead }
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        let ahead = time::Duration::milliseconds(self.ahead.load(Relaxed));
        SystemClock.now().get().saturating_add(ahead).into()
    }
}

/// Zero while there is no file, or no number in it.
fn offset(file: &Path) -> i64 {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Testing, Failure> {
        Testing::read(&[(name.to_owned(), value.to_owned())].into())
    }

    #[test]
    fn debug_builds_know_the_protections_by_name() {
        let Ok(testing) = read(WEAKEN, "dedupe") else { panic!("refused") };
        assert!(!testing.env().protections().dedupe);
        assert!(read(WEAKEN, "everything").is_err());
        assert_eq!(read("STARLING_LOG", "info").ok(), Some(Testing::default()));
    }

    #[tokio::test]
    async fn the_clock_follows_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("offset");
        let clock = SteppedClock::following(&file);
        let ahead = || (clock.now().get() - time::OffsetDateTime::now_utc()).whole_seconds();
        assert_eq!(ahead(), 0);
        std::fs::write(&file, "3600000").unwrap();
        let start = std::time::Instant::now();
        while ahead() < 3_599 {
            assert!(start.elapsed() < Duration::from_secs(10), "the clock does not follow");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
