//! What processes use, from `/proc`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

/// CPU seconds (user and system) that the processes have used so far.
pub(crate) fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    // USER_HZ is 100 on every Linux that Rust runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let mut ticks = 0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The command's name may hold anything: fields are counted behind its last bracket.
        let fields: Vec<_> = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().collect();
        for field in [11, 12] {
            ticks += fields.get(field).context("a short stat")?.parse::<u64>()?;
        }
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// CPU seconds of a process and of its children that run now: Postgres has one per connection.
pub(crate) fn family_cpu_seconds(parent: u32) -> Result<f64> {
    let mut pids = vec![parent];
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended since the folder was read.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if of == Some(parent) {
            pids.push(pid);
        }
    }
    cpu_seconds(&pids)
}

/// Bytes of memory that the processes hold, shared pages divided among their holders (PSS).
pub(crate) fn pss_bytes(pids: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        sum += line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1_024;
    }
    Ok(sum)
}

/// The same, once the allocator has given back what connecting took for a moment: jemalloc keeps it for ten seconds
/// (`dirty_decay_ms`) and gives it back in few large steps, between which nothing changes.
pub(crate) async fn settled_pss(pids: &[u32]) -> Result<u64> {
    const LOOK: Duration = Duration::from_secs(1);
    const LEAST: u32 = 12;
    const MOST: u32 = 30;
    let mut last = pss_bytes(pids)?;
    let mut same = 0;
    for look in 1..=MOST {
        sleep(LOOK).await;
        let now = pss_bytes(pids)?;
        // Less than a thousandth: nothing is being given back any more.
        same = if now.abs_diff(last) * 1_000 < last { same + 1 } else { 0 };
        last = now;
        if look >= LEAST && same >= 3 {
            break;
        }
    }
    Ok(last)
}

/// Waits until the processes have nothing to do any more: what was closed a moment ago is not to be counted as what comes
/// next. An error when they do not come to rest.
pub(crate) async fn quiet(pids: &[u32]) -> Result<()> {
    const LOOK: Duration = Duration::from_secs(1);
    const MOST: u32 = 60;
    // Of a core. What runs on its own account (heartbeats, sweeps) takes less.
    const REST: f64 = 0.03;
    let mut last = cpu_seconds(pids)?;
    let mut same = 0;
    for _ in 0..MOST {
        sleep(LOOK).await;
        let now = cpu_seconds(pids)?;
        same = if now - last < REST * pids.len() as f64 { same + 1 } else { 0 };
        last = now;
        if same == 2 {
            return Ok(());
        }
    }
    bail!("the servers do not come to rest");
}

/// Bytes of all objects that the kernel keeps now (sockets, files, buffers); none to who may not know: root alone may.
pub(crate) fn kernel_bytes() -> Option<f64> {
    let caches = std::fs::read_to_string("/proc/slabinfo").ok()?;
    // name, objects in use, objects, bytes of one.
    let bytes = caches.lines().skip(2).filter_map(|cache| {
        let mut fields = cache.split_whitespace().skip(1);
        let (active, size): (f64, f64) = (fields.next()?.parse().ok()?, fields.nth(1)?.parse().ok()?);
        Some(active * size)
    });
    Some(bytes.sum())
}
