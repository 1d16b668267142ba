//! Makes a failing plan smaller: drops what is not needed for it to fail, by halves and then one by one.

use anyhow::Result;

use super::{Outcome, Plan, run};
use crate::audit::Kind;

/// The smallest plan found within so many runs that still breaks the same promise, and what came of it.
pub fn shrink(plan: &Plan, kind: Kind, mut runs: usize) -> Result<(Plan, Outcome)> {
    let mut best = plan.clone();
    let mut outcome = run(&best)?;
    let mut size = (best.steps.len() + best.faults.len()).div_ceil(2).max(1);
    while runs > 0 {
        let mut smaller = false;
        for candidate in candidates(&best, size) {
            if runs == 0 {
                break;
            }
            runs -= 1;
            let tried = run(&candidate)?;
            if tried.violations.iter().any(|violation| violation.kind == kind) {
                (best, outcome, smaller) = (candidate, tried, true);
                break;
            }
        }
        if !smaller {
            if size == 1 {
                break;
            }
            size = (size / 2).max(1);
        }
    }
    Ok((best, outcome))
}

/// The plan without one stretch of its steps or faults each.
fn candidates(plan: &Plan, size: usize) -> Vec<Plan> {
    let mut candidates = Vec::new();
    for from in (0..plan.faults.len()).step_by(size) {
        let mut candidate = plan.clone();
        candidate.faults.drain(from..(from + size).min(plan.faults.len()));
        candidates.push(candidate);
    }
    for from in (0..plan.steps.len()).step_by(size) {
        let mut candidate = plan.clone();
        candidate.steps.drain(from..(from + size).min(plan.steps.len()));
        candidates.push(candidate);
    }
    candidates
}
