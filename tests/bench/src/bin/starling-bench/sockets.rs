//! What sockets and deliveries cost with one node and with more.

use anyhow::{Result, ensure};
use bench::table::Samples;
use load::{idle, room};

use crate::{Plan, processes, stack::Stack};

/// What was measured with so many nodes.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) idle_bytes: Samples,
    pub(crate) cpu_micros: Samples,
    pub(crate) deliveries: Samples,
    pub(crate) ack_p50: Samples,
    pub(crate) ack_p99: Samples,
}

/// Measures `nodes` nodes that do both roles.
pub(crate) async fn measure(nodes: usize, plan: &Plan) -> Result<Figures> {
    let mut figures = Figures::default();
    for round in 0..plan.rounds {
        let stack = Stack::start(nodes, None).await?;
        let (target, pids) = (&stack.target, &stack.pids);

        // A first few sockets, so that what the process allocates once is not counted.
        let warm = idle::Idle { run: format!("warm-{round}"), sockets: 20, conversations: 5 };
        let warm = idle::open(target, &warm).await?;
        let before = processes::pss_bytes(pids)?;
        let wanted = idle::Idle { run: format!("idle-{round}"), sockets: plan.idle, conversations: 5 };
        let open = idle::open(target, &wanted).await?;
        let bytes = processes::pss_bytes(pids)?.saturating_sub(before);
        figures.idle_bytes.add(bytes as f64 / plan.idle as f64);
        drop((warm, open));

        let wanted = room::Room {
            run: format!("room-{round}"),
            members: plan.members,
            senders: 8,
            in_flight: 2,
            size: 128,
            time: plan.time,
        };
        let outcome = room::run(target, &wanted, || processes::cpu_seconds(pids).unwrap_or(f64::NAN)).await?;
        ensure!(outcome.findings.is_clean(), "deliveries were wrong: {outcome:?}");
        figures.cpu_micros.add(outcome.sampled * 1e6 / outcome.delivered as f64);
        figures.deliveries.add(outcome.delivered as f64 / outcome.seconds);
        figures.ack_p50.add(outcome.ack_ms[0]);
        figures.ack_p99.add(outcome.ack_ms[1]);
    }
    Ok(figures)
}
