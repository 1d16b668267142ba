//! `--compare a.json b.json`: two runs side by side, and by how much the second differs.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result, ensure};

use super::model::{Report, VERSION};

/// Reads both and puts them side by side.
pub(crate) fn files(a: &Path, b: &Path) -> Result<String> {
    Ok(table(&read(a)?, &read(b)?))
}

fn read(file: &Path) -> Result<Report> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("{name} is no report: write one with --json"))?;
    ensure!(report.version == VERSION, "{name} is of version {} and this compares version {VERSION}", report.version);
    Ok(report)
}

fn table(a: &Report, b: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, a: &str, b: &str, change: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{}", format!("{name:<28} {a:>14} {b:>14}  {change}").trim_end());
    };
    line("", "A", "B", "B ÷ A");
    line("scenario", &a.scenario, &b.scenario, if a.scenario == b.scenario { "" } else { "not the same" });
    line("run", &cut(&a.run), &cut(&b.run), "");
    for (name, of) in figures() {
        match (of(a), of(b)) {
            (None, None) => {}
            (one, other) => {
                let change = match (one, other) {
                    (Some(one), Some(other)) if one > 0.0 => format!("{:.2}", other / one),
                    _ => String::new(),
                };
                line(name, &show(one), &show(other), &change);
            }
        }
    }
    let names: std::collections::BTreeSet<_> = a.latency.keys().chain(b.latency.keys()).collect();
    for name in names {
        for (quantile, of) in [("p50", 0), ("p99", 1), ("p99.9", 2)] {
            let of =
                |report: &Report| report.latency.get(name).map(|latency| [latency.p50, latency.p99, latency.p999][of]);
            let (one, other) = (of(a), of(b));
            let change = one.zip(other).filter(|(one, _)| *one > 0.0).map(|(one, other)| format!("{:.2}", other / one));
            line(&format!("{name} {quantile}, ms"), &show(one), &show(other), &change.unwrap_or_default());
        }
    }
    for ((name, one), (_, other)) in a.verdict.faults.named().into_iter().zip(b.verdict.faults.named()) {
        let word = if one + other > 0 { "FAULTS" } else { "" };
        line(name, &one.to_string(), &other.to_string(), word);
    }
    let plans = [&a.plan, &b.plan].map(|plan| plan.as_object().cloned().unwrap_or_default());
    for (key, one) in &plans[0] {
        let other = plans[1].get(key).unwrap_or(&serde_json::Value::Null);
        let same = one == other || ["run", "api", "gateways"].contains(&key.as_str());
        if !same {
            let _ = writeln!(out, "not the same {key}: {one} and {other}");
        }
    }
    out
}

type Figure = fn(&Report) -> Option<f64>;

fn figures() -> [(&'static str, Figure); 10] {
    fn some(value: f64) -> Option<f64> {
        (value > 0.0).then_some(value)
    }
    [
        ("messages/s acknowledged", |report| report.figures.messages_per_second),
        ("deliveries/s", |report| report.figures.deliveries_per_second),
        ("calls/s", |report| report.figures.calls_per_second),
        ("sockets open, at most", |report| some(report.most_open as f64)),
        ("server CPU seconds, load", |report| some(report.cpu_seconds())),
        ("server CPU-µs per delivery", |report| report.figures.cpu_micros_per_delivery),
        ("CPU-µs per socket, second", |report| report.figures.cpu_micros_per_socket_second),
        ("bytes (PSS) per socket", |report| report.figures.bytes_per_socket),
        ("errors", |report| some(report.errors.values().sum::<u64>() as f64)),
        ("connections lost", |report| some(report.closes.values().sum::<u64>() as f64)),
    ]
}

fn show(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn cut(name: &str) -> String {
    name.chars().take(14).collect()
}
