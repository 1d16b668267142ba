//! Keeps processes on one core, so that the server's CPU time is not that of moving about, and the load does not take
//! its place.

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The cores that this process may use.
pub fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("asking for the cores")?;
    Ok((0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or_default()).collect())
}

/// Keeps the process, with all threads that it has now, on these cores; threads and children that they start later
/// stay there too.
pub fn pin(pid: u32, cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core).with_context(|| format!("there is no core {core}"))?;
    }
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("no process {pid}"))? {
        let Some(thread) = thread?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        sched_setaffinity(Pid::from_raw(thread), &set).with_context(|| format!("pinning {pid} to {cores:?}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_stays_where_it_is_put() {
        let all = cores().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        pin(child.id(), &all[..1]).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{}\n", all[0])), "{status}");
        assert!(pin(u32::MAX, &all).is_err());
    }
}
