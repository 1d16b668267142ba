//! What a run came to: one table.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use super::Fault;
use crate::audit::{self, Violation};

/// Of all rounds.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What drew it.
    pub seed: u64,
    /// How long it took.
    pub took: Duration,
    /// Rounds that were run to their end.
    pub rounds: usize,
    /// How often each thing was done.
    pub operations: BTreeMap<&'static str, u64>,
    /// Frames that devices heard.
    pub frames: u64,
    /// Connections that went live.
    pub connections: u64,
    /// How often each fault struck, with the times until everybody heard everything again; `None`: not in time.
    pub faults: BTreeMap<Fault, Vec<Option<Duration>>>,
    /// How long after the last fault of each round everything was whole.
    pub settled: Vec<Option<Duration>>,
    /// Must be empty.
    pub violations: Vec<Violation>,
    /// Where the logs are, when something was wrong.
    pub kept: Option<PathBuf>,
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Nothing was broken, and after each fault everything came back in time.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.not_back() == 0
    }

    /// Faults from which delivery did not recover in time, and rounds that were not whole in time.
    fn not_back(&self) -> usize {
        self.faults.values().flatten().chain(&self.settled).filter(|took| took.is_none()).count()
    }

    /// Whether the auditor found something of this kind.
    pub fn has(&self, kind: audit::Kind) -> bool {
        self.violations.iter().any(|violation| violation.kind == kind)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.operations.values().sum();
        let struck: usize = self.faults.values().map(Vec::len).sum();
        writeln!(f, "| seed {} | {} rounds in {:.0} s |", self.seed, self.rounds, self.took.as_secs_f64())?;
        writeln!(f, "|---|---|")?;
        writeln!(f, "| operations | {total} |")?;
        for (what, times) in &self.operations {
            writeln!(f, "| … {what} | {times} |")?;
        }
        writeln!(f, "| frames heard | {} |", self.frames)?;
        writeln!(f, "| connections | {} |", self.connections)?;
        writeln!(f, "| faults | {struck} |")?;
        writeln!(f, "| violations | {} |", self.violations.len())?;
        writeln!(f, "| not back in time | {} |", self.not_back())?;
        let settled: Vec<_> = self.settled.iter().map(|took| spell(*took)).collect();
        writeln!(f, "| whole after the last fault of a round | {} |\n", settled.join(", "))?;
        writeln!(f, "| fault | times | recovered after: median | worst |")?;
        writeln!(f, "|---|---|---|---|")?;
        for (fault, times) in &self.faults {
            // What did not recover in time sorts last.
            let mut sorted: Vec<_> = times.iter().map(|took| took.unwrap_or(Duration::MAX)).collect();
            sorted.sort();
            let at = |at: usize| spell(sorted.get(at).copied().filter(|took| *took < Duration::MAX));
            let (median, worst) = (at(sorted.len() / 2), at(sorted.len().saturating_sub(1)));
            writeln!(f, "| {fault} | {} | {median} | {worst} |", times.len())?;
        }
        if !self.violations.is_empty() {
            writeln!(f, "\n{}", audit::summary(&self.violations))?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "\nlogs: {}", kept.display())?;
        }
        Ok(())
    }
}

fn spell(took: Option<Duration>) -> String {
    took.map_or_else(|| "not in time".into(), |took| format!("{:.2} s", took.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_come_back_in_time_is_not_clean() {
        let mut report = Report::new(1);
        report.faults.insert(Fault::KillGateway, vec![Some(Duration::from_secs(1))]);
        report.settled.push(Some(Duration::from_secs(2)));
        assert!(report.is_clean());
        let mut not_whole = report.clone();
        not_whole.settled.push(None);
        assert!(!not_whole.is_clean());
        report.faults.entry(Fault::KillGateway).or_default().push(None);
        assert!(!report.is_clean());
        assert!(report.to_string().contains("| not back in time | 1 |"), "{report}");
    }
}
