//! S1 and S2: the steady shape on one, two, four and six nodes whose processes share the same core, people spread over them
//! at random. What a delivery costs all of them together, and how many events Redis hands to a node for each message.

use anyhow::{Context, Result, ensure};
use bench::table::Samples;
use load::{room, steady};

use crate::{
    Plan, processes,
    stack::{Apart, Stack},
};

/// What was measured with so many nodes.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) nodes: usize,
    /// CPU-µs per delivery, all nodes together; and to that of one node in the same round.
    pub(crate) steady: Samples,
    pub(crate) steady_to_one: Samples,
    pub(crate) room: Samples,
    pub(crate) room_to_one: Samples,
    /// Events from Redis per message, all nodes together. With members in ten places drawn at random, nearly every node
    /// has one.
    pub(crate) events: Samples,
    pub(crate) p99: Samples,
}

const NODES: [usize; 4] = [1, 2, 4, 6];
const RATE: f64 = 1_000.0;

pub(crate) async fn measure(plan: &Plan, apart: Option<&Apart>) -> Result<Vec<Figures>> {
    let mut all: Vec<_> = NODES.into_iter().map(|nodes| Figures { nodes, ..Figures::default() }).collect();
    for round in 0..plan.rounds {
        let mut one: Option<(f64, f64)> = None;
        for figures in &mut all {
            let nodes = figures.nodes;
            let (steady, room) =
                with(nodes, plan, apart, round, figures).await.with_context(|| format!("{nodes} nodes"))?;
            let of_one = one.get_or_insert((steady, room));
            figures.steady_to_one.add(steady / of_one.0);
            figures.room_to_one.add(room / of_one.1);
        }
    }
    Ok(all)
}

async fn with(
    nodes: usize,
    plan: &Plan,
    apart: Option<&Apart>,
    round: usize,
    figures: &mut Figures,
) -> Result<(f64, f64)> {
    let stack = Stack::start(nodes, apart).await?;
    let cpu = || processes::cpu_seconds(&stack.pids).unwrap_or(f64::NAN);
    let clean = |outcome: room::Outcome| {
        ensure!(outcome.findings.is_clean(), "deliveries were wrong: {outcome:?}");
        Ok(outcome)
    };
    let before = stack.metric("starling_bus_events_total").await?;
    let wanted = steady::Steady {
        run: format!("steady-{round}"),
        rooms: 100,
        members: 10,
        rate: RATE,
        size: 128,
        time: plan.time,
    };
    let steady = clean(steady::run(&stack.target, &wanted, cpu).await?)?;
    let events = stack.metric("starling_bus_events_total").await? - before;
    let wanted = room::Room {
        run: format!("room-{round}"),
        members: plan.fan_out,
        senders: plan.fan_out.min(8),
        in_flight: 2,
        size: 128,
        time: plan.time,
    };
    let room = clean(room::run(&stack.target, &wanted, cpu).await?)?;
    let each = |outcome: &room::Outcome| outcome.sampled * 1e6 / outcome.delivered as f64;
    figures.steady.add(each(&steady));
    figures.room.add(each(&room));
    figures.p99.add(steady.delivery_ms[1]);
    figures.events.add(events / steady.acknowledged as f64);
    Ok((each(&steady), each(&room)))
}
