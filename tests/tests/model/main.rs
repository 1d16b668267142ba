//! Random conversations against a reference model: whatever a few people do on whatever nodes, the server says in the
//! end what plain maps say, and every connected client shows it.
//!
//! `CASES` random plans run on a cluster (PostgreSQL, Redis, nginx) and as many on an embedded node; a plan that fails
//! is shrunk to the shortest that still does. The seed is printed; `STARLING_MODEL_SEED=<number>` repeats a run, and
//! `STARLING_MODEL_CASES=<number>` makes it longer.

mod model;
mod plan;
mod run;

use std::sync::Arc;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use starling_tests::cluster::{Cluster, ClusterConfig};
use tokio::runtime::Handle;

/// Plans per kind of cluster.
const CASES: u32 = 1_008;
/// Plans that run at once, in threads of their own.
const AT_ONCE: u32 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_does_what_plain_maps_say() {
    let env = vec![("STARLING_COMMAND_RATE".into(), "0".into())];
    let cluster = Cluster::start_with(ClusterConfig { env, ..ClusterConfig::default() }).await;
    explore(Arc::new(cluster.expect("the cluster starts"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_node_does_what_plain_maps_say() {
    let cluster = Cluster::embedded_with(&[("STARLING_COMMAND_RATE", "0")]).await;
    explore(Arc::new(cluster.expect("the node starts"))).await;
}

async fn explore(cluster: Arc<Cluster>) {
    let seed = number("STARLING_MODEL_SEED").unwrap_or_else(rand::random);
    let cases = number("STARLING_MODEL_CASES").map_or(CASES, |cases| u32::try_from(cases).unwrap_or(u32::MAX));
    println!("STARLING_MODEL_SEED={seed}: {cases} plans");
    let threads = (0..u64::from(AT_ONCE)).map(|thread| {
        let cluster = Arc::clone(&cluster);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || check(&cluster, &runtime, seed, thread, cases.div_ceil(AT_ONCE)))
    });
    for thread in threads.collect::<Vec<_>>() {
        if let Err(failure) = thread.await.expect("the thread ends") {
            panic!("STARLING_MODEL_SEED={seed}: {failure}\n{}", cluster.logs());
        }
    }
}

fn check(cluster: &Cluster, runtime: &Handle, seed: u64, thread: u64, cases: u32) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&thread.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    // Shrinking talks to real servers: bounded, so that a failure is told before the time is up.
    let config = Config { cases, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&plan::plan(), |plan| {
        runtime
            .block_on(run::run(cluster, &plan))
            .map_err(|error| proptest::test_runner::TestCaseError::fail(format!("{error:#}")))
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, plan)) => Err(format!("{why}\nthe shortest plan that fails: {plan:#?}")),
        Err(TestError::Abort(why)) => Err(format!("{why}")),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
