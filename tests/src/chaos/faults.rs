//! What is done to a cluster, one fault at a time: it strikes, lasts a moment, and is over when [`Fault::strike`]
//! returns. What a fault took away is there again by then; what follows from it is the cluster's to mend.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};
use rand::{Rng, RngExt, rngs::StdRng, seq::IndexedRandom};
use tokio::time::{Instant, sleep};

use super::stage::{LEASE, Place, Stage};
use crate::proxy::{CommitFault, Direction, Flow, MessageFaults};

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// kill -9 of a gateway, which is started again.
    KillGateway,
    /// kill -9 of the api, which is started again.
    KillApi,
    /// SIGTERM of one gateway after the other.
    RollingRestart,
    /// A node sleeps for longer than its lease, and wakes.
    Freeze,
    /// A node's clock jumps by minutes.
    ClockStep,
    /// Redis is killed and started again, empty.
    KillRedis,
    /// Connections to Redis are cut.
    CutRedis,
    /// Redis answers late.
    DelayRedis,
    /// What is sent to Redis goes nowhere, and nothing comes.
    SwallowRedis,
    /// Commands reach Redis, its answers and messages go nowhere.
    HalfOpenRedis,
    /// Published messages are lost.
    DropPublishes,
    /// They come twice.
    DuplicatePublishes,
    /// They come in another order.
    ReorderPublishes,
    /// Messages to subscribers are lost, come twice and in another order.
    ScramblePushes,
    /// Connections to Postgres are cut.
    CutPostgres,
    /// Postgres is stopped and started again.
    RestartPostgres,
    /// Postgres is killed and started again.
    KillPostgres,
    /// What is sent to Postgres goes nowhere, and nothing comes.
    SwallowPostgres,
    /// Commits happen, and their answers are lost.
    LoseCommits,
    /// The same, and for a while nobody can ask what became of them.
    LoseCommitsAndPostgres,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::KillGateway,
        Self::KillApi,
        Self::RollingRestart,
        Self::Freeze,
        Self::ClockStep,
        Self::KillRedis,
        Self::CutRedis,
        Self::DelayRedis,
        Self::SwallowRedis,
        Self::HalfOpenRedis,
        Self::DropPublishes,
        Self::DuplicatePublishes,
        Self::ReorderPublishes,
        Self::ScramblePushes,
        Self::CutPostgres,
        Self::RestartPostgres,
        Self::KillPostgres,
        Self::SwallowPostgres,
        Self::LoseCommits,
        Self::LoseCommitsAndPostgres,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillGateway => "kill -9 of a gateway",
            Self::KillApi => "kill -9 of the api",
            Self::RollingRestart => "rolling restart of the gateways",
            Self::Freeze => "a node sleeps past its lease",
            Self::ClockStep => "a node's clock jumps",
            Self::KillRedis => "kill -9 of Redis",
            Self::CutRedis => "Redis: connections cut",
            Self::DelayRedis => "Redis: late",
            Self::SwallowRedis => "Redis: black hole",
            Self::HalfOpenRedis => "Redis: half-open",
            Self::DropPublishes => "Redis: publishes lost",
            Self::DuplicatePublishes => "Redis: publishes doubled",
            Self::ReorderPublishes => "Redis: publishes reordered",
            Self::ScramblePushes => "Redis: pushes scrambled",
            Self::CutPostgres => "Postgres: connections cut",
            Self::RestartPostgres => "Postgres: restarted",
            Self::KillPostgres => "kill -9 of Postgres",
            Self::SwallowPostgres => "Postgres: black hole",
            Self::LoseCommits => "Postgres: answers to COMMIT lost",
            Self::LoseCommitsAndPostgres => "Postgres: gone after a COMMIT",
        }
    }

    /// Does it, and undoes it.
    pub(super) async fn strike(self, stage: &mut Stage, draw: &mut StdRng) -> Result<()> {
        match self {
            Self::KillGateway => kill(stage, gateway(stage, draw), draw).await?,
            Self::KillApi => kill(stage, Place::Api, draw).await?,
            Self::RollingRestart => rolling_restart(stage).await?,
            Self::Freeze => {
                let node = stage.node(gateway(stage, draw));
                node.freeze()?;
                sleep(LEASE + Duration::from_millis(draw.random_range(500..2_000))).await;
                node.thaw()?;
            }
            Self::ClockStep => {
                let place = *stage.places().choose(draw).unwrap_or(&Place::Api);
                let minutes = draw.random_range(1..=10_i64) * if draw.random() { 1 } else { -1 };
                stage.step_clock(place, minutes * 60_000)?;
                lasts(draw).await;
                stage.step_clock(place, 0)?;
            }
            Self::KillRedis => {
                stage.cluster.redis()?.kill()?;
                lasts(draw).await;
                stage.cluster.redis()?.up().await?;
            }
            Self::CutRedis => {
                for proxy in stage.redis_proxies(&some(stage, draw))? {
                    proxy.cut();
                }
            }
            Self::DelayRedis => {
                let (base, jitter) = (Duration::from_millis(50), Duration::from_millis(250));
                let flow = Flow::Delay { base, jitter, seed: draw.next_u64() };
                redis(stage, draw, |proxy| proxy.set(flow)).await?;
            }
            Self::SwallowRedis => redis(stage, draw, |proxy| proxy.set(Flow::Swallow)).await?,
            Self::HalfOpenRedis => {
                redis(stage, draw, |proxy| proxy.set_one(Direction::ToClient, Flow::Swallow)).await?;
            }
            Self::DropPublishes => {
                publishes(stage, draw, |every| MessageFaults { drop_every: every, ..none() }).await?;
            }
            Self::DuplicatePublishes => {
                publishes(stage, draw, |every| MessageFaults { duplicate_every: every, ..none() }).await?;
            }
            Self::ReorderPublishes => {
                publishes(stage, draw, |every| MessageFaults { reorder_every: every, ..none() }).await?;
            }
            Self::ScramblePushes => {
                let faults = MessageFaults { drop_every: 7, duplicate_every: 5, reorder_every: 3, ..none() };
                redis(stage, draw, |proxy| proxy.pushes(faults)).await?;
            }
            Self::CutPostgres => {
                for proxy in stage.postgres_proxies(&some(stage, draw))? {
                    proxy.cut();
                }
            }
            Self::RestartPostgres => {
                stage.cluster.postgres()?.stop().await?;
                lasts(draw).await;
                stage.cluster.postgres()?.up().await?;
            }
            Self::KillPostgres => {
                stage.cluster.postgres()?.kill().await?;
                lasts(draw).await;
                stage.cluster.postgres()?.up().await?;
            }
            Self::SwallowPostgres => {
                let proxies = stage.postgres_proxies(&some(stage, draw))?;
                for proxy in &proxies {
                    proxy.set(Flow::Swallow);
                }
                lasts(draw).await;
                // What lost bytes is dead; to find that out is the node's business.
                for proxy in proxies {
                    proxy.heal()?;
                }
            }
            Self::LoseCommits => {
                let proxies = stage.postgres_proxies(&stage.places())?;
                let until = Instant::now() + Duration::from_millis(draw.random_range(1_000..3_000));
                while Instant::now() < until {
                    for proxy in &proxies {
                        proxy.break_commit(draw.random_range(1..=5), CommitFault::AnswerLost);
                    }
                    sleep(Duration::from_millis(100)).await;
                }
                for proxy in &proxies {
                    proxy.heal()?;
                }
            }
            Self::LoseCommitsAndPostgres => {
                let proxies = stage.postgres_proxies(&stage.places())?;
                for proxy in &proxies {
                    proxy.break_commit(1, CommitFault::AnswerLostAndDown);
                }
                // Longer than a node itself tries.
                sleep(Duration::from_millis(draw.random_range(2_500..5_000))).await;
                for proxy in &proxies {
                    proxy.heal()?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn none() -> MessageFaults {
    MessageFaults::default()
}

/// How long most faults last.
async fn lasts(draw: &mut StdRng) {
    sleep(Duration::from_millis(draw.random_range(500..3_000))).await;
}

/// One of the gateways.
pub(super) fn gateway(stage: &Stage, draw: &mut StdRng) -> Place {
    Place::Gateway(draw.random_range(0..stage.cluster.gateways.len()))
}

/// One node, or all.
fn some(stage: &Stage, draw: &mut StdRng) -> Vec<Place> {
    let places = stage.places();
    if draw.random_bool(0.4) { places } else { places.choose(draw).copied().into_iter().collect() }
}

/// For a while, between some nodes and Redis.
async fn redis(stage: &Stage, draw: &mut StdRng, set: impl Fn(&crate::proxy::Proxy)) -> Result<()> {
    let proxies = stage.redis_proxies(&some(stage, draw))?;
    for proxy in &proxies {
        set(proxy);
    }
    lasts(draw).await;
    for proxy in proxies {
        proxy.heal()?;
    }
    Ok(())
}

/// For a while, what all nodes publish.
async fn publishes(stage: &Stage, draw: &mut StdRng, faults: impl Fn(u64) -> MessageFaults) -> Result<()> {
    let faults = faults(draw.random_range(2..=4));
    let proxies = stage.redis_proxies(&stage.places())?;
    for proxy in &proxies {
        proxy.publishes(faults);
    }
    lasts(draw).await;
    for proxy in proxies {
        proxy.heal()?;
    }
    Ok(())
}

async fn kill(stage: &mut Stage, place: Place, draw: &mut StdRng) -> Result<()> {
    stage.node_mut(place).kill()?;
    lasts(draw).await;
    stage.node_mut(place).restart().await
}

async fn rolling_restart(stage: &mut Stage) -> Result<()> {
    for at in 0..stage.cluster.gateways.len() {
        let node = stage.node_mut(Place::Gateway(at));
        node.terminate()?;
        let status = node.ended(Duration::from_secs(20)).await?;
        ensure!(status.success(), "a gateway that was told to end ended with {status}:\n{}", node.log());
        node.restart().await?;
        node.ready().await?;
    }
    Ok(())
}
