//! One run from beginning to end: the plan is checked, nodes are started, the scenario played while everything is
//! recorded, and the report written. Ctrl-C ends the scenario, not the report; a second one does not wait
//! for what is under way either.

use std::{cell::Cell, sync::Arc};

use anyhow::{Result, anyhow, bail, ensure};
use parking_lot::Mutex;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    cli::{Options, Scenario},
    fds,
    live::Live,
    nodes::{Nodes, disturb},
    people::{People, Tokens},
    plan::Plan,
    report::{
        Report,
        model::{BEFORE, CONNECTED, END, Figures, Latency, Machine, Mark, VERSION},
        must_be_writable,
    },
    rest::{Refused, Rest},
    run::{Parts, Run},
    scenario,
    socket::Dialer,
    stage::{Stage, Stopped},
    watch::{Process, Recorder, Watched},
};

/// Plays a scenario; true when every delivery was right.
pub(crate) async fn run(options: Options, scenario: Scenario) -> Result<bool> {
    let plan = Plan::new(&options, scenario)?;
    // A folder that is not there is told now, not after an hour of load.
    options.json.iter().chain(&options.html).try_for_each(|file| must_be_writable(file))?;
    let report = play(plan, !options.quiet).await?;
    print!("{}", report.summary());
    let written = [
        options.json.as_deref().map_or(Ok(()), |file| report.write_json(file)),
        options.html.as_deref().map_or(Ok(()), |file| report.write_html(file)),
    ];
    written.into_iter().collect::<Result<()>>()?;
    if !report.verdict.faults.is_clean() {
        return Ok(false);
    }
    if let Some(broken) = report.broken.first() {
        bail!("{broken}: the report is of what came before");
    }
    ensure!(
        !report.verdict.proves_nothing(),
        "nothing was proved: of {} messages {} were acknowledged and {} deliveries expected",
        report.verdict.sent,
        report.verdict.acknowledged,
        report.verdict.expected
    );
    Ok(true)
}

/// Plays a plan to its report.
pub(crate) async fn play(mut plan: Plan, live: bool) -> Result<Report> {
    fds::make_room(plan.sockets())?;
    // Checked before anything is started: a folder that is not there is known now.
    let tokens = plan.tokens.as_deref().map(|file| Tokens::listed(file, plan.people())).transpose()?;
    let mut watched = Arc::new(Mutex::new(Watched { processes: Vec::new(), metrics: plan.metrics.clone() }));
    for pid in &plan.pids {
        let process = Process::new(&format!("process {pid}"), *pid);
        if !process.is_there() {
            bail!("--pid {pid}: there is no such process on this machine");
        }
        watched.lock().processes.push(process);
    }
    let secret = plan.secret.clone().unwrap_or_else(own_secret);
    let mut nodes = None;
    if let Some(spawn) = &plan.spawn {
        if live {
            eprintln!("starting nodes …");
        }
        let started = tokio::select! {
            started = Nodes::start(spawn, &secret) => started?,
            () = told_to_stop() => return Err(Stopped.into()),
        };
        (plan.api, plan.gateways) = (started.api(), started.gateways());
        // What was named besides is watched with them.
        let Watched { processes, metrics } = std::mem::take(&mut *watched.lock());
        watched = Arc::clone(&started.watched);
        {
            let mut all = watched.lock();
            all.processes.extend(processes);
            all.metrics.extend(metrics);
        }
        nodes = Some(started);
    }
    let tokens = tokens.unwrap_or_else(|| Tokens::minted(&secret));
    let played = with_target(plan, tokens, &watched, nodes.as_mut(), live).await;
    if let Some(nodes) = nodes {
        nodes.end().await;
    }
    played
}

async fn with_target(
    plan: Plan,
    tokens: Tokens,
    watched: &Arc<Mutex<Watched>>,
    nodes: Option<&mut Nodes>,
    live: bool,
) -> Result<Report> {
    let rest = Rest::new(&plan.api)?;
    let people = People::new(rest.clone(), tokens, &plan.run);
    tokio::select! {
        tried = people.try_one() => tried.map_err(|refused| why(&refused))?,
        () = told_to_stop() => return Err(Stopped.into()),
    }
    let dialer = Dialer::new(&plan.gateways, plan.sockets(), plan.patience)?;
    let run = Run::new(&plan.run, Parts::of(&plan, rest, dialer));
    let started_at = OffsetDateTime::now_utc().format(&Rfc3339)?;
    let recorder = Recorder::start(&run, Arc::clone(watched));
    let view = live.then(|| Live::start(&run, Arc::clone(&recorder.record)));
    let interrupt = interrupt(&run);
    let weigher = weigher(&run, watched);
    let stage = Stage { run: Arc::clone(&run), plan, people };
    let played = tokio::select! {
        played = disturbed(&stage, nodes) => played,
        () = run.give_up.cancelled() => Err(Stopped.into()),
    };
    let seconds = run.clock.seconds();
    interrupt.abort();
    weigher.abort();
    drop(view);
    let stopped_early = run.stop.is_cancelled();
    watched.lock().processes.iter_mut().for_each(|process| process.weigh(END));
    let (record, processes) = recorder.finish().await;
    match played {
        // What was measured before is not thrown away.
        Err(error) if !error.is::<Stopped>() && run.has_loaded() => run.breaks(format!("{error:#}")),
        Err(error) if !error.is::<Stopped>() => return Err(error),
        _ => {}
    }
    let marks: Vec<_> = run.marks.lock().iter().map(|(at, what)| Mark { at: *at, what: what.clone() }).collect();
    let mut plan = serde_json::to_value(&stage.plan)?;
    plan["time"] = stage.plan.time.as_secs_f64().into();
    Ok(Report {
        version: VERSION,
        run: run.name.clone(),
        scenario: stage.plan.scenario.name().to_owned(),
        started_at,
        seconds,
        loaded: loaded(&marks, seconds),
        stopped_early,
        machine: Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        plan,
        verdict: run.ledger.verdict(),
        most_open: run.most_open(),
        calls: run.meter.answers.load(std::sync::atomic::Ordering::Relaxed),
        during_load: run.loaded(),
        figures: Figures::default(),
        broken: run.broken.lock().clone(),
        latency: record.totals.iter().map(|(kind, all)| (kind.name().to_owned(), Latency::with_curve(all))).collect(),
        errors: run.meter.errors(),
        closes: run.meter.closes(),
        marks,
        timeline: record.seconds,
        processes,
        metrics: record.metrics,
    }
    .with_figures())
}

/// Plays the scenario; chaos goes on beside it, from when its load begins until its load ends, and what it took away is
/// back.
async fn disturbed(stage: &Stage, nodes: Option<&mut Nodes>) -> Result<()> {
    let (Some(chaos), Some(nodes)) = (&stage.plan.chaos, nodes) else {
        return scenario::play(stage).await;
    };
    let sockets = stage.plan.sockets() > 0;
    let begun = Cell::new(false);
    let chaos = async {
        // The sender lives as long as the run.
        let _ = stage.run.loading.subscribe().wait_for(|loading| *loading).await;
        begun.set(true);
        disturb(&stage.run, nodes, chaos, stage.plan.seed, sockets).await
    };
    let playing = scenario::play(stage);
    tokio::pin!(playing);
    let mut chaos = Box::pin(chaos);
    // The load goes on with the nodes that are left, and the report says so.
    let told = |done: Result<()>| {
        if let Err(error) = done {
            stage.run.breaks(format!("{error:#}"));
        }
    };
    let mut chaotic = true;
    loop {
        tokio::select! {
            played = &mut playing => {
                // A node that is still away belongs to the report, weight and all.
                if chaotic && begun.get() && played.is_ok() && !stage.run.stop.is_cancelled() {
                    told(chaos.await);
                }
                return played;
            }
            done = &mut chaos, if chaotic => {
                told(done);
                chaotic = false;
            }
        }
    }
}

/// The first Ctrl-C stops the scenario, the second one the waiting for what is under way.
fn interrupt(run: &Arc<Run>) -> JoinHandle<()> {
    let run = Arc::clone(run);
    tokio::spawn(async move {
        told_to_stop().await;
        run.mark("stopped");
        run.stop.cancel();
        told_to_stop().await;
        run.give_up.cancel();
    })
}

/// Ctrl-C, or SIGTERM: nodes of the run must not outlive it.
async fn told_to_stop() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Weighs the servers before the first socket and when all are there, and counts their CPU time anew when the load
/// begins.
fn weigher(run: &Arc<Run>, watched: &Arc<Mutex<Watched>>) -> JoinHandle<()> {
    let (mut connected, mut loading) = (run.connected.subscribe(), run.loading.subscribe());
    let (counted, watched) = (Arc::clone(watched), Arc::clone(watched));
    tokio::spawn(async move {
        if loading.wait_for(|loading| *loading).await.is_ok() {
            counted.lock().processes.iter_mut().for_each(Process::load_begins);
        }
    });
    tokio::spawn(async move {
        for (wanted, name) in [(1, BEFORE), (2, CONNECTED)] {
            if connected.wait_for(|step| *step >= wanted).await.is_err() {
                return;
            }
            watched.lock().processes.iter_mut().for_each(|process| process.weigh(name));
        }
    })
}

/// From when the load began to when it ended.
fn loaded(marks: &[Mark], end: f64) -> [f64; 2] {
    let of = |what: &str| marks.iter().find(|mark| mark.what == what).map(|mark| mark.at);
    [of("load begins").unwrap_or(end), of("load ends").unwrap_or(end)]
}

/// What the first call of a run was refused for, said so that it can be mended.
fn why(refused: &Refused) -> anyhow::Error {
    match &*refused.code {
        "not_authenticated" => anyhow!(
            "the server does not take our tokens: is --secret its STARLING_JWT_SECRET, or are the tokens of --tokens its \
             users'? ({refused})"
        ),
        "token_expired" => anyhow!("the tokens of --tokens have expired ({refused})"),
        _ => anyhow!("{refused}"),
    }
}

/// For nodes of our own.
fn own_secret() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}
