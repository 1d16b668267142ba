//! `docs/metrics.md`, made of the sources: a metric with labels shows at `/metrics` only once it has counted something,
//! so that a running node would not tell of all. What one does tell is compared with the page by `tests/binary/cluster.rs`.

use std::{fmt::Write as _, fs, path::Path};

/// A metric as its registration says.
#[derive(Debug, PartialEq, Eq)]
struct Metric {
    name: String,
    kind: &'static str,
    labels: Vec<String>,
    help: String,
}

/// Folders of sources, and what their metrics are about.
const PARTS: [(&str, &str); 4] = [
    ("gateway", "Connections and events (nodes that hold sockets)"),
    ("chat", "Messages, the batch writer, receipts and arrivals"),
    ("api", "REST (nodes that answer it)"),
    ("server", "The node, its database and its bus"),
];

const HEAD: &str = "# Metrics\n\n\
    <!-- Generated from the sources: `UPDATE_GENERATED=1 cargo test -p server` writes it again. -->\n\n\
    Every node serves them at `/metrics` of its admin listener, in Prometheus' text format. Units are seconds and bytes; \
    a counter ends in\n`_total`. Labels have few values, and none is a user, a conversation or a token. Counters \
    begin at 0 for the values that are\nknown when the node starts, so that `rate()` sees the first one; of commands these are \
    the outcomes that are ours, of REST\n(`starling_http_requests_total`) 500 and 503. Histograms with labels, and other values, \
    show from the first time on.\n\n\
    Beside these there are those of the process itself (`process_cpu_seconds_total`, `process_resident_memory_bytes`, \
    `process_open_fds`,\n`process_max_fds`, `process_start_time_seconds`, `process_threads`, `process_virtual_memory_bytes`).\n\n\
    [deploy/prometheus](../deploy/prometheus) has rules that alert on them, [deploy/grafana](../deploy/grafana) dashboards \
    that show them,\nand [troubleshooting](troubleshooting.md) says what to do.\n";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (part, about) in PARTS {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(part).join("src");
        let mut metrics = metrics_in(&sources);
        metrics.sort_by(|a, b| a.name.cmp(&b.name));
        write!(page, "\n## {about}\n\n| metric | type | labels | what |\n|---|---|---|---|\n").unwrap();
        for Metric { name, kind, labels, help } in metrics {
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            let stop = if help.ends_with('.') { "" } else { "." };
            writeln!(page, "| `{name}` | {kind} | {} | {help}{stop} |", labels.join(", ")).unwrap();
        }
    }
    page
}

fn metrics_in(folder: &Path) -> Vec<Metric> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.append(&mut metrics_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("page.rs") {
            found.append(&mut metrics_of(&fs::read_to_string(path).unwrap()));
        }
    }
    found
}

/// Each `"starling_…"` that is followed by another text, which is its help.
fn metrics_of(source: &str) -> Vec<Metric> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("\"starling_") {
        let (Some((name, rest)), before) = (literal(&source[at..]), &source[..at]) else { continue };
        let Some((help, rest)) = rest.trim_start().strip_prefix(',').and_then(|rest| literal(rest.trim_start())) else {
            continue;
        };
        let before = &before[before.len().saturating_sub(60)..];
        let kind = if before.contains("Histogram") {
            "histogram"
        } else if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        let has_one = before.trim_end().ends_with("counters(");
        found.push(Metric { labels: labels(rest, has_one), name, kind, help });
    }
    found
}

/// The text that begins here, its line continuations taken out, and what comes after it.
fn literal(source: &str) -> Option<(String, &str)> {
    let source = source.strip_prefix('"')?;
    let (text, rest) = source.split_once('"')?;
    let mut lines = text.split("\\\n");
    let first = lines.next()?.to_owned();
    Some((lines.fold(first, |text, line| text + line.trim_start()), rest))
}

/// Those after a help text: `, "one")`, `), &["one", "two"]`, the same after `.buckets(…)` or in the next statement.
fn labels(rest: &str, has_one: bool) -> Vec<String> {
    let between = [',', ')', ' ', '\n'];
    let rest = rest.trim_start_matches(between);
    let rest =
        rest.strip_prefix(".buckets(").map_or(rest, |inside| after_parenthesis(inside).trim_start_matches(between));
    if has_one {
        return literal(rest).map(|(label, _)| label).into_iter().collect();
    }
    let list = match rest.strip_prefix(';') {
        Some(next) => next.find("&[").map(|at| &next[at..]),
        None => Some(rest),
    };
    let Some(list) = list.and_then(|list| list.strip_prefix("&[")).and_then(|list| list.split(']').next()) else {
        return Vec::new();
    };
    list.split(',').map(|label| label.trim().trim_matches('"').to_owned()).collect()
}

/// What comes after the parenthesis that ends here.
fn after_parenthesis(inside: &str) -> &str {
    let mut open = 1_i32;
    let end = inside.find(|c| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    });
    end.map_or("", |end| &inside[end + 1..])
}

#[test]
fn the_document_is_made_of_the_sources() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let wanted = page();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(path, &wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "docs/metrics.md is old: UPDATE_GENERATED=1 cargo test -p server writes it again");
}

#[test]
fn registrations_are_read_in_every_shape() {
    let source = r#"
        IntCounterVec::new(Opts::new("starling_a_total", "Some \
            thing"), &["code", "kind"])?;
        self.counters("starling_b_total", "More.", "reason")?;
        add(Histogram::with_opts(HistogramOpts::new("starling_c_seconds", "Time"))?)?;
        let opts = Opts::new("starling_d", "D"); IntGaugeVec::new(opts, &["state"])?;
        let about = "starling_e is no metric";
        HistogramVec::new(HistogramOpts::new("starling_f_seconds", "F").buckets(of(1).to_vec()), &["call"])?;
        add(Histogram::with_opts(HistogramOpts::new("starling_g_seconds", "G").buckets(vec![1.0, 2.0]))?)?;
        let other = &["label"];
    "#;
    let metric = |name: &str, kind, labels: &[&str], help: &str| Metric {
        name: name.into(),
        kind,
        labels: labels.iter().map(|&label| label.into()).collect(),
        help: help.into(),
    };
    let wanted = [
        metric("starling_a_total", "counter", &["code", "kind"], "Some thing"),
        metric("starling_b_total", "counter", &["reason"], "More."),
        metric("starling_c_seconds", "histogram", &[], "Time"),
        metric("starling_d", "gauge", &["state"], "D"),
        metric("starling_f_seconds", "histogram", &["call"], "F"),
        metric("starling_g_seconds", "histogram", &[], "G"),
    ];
    assert_eq!(metrics_of(source), wanted);
}
