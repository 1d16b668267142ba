//! Real processes under faults: a short run of everything, a long one on demand (`make soak`), and for each protection
//! of delivery that is turned off a run that must notice.

mod weakened;

use std::{env, time::Duration};

use anyhow::{Context, Result, ensure};
use starling_tests::chaos::{Plan, Report, run};
use tokio::sync::Semaphore;

/// Clusters that run at once: each is half a dozen processes.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A run whose machinery works.
async fn ran(plan: &Plan) -> Report {
    let _place = PLACES.acquire().await;
    run(plan).await.unwrap_or_else(|error| panic!("{error:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_reordered_or_leaked_under_faults() {
    let report = ran(&Plan::new(5, Duration::from_secs(90))).await;
    println!("{report}");
    assert!(report.is_clean(), "{report}");
}

/// `make soak MINUTES=30 SEED=1`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "as long as one wants: make soak"]
async fn soak() -> Result<()> {
    let number = |name: &str, or: u64| match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text} is no number")),
        Err(_) => Ok(or),
    };
    let (minutes, seed) = (number("MINUTES", 30)?, number("SEED", rand::random())?);
    println!("make soak MINUTES={minutes} SEED={seed}");
    let report = run(&Plan::new(seed, Duration::from_mins(minutes))).await?;
    println!("{report}");
    ensure!(report.is_clean(), "violations");
    Ok(())
}
