//! G1 and M2, as curves: what a delivery costs as what lies idle grows (sockets, messages and conversations in the
//! database, conversations of a user), and as a conversation grows. One node. What takes long to grow has a stack for
//! each point, and rounds go over all of them.

use anyhow::{Context, Result, ensure};
use bench::table::Samples;
use load::{idle, room, steady};
use starling_tests::seed::{self, Size};

use crate::{
    Plan, processes,
    stack::{Apart, Stack},
};

/// One curve: what grows, and what was measured at each point.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) points: Vec<(f64, Samples)>,
}

impl Curve {
    fn new(name: &'static str, unit: &'static str, at: &[usize]) -> Self {
        Self { name, unit, points: at.iter().map(|at| (*at as f64, Samples::default())).collect() }
    }

    /// The exponent of the power law through the first and the last point: 0 is flat, 1 is proportional.
    pub(crate) fn exponent(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some((x0, y0)), Some((x1, y1))) if x1 > x0 => (y1.median() / y0.median()).ln() / (x1 / x0).ln(),
            _ => f64::NAN,
        }
    }

    /// The last point to the first.
    pub(crate) fn rise(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some((_, first)), Some((_, last))) => last.median() / first.median(),
            _ => f64::NAN,
        }
    }
}

pub(crate) async fn measure(plan: &Plan, apart: Option<&Apart>) -> Result<Vec<Curve>> {
    let growth = &plan.growth;
    let mut sockets = Curve::new("idle sockets", "CPU-µs per delivery", &growth.sockets);
    let mut stored = Curve::new("stored messages", "CPU-µs per delivery", &growth.stored);
    let mut lying = Curve::new("stored conversations", "CPU-µs per delivery", &growth.lying);
    let mut members = Curve::new("members of the conversation", "CPU-µs per delivery", &growth.members);
    let mut conversations = Curve::new("conversations of each idle user", "bytes per socket", &growth.conversations);
    idle_sockets(plan, apart, &mut sockets).await.context("growing idle sockets")?;
    let of_messages =
        |messages: u32| Size { users: 1_000, conversations: (messages / 100).clamp(10, 20_000), messages };
    seeded(plan, apart, of_messages, &mut stored).await.context("growing stored messages")?;
    // One message in each, beside the tenth of all that the huge one has.
    let of_conversations = |conversations: u32| Size { users: 1_000, conversations, messages: conversations / 9 * 10 };
    seeded(plan, apart, of_conversations, &mut lying).await.context("growing stored conversations")?;
    for round in 0..plan.rounds {
        room_members(plan, apart, round, &mut members).await.context("growing a conversation")?;
        user_conversations(apart, round, growth.users, &mut conversations).await.context("growing memberships")?;
    }
    Ok(vec![sockets, stored, lying, members, conversations])
}

/// What a delivery of the steady shape costs now.
async fn steady_cost(stack: &Stack, plan: &Plan, name: String) -> Result<f64> {
    let wanted = steady::Steady { run: name, rooms: 100, members: 10, rate: 500.0, size: 128, time: plan.time };
    let outcome =
        steady::run(&stack.target, &wanted, || processes::cpu_seconds(&stack.pids).unwrap_or(f64::NAN)).await?;
    ensure!(outcome.findings.is_clean(), "deliveries were wrong: {outcome:?}");
    Ok(outcome.sampled * 1e6 / outcome.delivered as f64)
}

/// In all rounds, at each of the stacks in turn: a curve's points.
async fn rounds(plan: &Plan, stacks: &[Stack], curve: &mut Curve) -> Result<()> {
    for stack in stacks {
        steady_cost(stack, plan, "warm".to_owned()).await?;
    }
    for round in 0..plan.rounds {
        for ((_, samples), stack) in curve.points.iter_mut().zip(stacks) {
            samples.add(steady_cost(stack, plan, format!("steady-{round}")).await?);
        }
    }
    Ok(())
}

async fn idle_sockets(plan: &Plan, apart: Option<&Apart>, curve: &mut Curve) -> Result<()> {
    let mut sockets = 0;
    let stack = Stack::start(1, apart).await?;
    steady_cost(&stack, plan, "warm".to_owned()).await?;
    let mut open = Vec::new();
    for (at, samples) in &mut curve.points {
        let more = *at as usize - sockets;
        sockets += more;
        let wanted = idle::Idle { run: format!("idle-{sockets}"), sockets: more, conversations: 5 };
        open.push(idle::open(&stack.target, &wanted).await?);
        for round in 0..plan.rounds {
            samples.add(steady_cost(&stack, plan, format!("steady-{sockets}-{round}")).await?);
        }
    }
    Ok(())
}

/// A database for each point, filled to the size that `size` says.
async fn seeded(plan: &Plan, apart: Option<&Apart>, size: impl Fn(u32) -> Size, curve: &mut Curve) -> Result<()> {
    let mut stacks = Vec::new();
    for (at, _) in &curve.points {
        let stack = Stack::start(1, apart).await?;
        let mut connection = seed::patient(&stack.database).await?;
        seed::seed(&mut connection, size(*at as u32)).await?;
        stacks.push(stack);
    }
    rounds(plan, &stacks, curve).await
}

async fn room_members(plan: &Plan, apart: Option<&Apart>, round: usize, curve: &mut Curve) -> Result<()> {
    let stack = Stack::start(1, apart).await?;
    for (at, samples) in &mut curve.points {
        let members = *at as usize;
        let wanted = room::Room {
            run: format!("room-{round}-{members}"),
            members,
            senders: members.min(8),
            in_flight: 2,
            size: 128,
            time: plan.time,
        };
        let outcome =
            room::run(&stack.target, &wanted, || processes::cpu_seconds(&stack.pids).unwrap_or(f64::NAN)).await?;
        ensure!(outcome.findings.is_clean(), "deliveries were wrong: {outcome:?}");
        samples.add(outcome.sampled * 1e6 / outcome.delivered as f64);
    }
    Ok(())
}

async fn user_conversations(apart: Option<&Apart>, round: usize, users: usize, curve: &mut Curve) -> Result<()> {
    for (at, samples) in &mut curve.points {
        let stack = Stack::start(1, apart).await?;
        let warm = idle::Idle { run: format!("warm-{round}"), sockets: 20, conversations: 5 };
        let _warm = idle::open(&stack.target, &warm).await?;
        let before = processes::settled_pss(&stack.pids).await?;
        let wanted = idle::Idle { run: format!("idle-{round}"), sockets: users, conversations: *at as usize };
        let _open = idle::open(&stack.target, &wanted).await?;
        let bytes = processes::settled_pss(&stack.pids).await?.saturating_sub(before);
        samples.add(bytes as f64 / users as f64);
    }
    Ok(())
}
