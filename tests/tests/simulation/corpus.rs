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
