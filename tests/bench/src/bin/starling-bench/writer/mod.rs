//! Durable messages per second: the batch writer against one commit per message, through the same domain code, and
//! against bare batches of the same rows ([`bare`]); on the same Postgres, which syncs to disk.

mod bare;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use bus::local::LocalBus;
use chat::{AuthConfig, Chat, ChatConfig, Env, ExternalClaims, WriterConfig, mint_external};
use protocol::{ConversationId, ConversationKind, CreateConversation, History, Posting, SendMessage};
use starling_tests::postgres::PrivatePostgres;
use store::{
    Store,
    postgres::{PostgresConfig, PostgresStore},
};
use tokio::time::Instant;

use bench::table::Samples;

/// Concurrent senders.
pub(crate) const SENDERS: [usize; 2] = [64, 256];
/// Conversations of each sender.
const CONVERSATIONS: usize = 2;
const SECRET: &[u8] = b"a secret of the benchmark, 32 bytes+";

/// What was measured, messages per second where nothing else is said.
#[derive(Default)]
pub(crate) struct Rates {
    /// Through the writer as configured by default.
    pub(crate) batched: Samples,
    /// One commit per message, as many connections as senders.
    pub(crate) single: Samples,
    /// Batches of as many messages as there are senders: one transaction at a time, or four with a quarter of them
    /// each, whichever is faster.
    pub(crate) bare: Samples,
    /// Of each round: batched to single, and batched to bare.
    pub(crate) to_single: Samples,
    pub(crate) to_bare: Samples,
    /// Messages of a transaction of the batch writer, on average.
    pub(crate) batch: Samples,
}

/// Measures all of them with so many senders, interleaved, `rounds` times for `time` each.
pub(crate) async fn measure(senders: usize, rounds: usize, time: Duration) -> Result<Rates> {
    let postgres = PrivatePostgres::start_with(&["fsync=on", "full_page_writes=on"]).await?;
    let mut rates = Rates::default();
    for round in 0..rounds {
        let (config, database) = (WriterConfig::default(), format!("batched-{round}"));
        let batched = one(&postgres, &database, senders, config, 16, time).await?;
        // Into what the writer has just filled: the same conversations, the same indexes, no smaller tables.
        let mut bare = 0.0_f64;
        for (loops, batch) in [(1, senders), (4, senders / 4)] {
            bare = bare.max(bare::rate(&postgres.url_of(&database), loops, batch, time).await?);
        }
        // As many lanes as senders, one change per transaction: what a server without group commit does.
        let config = WriterConfig { lanes: senders, max_batch: 1, ..WriterConfig::default() };
        let single = one(&postgres, &format!("single-{round}"), senders, config, senders as u32, time).await?;
        rates.batched.add(batched.rate);
        rates.batch.add(batched.batch);
        rates.single.add(single.rate);
        rates.bare.add(bare);
        rates.to_single.add(batched.rate / single.rate);
        rates.to_bare.add(batched.rate / bare);
    }
    Ok(rates)
}

/// What one run of the domain code did.
struct One {
    rate: f64,
    batch: f64,
}

async fn one(
    postgres: &PrivatePostgres,
    database: &str,
    senders: usize,
    writer: WriterConfig,
    connections: u32,
    time: Duration,
) -> Result<One> {
    postgres.create_database(database, None).await?;
    let config = PostgresConfig { max_connections: connections, ..PostgresConfig::new(postgres.url_of(database)) };
    let store: Arc<dyn Store> = Arc::new(PostgresStore::connect(config)?);
    store.migrate().await?;
    let auth = AuthConfig { secret: Some(SECRET.to_vec()), ..AuthConfig::default() };
    let config = ChatConfig { auth, writer, ..ChatConfig::default() };
    let bus = Arc::new(LocalBus::start());
    let registry = prometheus::Registry::new();
    let chat = Chat::new(Arc::clone(&store), bus, Env::system(), config, &registry).map_err(|error| anyhow!(error))?;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for n in 0..senders {
        tasks.push(tokio::spawn(sender(chat.clone(), n, Arc::clone(&stop), Arc::clone(&sent))));
    }
    // Past the making of users and conversations.
    let warm = Instant::now() + Duration::from_mins(1);
    while sent.load(Ordering::Relaxed) < (senders * 4) as u64 {
        anyhow::ensure!(Instant::now() < warm, "the senders do not get going");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (before, started) = (sent.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    let rate = (sent.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    chat.shutdown().await;
    store.close().await;
    Ok(One { rate, batch: mean(&registry, "starling_writer_batch_size")? })
}

/// The mean of what a histogram has seen.
fn mean(registry: &prometheus::Registry, name: &str) -> Result<f64> {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).context("there is no such histogram")?;
    let metric = family.get_metric().first().context("a histogram without values")?;
    let histogram = metric.get_histogram();
    Ok(histogram.get_sample_sum() / histogram.get_sample_count() as f64)
}

/// Sends in a closed loop, to its conversations in turn.
async fn sender(chat: Chat, n: usize, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) -> Result<()> {
    let exp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 3_600;
    let claims = ExternalClaims::of(format!("sender-{n}"), exp);
    let token = mint_external(SECRET, &claims).map_err(|error| anyhow!(error))?;
    let caller = chat.authenticate(&token).await.context("signing in")?;
    let mut conversations: Vec<ConversationId> = Vec::new();
    for n in 0..CONVERSATIONS {
        let request = CreateConversation {
            kind: ConversationKind::Group,
            title: Some(format!("bench {n}")),
            description: None,
            avatar_url: None,
            participant_ids: Vec::new(),
            subject: None,
            posting: Posting::default(),
            history: History::default(),
            slow_mode_seconds: 0,
        };
        conversations.push(chat.create_conversation(&caller, request, None).await?.0.id);
    }
    let content = "x".repeat(128);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let request =
            SendMessage { content: content.clone(), client_id: Some(n.to_string()), ..SendMessage::default() };
        chat.send(&caller, conversations[n % CONVERSATIONS], request).await?;
        sent.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
