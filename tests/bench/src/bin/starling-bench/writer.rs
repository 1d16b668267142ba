//! Durable messages per second: the batch writer against one commit per message, on the same Postgres (which syncs
//! to disk), through the same domain code.

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

/// Concurrent senders, and connections of the one-commit-per-message loop.
pub(crate) const SENDERS: usize = 64;
/// Conversations of each sender.
const CONVERSATIONS: usize = 2;
const SECRET: &[u8] = b"a secret of the benchmark, 32 bytes+";

/// What was measured, messages per second.
pub(crate) struct Rates {
    /// Through the writer as configured by default.
    pub(crate) batched: Samples,
    /// One commit per message, as many connections as senders.
    pub(crate) single: Samples,
}

/// Measures both, interleaved, `rounds` times for `time` each.
pub(crate) async fn measure(rounds: usize, time: Duration) -> Result<Rates> {
    let postgres = PrivatePostgres::start_with(&["fsync=on", "full_page_writes=on"]).await?;
    let mut rates = Rates { batched: Samples::default(), single: Samples::default() };
    for round in 0..rounds {
        let config = WriterConfig::default();
        rates.batched.add(one(&postgres, &format!("batched-{round}"), config, 16, time).await?);
        // As many lanes as senders, one change per transaction: what a server without group commit does.
        let config = WriterConfig { lanes: SENDERS, max_batch: 1, ..WriterConfig::default() };
        rates.single.add(one(&postgres, &format!("single-{round}"), config, SENDERS as u32, time).await?);
    }
    Ok(rates)
}

async fn one(
    postgres: &PrivatePostgres,
    database: &str,
    writer: WriterConfig,
    connections: u32,
    time: Duration,
) -> Result<f64> {
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
    for n in 0..SENDERS {
        tasks.push(tokio::spawn(sender(chat.clone(), n, Arc::clone(&stop), Arc::clone(&sent))));
    }
    // Past the making of users and conversations.
    let warm = Instant::now() + Duration::from_mins(1);
    while sent.load(Ordering::Relaxed) < (SENDERS * 4) as u64 {
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
    Ok(rate)
}

/// Sends in a closed loop, to its conversations in turn.
async fn sender(chat: Chat, n: usize, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) -> Result<()> {
    let claims = ExternalClaims {
        sub: format!("sender-{n}"),
        exp: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 3_600,
        org: None,
        preferred_username: None,
        name: None,
        picture: None,
        role: None,
        iss: None,
        aud: None,
    };
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
