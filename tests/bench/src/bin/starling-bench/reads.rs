//! What a request costs over the statement in it: list, page of history, badges and search at a million messages,
//! through REST, beside the same rows fetched by one hand-written statement through a pool of the same size.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use chat::{ExternalClaims, mint_external};
use sqlx::{PgPool, Row, postgres::PgPoolOptions};
use starling_tests::{
    client::Rest,
    node::{Node, Role},
    postgres::PrivatePostgres,
    redis::Redis,
    seed::{self, COMMON_WORD, RARE_WORD, Seeded, Size},
};
use store::{
    Store,
    postgres::{PostgresConfig, PostgresStore},
};
use tokio::time::Instant;

use crate::processes;
use bench::table::Samples;

const SECRET: &str = "a secret of the benchmark, 32 bytes+";
/// Requests under way at once, and connections of either pool.
const WORKERS: usize = 4;

/// One kind of request, both ways.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    /// Through REST, and the bare statement.
    pub(crate) ways: [Way; 2],
}

/// One way.
#[derive(Default)]
pub(crate) struct Way {
    pub(crate) p50_ms: Samples,
    pub(crate) p99_ms: Samples,
    /// Of the server (or of this process, for the bare statement) and of Postgres together, per request.
    pub(crate) cpu_micros: Samples,
}

struct Request {
    name: &'static str,
    path: String,
    sql: &'static str,
    words: Option<&'static str>,
}

/// Measures `rounds` times, interleaved, `requests` of each.
pub(crate) async fn measure(rounds: usize, requests: usize, size: Size) -> Result<Vec<Figures>> {
    let postgres = PrivatePostgres::start_with(&["shared_buffers=1GB"]).await?;
    let store = PostgresStore::connect(PostgresConfig::new(postgres.url()))?;
    store.migrate().await?;
    let mut connection = seed::patient(&postgres.url()).await?;
    let seeded = seed::seed(&mut connection, size).await?;
    let redis = Redis::start().await?;
    let (url, redis_url) = (postgres.url(), redis.url());
    let connections = WORKERS.to_string();
    let env = [
        ("DATABASE_URL", url.as_str()),
        ("REDIS_URL", redis_url.as_str()),
        ("STARLING_JWT_SECRET", SECRET),
        ("STARLING_DATABASE_CONNECTIONS", connections.as_str()),
        ("STARLING_LOG", "warn"),
    ];
    let mut node = Node::start(Role::Serve, env).await?;
    node.ready().await?;
    let pool = PgPoolOptions::new().max_connections(WORKERS as u32).connect(&url).await?;
    let rest = Rest::new(node.url(), Some(&token("user-1")?))?;
    let postmaster = postgres.id()?;

    let kinds = kinds(&seeded);
    let mut figures: Vec<_> = kinds.iter().map(|kind| Figures { name: kind.name, ways: Default::default() }).collect();
    // Each once, so that neither way pays for a cold cache.
    for kind in &kinds {
        over_rest(&rest, kind).await?;
        bare(&pool, kind, &seeded).await?;
    }
    for _ in 0..rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            let cpu = || Ok(processes::cpu_seconds(&[node.id()])? + processes::family_cpu_seconds(postmaster)?);
            sample(&mut figures.ways[0], requests, cpu, || over_rest(&rest, kind)).await?;
            let own = std::process::id();
            let cpu = || Ok(processes::cpu_seconds(&[own])? + processes::family_cpu_seconds(postmaster)?);
            sample(&mut figures.ways[1], requests, cpu, || bare(&pool, kind, &seeded)).await?;
        }
    }
    Ok(figures)
}

fn kinds(seeded: &Seeded) -> Vec<Request> {
    vec![
        Request {
            name: "list of 50 conversations",
            path: "conversations?limit=50".into(),
            sql: "SELECT c.id, c.kind, c.title, c.description, c.avatar_url, c.last_seq, c.last_activity_at, p.role,
                         p.notify, p.muted_until, c.last_number - p.read_number AS unread, m.id, m.content, m.created_at,
                         u.username, u.display_name,
                         (SELECT count(*) FROM mentions x WHERE x.user_id = p.user_id
                          AND x.conversation_id = p.conversation_id AND x.seq > p.read_seq) AS mentions
                  FROM participants p
                  JOIN conversations c ON c.id = p.conversation_id
                  LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq = c.last_seq
                  LEFT JOIN users u ON u.id = m.sender_id
                  WHERE p.user_id = $1 AND p.left_at IS NULL AND c.deleted_at IS NULL AND $2::uuid IS NOT NULL
                  ORDER BY c.last_activity_at DESC, c.id DESC LIMIT 50",
            words: None,
        },
        Request {
            name: "page of 50 messages",
            path: format!("conversations/{}/messages?limit=50", seeded.huge),
            sql: "SELECT m.*, u.username, u.display_name, u.avatar_url FROM messages m JOIN users u ON u.id = m.sender_id
                  WHERE m.conversation_id = $2 AND EXISTS (SELECT 1 FROM participants p
                      WHERE p.conversation_id = m.conversation_id AND p.user_id = $1 AND p.left_at IS NULL)
                  ORDER BY m.seq DESC LIMIT 50",
            words: None,
        },
        Request {
            name: "badges",
            path: "unread".into(),
            sql: "SELECT sum(c.last_number - p.read_number) FILTER (WHERE (p.muted_until > now()) IS NOT TRUE)::bigint,
                         count(*) FILTER (WHERE c.last_number > p.read_number
                                          AND (p.muted_until > now()) IS NOT TRUE),
                         sum((SELECT count(*) FROM mentions x
                              WHERE x.user_id IN (p.user_id, '00000000-0000-0000-0000-000000000000')
                              AND x.conversation_id = p.conversation_id AND x.seq > p.read_seq))::bigint,
                         (SELECT count(*) FROM notifications n WHERE n.user_id = $1 AND n.read_at IS NULL),
                         (SELECT o.announcement_seq - coalesce(r.seq, 0) FROM users u JOIN orgs o ON o.id = u.org_id
                          LEFT JOIN announcement_reads r ON r.user_id = u.id WHERE u.id = $1)
                  FROM participants p JOIN conversations c ON c.id = p.conversation_id
                  WHERE p.user_id = $1 AND p.left_at IS NULL AND c.deleted_at IS NULL AND $2::uuid IS NOT NULL",
            words: None,
        },
        Request {
            name: "search, a rare word",
            path: format!("search/messages?query={RARE_WORD}&limit=20"),
            sql: SEARCH,
            words: Some("needle:*"),
        },
        Request {
            name: "search, a common word in one conversation",
            path: format!("search/messages?query={COMMON_WORD}&conversation_id={}&limit=20", seeded.small),
            sql: SEARCH_HERE,
            words: Some("word0:*"),
        },
    ]
}

const SEARCH: &str = "SELECT m.*, u.username, u.display_name,
         ts_headline('simple', m.content, to_tsquery('simple', $3)) AS snippet
  FROM (SELECT m.* FROM messages m
        JOIN participants p ON p.conversation_id = m.conversation_id AND p.user_id = $1 AND p.left_at IS NULL
        WHERE search_words(m.content) @@ to_tsquery('simple', $3) AND m.kind = 'text' AND m.deleted_at IS NULL
          AND m.seq > p.access_since_seq AND $2::uuid IS NOT NULL
        ORDER BY ts_rank(search_words(m.content), to_tsquery('simple', $3)) DESC, m.created_at DESC
        LIMIT 20) m
  JOIN users u ON u.id = m.sender_id";

const SEARCH_HERE: &str = "SELECT m.*, u.username, u.display_name,
         ts_headline('simple', m.content, to_tsquery('simple', $3)) AS snippet
  FROM (SELECT m.* FROM messages m
        JOIN participants p ON p.conversation_id = m.conversation_id AND p.user_id = $1 AND p.left_at IS NULL
        WHERE search_words(m.content) @@ to_tsquery('simple', $3) AND m.kind = 'text' AND m.deleted_at IS NULL
          AND m.seq > p.access_since_seq AND m.conversation_id = $2
        ORDER BY ts_rank(search_words(m.content), to_tsquery('simple', $3)) DESC, m.created_at DESC
        LIMIT 20) m
  JOIN users u ON u.id = m.sender_id";

async fn over_rest(rest: &Rest, kind: &Request) -> Result<()> {
    let answer = rest.get(&kind.path).await?;
    ensure!(answer.status.is_success(), "{}: {} {}", kind.path, answer.status, answer.text);
    Ok(())
}

async fn bare(pool: &PgPool, kind: &Request, seeded: &Seeded) -> Result<()> {
    let conversation = if kind.words.is_some() { seeded.small } else { seeded.huge };
    let mut query = sqlx::query(kind.sql).bind(seeded.viewer.0).bind(conversation.0);
    if let Some(words) = kind.words {
        query = query.bind(words);
    }
    let rows = query.fetch_all(pool).await.with_context(|| kind.name)?;
    ensure!(rows.first().is_some_and(|row| row.len() > 1), "{} found nothing", kind.name);
    Ok(())
}

/// Makes `requests` of one kind with [`WORKERS`] under way.
async fn sample<F: Future<Output = Result<()>>>(
    way: &mut Way,
    requests: usize,
    cpu: impl Fn() -> Result<f64>,
    request: impl Fn() -> F,
) -> Result<()> {
    let before = cpu()?;
    let mut millis = Vec::with_capacity(requests);
    let worker = async || {
        let mut times = Vec::new();
        for _ in 0..requests.div_ceil(WORKERS) {
            let started = Instant::now();
            request().await?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        Ok::<_, anyhow::Error>(times)
    };
    for times in futures_util::future::try_join_all((0..WORKERS).map(|_| worker())).await? {
        millis.extend(times);
    }
    let used = cpu()? - before;
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
    way.p50_ms.add(at(0.5));
    way.p99_ms.add(at(0.99));
    way.cpu_micros.add(used * 1e6 / millis.len() as f64);
    Ok(())
}

fn token(sub: &str) -> Result<String> {
    let exp = (std::time::SystemTime::now() + Duration::from_hours(1)).duration_since(std::time::UNIX_EPOCH)?;
    mint_external(SECRET.as_bytes(), &ExternalClaims::of(sub, exp.as_secs())).map_err(|error| anyhow!(error))
}
