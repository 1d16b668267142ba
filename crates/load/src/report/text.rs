//! The summary for a terminal: the proof first, then what it took.

use std::fmt::Write as _;

use super::model::{Latency, Report};

/// About twenty lines.
pub(super) fn summary(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let verdict = &report.verdict;
    let early = if report.stopped_early { ", stopped early" } else { "" };
    writeln!(out, "{} · {} · {:.1} s{early}", report.scenario, report.run, report.seconds)?;
    for broken in &report.broken {
        writeln!(out, "  BROKEN OFF: {broken}")?;
    }
    if verdict.sent > 0 {
        writeln!(
            out,
            "  sent {}   acknowledged {}   unknown {}   delivered {} (expected {}, repeated {})",
            verdict.sent, verdict.acknowledged, verdict.unknown, verdict.delivered, verdict.expected, verdict.repeated
        )?;
        if verdict.unsent > 0 {
            writeln!(out, "  NEVER SENT {}: due, and nobody was connected who could say them", verdict.unsent)?;
        }
        let faults: Vec<_> = verdict.faults.named().map(|(name, count)| format!("{name} {count}")).into();
        let word = match verdict.faults.is_clean() {
            true if verdict.proves_nothing() => "NOTHING WAS PROVED: no message was acknowledged and expected.",
            true => "every delivery was right:",
            false => "DELIVERIES WERE WRONG:",
        };
        writeln!(out, "  {word} {}", faults.join("   "))?;
        if verdict.by_event.len() > 1 {
            for part in &verdict.by_event {
                let wrong: Vec<_> = part.faults.named().into_iter().filter(|(_, count)| *count > 0).collect();
                let wrong: Vec<_> = wrong.iter().map(|(name, count)| format!("{name} {count}")).collect();
                let wrong = if wrong.is_empty() { "nothing wrong".into() } else { wrong.join("   ") };
                writeln!(out, "    {:<28} {wrong}", part.event)?;
            }
        }
        for told in verdict.told.iter().take(5) {
            writeln!(out, "    {told}")?;
        }
        writeln!(
            out,
            "  rates    {:.0} messages/s   {:.0} deliveries/s over {:.1} s",
            report.figures.messages_per_second.unwrap_or_default(),
            report.figures.deliveries_per_second.unwrap_or_default(),
            report.load_seconds(),
        )?;
    }
    if report.calls > 0 {
        let rate = report.figures.calls_per_second.unwrap_or_default();
        writeln!(out, "  calls    {} answers of REST, {rate:.0}/s", report.calls)?;
    }
    if report.most_open > 0 {
        writeln!(out, "  sockets  {} open at once, at most", report.most_open)?;
    }
    if !report.latency.is_empty() {
        writeln!(
            out,
            "  ms               {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "p50", "p90", "p99", "p99.9", "max", "count"
        )?;
        for (name, Latency { count, p50, p90, p99, p999, max, .. }) in &report.latency {
            writeln!(out, "  {name:<16} {p50:>9.2} {p90:>9.2} {p99:>9.2} {p999:>9.2} {max:>9.2} {count:>10}")?;
        }
    }
    servers(report, out)?;
    list(out, "errors", report.errors.iter().map(|(code, count)| (code.clone(), *count)))?;
    list(out, "closes", report.closes.iter().map(|(code, count)| (code.to_string(), *count)))
}

fn servers(report: &Report, out: &mut String) -> std::fmt::Result {
    for process in &report.processes {
        let pss = process.pss_bytes.get(super::model::END);
        let pss = pss.map_or(String::new(), |bytes| format!(", PSS {:.1} MiB at the end", mib(*bytes)));
        writeln!(
            out,
            "  server   {} (pid {}): {:.2} s of CPU ({:.2} under load), RSS {:.1} MiB at most{pss}",
            process.name,
            process.pid,
            process.cpu_seconds,
            process.load_cpu_seconds,
            mib(process.most_rss_bytes)
        )?;
    }
    if let Some(micros) = report.figures.cpu_micros_per_delivery {
        writeln!(out, "  cost     {micros:.1} server CPU-µs per delivery")?;
    }
    if let Some(micros) = report.figures.cpu_micros_per_socket_second {
        writeln!(out, "  cost     {micros:.1} server CPU-µs per socket and second")?;
    }
    if let Some(bytes) = report.figures.bytes_per_socket {
        writeln!(out, "  cost     {bytes:.0} bytes (PSS) per socket, as it was connected")?;
    }
    Ok(())
}

fn list(out: &mut String, name: &str, items: impl Iterator<Item = (String, u64)>) -> std::fmt::Result {
    let items: Vec<_> = items.map(|(code, count)| format!("{code} × {count}")).collect();
    if items.is_empty() { Ok(()) } else { writeln!(out, "  {name:<8} {}", items.join(", ")) }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
