//! What a process on this machine uses, from `/proc`.

use crate::report::model::ProcessUse;

/// USER_HZ is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that is watched. It may be another one after a restart; what was used adds up.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    name: String,
    id: u32,
    /// CPU seconds of this process when it was looked at last.
    last: f64,
    /// CPU seconds since it is watched, of former processes too.
    used: f64,
    /// Of it, what was used before the load began.
    before_load: f64,
    most_rss: u64,
    pss: Vec<(String, u64)>,
}

impl Process {
    /// Begins to watch; its CPU time counts from here.
    pub(crate) fn new(name: &str, id: u32) -> Self {
        let last = cpu_seconds(id).unwrap_or_default();
        Self { name: name.to_owned(), id, last, used: 0.0, before_load: 0.0, most_rss: 0, pss: Vec::new() }
    }

    /// Whether there is such a process.
    pub(crate) fn is_there(&self) -> bool {
        cpu_seconds(self.id).is_some()
    }

    /// It was started anew.
    pub(crate) fn renewed(&mut self, id: u32) {
        (self.id, self.last) = (id, 0.0);
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// CPU in percent of one core over the last `span` seconds, and resident bytes.
    pub(super) fn sample(&mut self, span: f64) -> [f64; 2] {
        let delta = self.count();
        [100.0 * delta / span, self.resident() as f64]
    }

    fn resident(&mut self) -> u64 {
        let rss = status(self.id, "VmRSS:").unwrap_or_default();
        self.most_rss = self.most_rss.max(rss);
        rss
    }

    /// Its CPU seconds since the last look. Looked at before it ends: nobody can ask it later.
    pub(crate) fn count(&mut self) -> f64 {
        let now = cpu_seconds(self.id).unwrap_or(self.last);
        let delta = (now - self.last).max(0.0);
        self.last = now;
        self.used += delta;
        delta
    }

    /// The load begins.
    pub(crate) fn load_begins(&mut self) {
        self.count();
        self.before_load = self.used;
    }

    /// Writes down the memory that is its own (PSS), under a name.
    pub(crate) fn weigh(&mut self, when: &str) {
        if let Some(bytes) = rollup(self.id) {
            self.pss.push((when.to_owned(), bytes));
        }
    }

    /// All that it used.
    pub(super) fn used(&mut self) -> ProcessUse {
        self.count();
        // A run of less than a second was never sampled.
        self.resident();
        ProcessUse {
            name: self.name.clone(),
            pid: self.id,
            cpu_seconds: self.used,
            load_cpu_seconds: self.used - self.before_load,
            most_rss_bytes: self.most_rss,
            pss_bytes: self.pss.iter().cloned().collect(),
        }
    }
}

fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold anything: fields are counted behind its last bracket.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

fn status(pid: u32, field: &str) -> Option<u64> {
    kilobytes(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, field)
}

fn rollup(pid: u32) -> Option<u64> {
    kilobytes(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Pss:")
}

fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_found() {
        let mut own = Process::new("own", std::process::id());
        own.weigh("now");
        let [_, rss] = own.sample(1.0);
        assert!(own.is_there() && rss > 0.0);
        assert!(own.used().pss_bytes["now"] > 0);
        assert!(Process::new("short", std::process::id()).used().most_rss_bytes > 0);
        assert!(!Process::new("none", u32::MAX).is_there());
    }
}
