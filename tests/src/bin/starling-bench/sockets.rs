//! What sockets and deliveries cost: nodes of the real binary with their own Postgres (which syncs) and Redis.

use anyhow::{Result, ensure};
use load::{Target, idle, room};
use starling_tests::{
    node::{self, Node, Role},
    postgres::PrivatePostgres,
    redis::Redis,
};

use crate::{Plan, processes, table::Samples};

const SECRET: &str = "a secret of the benchmark, 32 bytes+";

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
        let postgres = PrivatePostgres::start_with(&["fsync=on", "full_page_writes=on"]).await?;
        let url = postgres.url();
        let (code, _, log) = node::run(&["migrate"], [("DATABASE_URL", url.as_str())]).await?;
        ensure!(code == Some(0), "`starling migrate` failed: {log}");
        let redis = Redis::start().await?;
        let redis_url = redis.url();
        let env = [
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", redis_url.as_str()),
            ("STARLING_JWT_SECRET", SECRET),
            // The load tester is meant to go as fast as it is answered.
            ("STARLING_COMMAND_RATE", "0"),
            ("STARLING_LOG", "warn"),
        ];
        let mut running = Vec::new();
        for _ in 0..nodes {
            let mut node = Node::start(Role::Serve, env).await?;
            node.ready().await?;
            running.push(node);
        }
        let pids: Vec<_> = running.iter().map(Node::id).collect();
        let target = Target {
            api: running.first().map(|node| node.url().to_owned()).unwrap_or_default(),
            gateways: running.iter().map(|node| node.url().to_owned()).collect(),
            secret: SECRET.to_owned(),
        };

        // A first few sockets, so that what the process allocates once is not counted.
        let warm = idle::Idle { run: format!("warm-{round}"), sockets: 20, conversations: 5 };
        let warm = idle::open(&target, &warm).await?;
        let before = processes::pss_bytes(&pids)?;
        let wanted = idle::Idle { run: format!("idle-{round}"), sockets: plan.idle, conversations: 5 };
        let open = idle::open(&target, &wanted).await?;
        let bytes = processes::pss_bytes(&pids)?.saturating_sub(before);
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
        let outcome = room::run(&target, &wanted, || processes::cpu_seconds(&pids).unwrap_or(f64::NAN)).await?;
        ensure!(outcome.findings.is_clean(), "deliveries were wrong: {outcome:?}");
        figures.cpu_micros.add(outcome.sampled * 1e6 / outcome.delivered as f64);
        figures.deliveries.add(outcome.delivered as f64 / outcome.seconds);
        figures.ack_p50.add(outcome.ack_ms[0]);
        figures.ack_p99.add(outcome.ack_ms[1]);
    }
    Ok(figures)
}
