//! Real processes under faults: a short run of everything, a long one on demand (`make soak`), and for each protection
//! that is turned off a run that must notice.

use std::time::Duration;

use starling_tests::chaos::{Plan, run};

/// A run whose machinery works.
async fn ran(plan: &Plan) -> starling_tests::chaos::Report {
    run(plan).await.unwrap_or_else(|error| panic!("{error:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_reordered_or_leaked_under_faults() {
    let mut plan = Plan::new(5, Duration::from_secs(90));
    plan.round = Duration::from_secs(90);
    let report = ran(&plan).await;
    println!("{report}");
    assert!(report.is_clean(), "{report}");
}
