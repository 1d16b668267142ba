//! Plans that once broke a promise, each as small as it could be made. They are repeated in every run.

use std::{fs, path::Path};

use starling_tests::{
    audit::summary,
    sim::{Plan, run},
};

#[test]
fn no_plan_of_the_corpus_breaks_a_promise_again() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/corpus");
    let mut plans: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    plans.sort();
    assert!(!plans.is_empty());
    for path in plans {
        let plan: Plan = serde_json::from_str(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcome = run(&plan).unwrap();
        assert!(outcome.violations.is_empty(), "{}\n{}", path.display(), summary(&outcome.violations));
    }
}

/// Everything that one device of a written plan said and heard: `PLAN=target/simulation/seed-7.json DEVICE=3 cargo test
/// --workspace --test simulation one_device -- --ignored --nocapture`.
#[test]
#[ignore = "tells a failure to whoever looks for its cause"]
fn one_device_of_a_plan_is_told_in_full() {
    let path = std::env::var("PLAN").expect("PLAN names the file of a plan");
    let plan: Plan = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let outcome = run(&plan).unwrap();
    let device = crate::seeds::number("DEVICE", 0) as usize;
    for entry in &outcome.log.devices[device].entries {
        eprintln!("{:10.6} {:?}", entry.at.as_secs_f64(), entry.what);
    }
    for act in &outcome.log.acts {
        eprintln!("{:10.6} – {:.6} {:?} {:?}", act.at.as_secs_f64(), act.until.as_secs_f64(), act.deed, act.outcome);
    }
    eprintln!("{}", summary(&outcome.violations));
}
