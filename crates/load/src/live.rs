//! What is to be seen while a run goes on: a few lines that stay in place on a terminal, a line every five seconds
//! elsewhere.

use std::{
    io::IsTerminal,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::interval};

use crate::{
    report::model::Second,
    run::{Progress, Run},
    watch::Record,
};

/// Where nobody watches, so often.
const QUIET: usize = 5;

/// A view that ends when it is dropped.
pub(crate) struct Live {
    task: JoinHandle<()>,
    lines: Option<(MultiProgress, Vec<ProgressBar>)>,
}

impl Live {
    /// Begins.
    pub(crate) fn start(run: &Arc<Run>, record: Arc<Mutex<Record>>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let lines = terminal.then(|| {
            let all = MultiProgress::new();
            let style =
                |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bars: Vec<_> = (0..4)
                .map(|n| {
                    let bar = all.add(ProgressBar::new_spinner());
                    bar.with_style(style(if n == 0 {
                        "{spinner} {elapsed_precise} [{bar:24}] {msg}"
                    } else {
                        "  {msg}"
                    }))
                })
                .collect();
            bars[0].enable_steady_tick(Duration::from_millis(120));
            (all, bars)
        });
        let bars = lines.as_ref().map(|(_, bars)| bars.clone());
        let task = tokio::spawn(show(Arc::clone(run), record, bars));
        Self { task, lines }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
        if let Some((all, bars)) = &self.lines {
            bars.iter().for_each(ProgressBar::finish_and_clear);
            let _ = all.clear();
        }
    }
}

async fn show(run: Arc<Run>, record: Arc<Mutex<Record>>, bars: Option<Vec<ProgressBar>>) {
    let mut ticks = interval(Duration::from_millis(500));
    let mut shown = 0;
    loop {
        ticks.tick().await;
        let (count, last) = {
            let record = record.lock();
            (record.seconds.len(), record.seconds.last().cloned())
        };
        let phase = run.phase.lock().clone();
        let lines = last.map(|last| lines(&run, &last)).unwrap_or_default();
        match &bars {
            Some(bars) => {
                let (done, all) = progress(&run);
                bars[0].set_length(all);
                bars[0].set_position(done);
                bars[0].set_message(phase);
                for (bar, line) in bars[1..].iter().zip(lines) {
                    bar.set_message(line);
                }
            }
            None if count >= shown + QUIET => {
                shown = count;
                let [rates, latency, wrong] = lines;
                eprintln!("{:>5.0} s  {phase}: {rates}; {latency}; {wrong}", run.clock.seconds());
            }
            None => {}
        }
    }
}

/// How far it is, of how much.
fn progress(run: &Run) -> (u64, u64) {
    match *run.progress.lock() {
        Progress::Unknown => (0, 1),
        Progress::Made(done, all) => (done as u64, all as u64),
        Progress::Opening(all) => (run.meter.open.load(Relaxed).max(0) as u64, all as u64),
        Progress::Since(start, time) => (start.elapsed().as_millis() as u64, time.as_millis() as u64),
    }
}

fn lines(run: &Run, last: &Second) -> [String; 3] {
    let rates = format!(
        "{} open, {:.0} sent/s, {:.0} acknowledged/s, {:.0} delivered/s, {:.0} calls/s, {:.1} MB/s in",
        last.open,
        last.sent,
        last.acknowledged,
        last.delivered,
        last.calls,
        last.bytes / 1e6
    );
    let part = |(name, latency): (&String, &crate::report::model::Latency)| {
        format!("{name} p50 {:.1} ms, p99 {:.1} ms", latency.p50, latency.p99)
    };
    let latency = last.latency.iter().map(part).collect::<Vec<_>>().join(" · ");
    let errors: Vec<_> = run.meter.errors().into_iter().map(|(code, count)| format!("{code} × {count}")).collect();
    let errors = if errors.is_empty() { "none".into() } else { errors.join(", ") };
    let latency = if latency.is_empty() { "nothing timed".into() } else { latency };
    [rates, latency, format!("faults {}, errors {errors}", last.faults)]
}
