//! A database as it is after years: many conversations, one of them huge, and messages of words of very different
//! frequency. Made by SQL alone, so that a million messages take a minute. For plans and speeds of reads; what the
//! store itself writes is tested elsewhere.

use anyhow::{Context, Result};
use protocol::{ConversationId, UserId};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use uuid::Uuid;

/// How much.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Users; all of them take part in the huge conversation.
    pub users: u32,
    /// Conversations, the huge one included.
    pub conversations: u32,
    /// Messages, a tenth of them in the huge conversation.
    pub messages: u32,
}

impl Size {
    /// What figures are measured with.
    pub const FULL: Self = Self { users: 5_000, conversations: 20_000, messages: 1_000_000 };
}

/// What a seeded database holds.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    /// Somebody in a few hundred conversations, named `user-1` and known by the `sub` of the same name.
    pub viewer: UserId,
    /// With all users.
    pub huge: ConversationId,
    /// A small one of the viewer.
    pub small: ConversationId,
}

/// A word that about every second message has.
pub const COMMON_WORD: &str = "word0";
/// A word that about one of 4,000 messages has.
pub const RARE_WORD: &str = "needle";

/// Fills an empty, migrated database.
pub async fn seed(connection: &mut PgConnection, size: Size) -> Result<Seeded> {
    let Size { users, conversations, messages } = size;
    let per_conversation = (messages - messages / 10) / (conversations - 1);
    // Built after the rows, as anybody would who loads a million of them.
    let index: String = sqlx::query("SELECT pg_get_indexdef('messages_search'::regclass)")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    let statements = [
        "DROP INDEX messages_search".to_owned(),
        "INSERT INTO orgs (id, slug, name, created_at) VALUES (id_of(0, 1), 'default', 'default', date_trunc('milliseconds', now()))
         ON CONFLICT DO NOTHING"
            .to_owned(),
        format!(
            "INSERT INTO users (id, org_id, external_id, username, username_key, display_name, display_name_key,
                                created_at)
             SELECT id_of(1, n), (SELECT id FROM orgs WHERE slug = 'default'), 'user-' || n, 'user-' || n, 'user-' || n,
                    'User ' || n, 'user ' || n, date_trunc('milliseconds', now())
             FROM generate_series(1, {users}) n"
        ),
        format!(
            "INSERT INTO conversations (id, org_id, kind, title, title_key, creator_id, fingerprint, last_seq,
                                        last_number, access_seq, participant_count, owner_count, last_activity_at,
                                        created_at)
             SELECT id_of(2, n), (SELECT id FROM orgs WHERE slug = 'default'),
                    CASE WHEN n % 50 = 2 THEN 'public' ELSE 'group' END, 'Conversation ' || n, 'conversation ' || n,
                    id_of(1, 1), '', CASE WHEN n = 1 THEN {big} ELSE {per_conversation} END,
                    CASE WHEN n = 1 THEN {big} ELSE {per_conversation} END, 1, CASE WHEN n = 1 THEN {users} ELSE 6 END,
                    1, date_trunc('milliseconds', now()) - n * interval '1 minute', date_trunc('milliseconds', now()) - interval '1 year'
             FROM generate_series(1, {conversations}) n",
            big = messages / 10
        ),
        // Five people each by arithmetic, and the viewer in every fortieth.
        format!(
            "INSERT INTO participants (conversation_id, user_id, role, joined_at, access_since_seq, read_seq,
                                       read_number, delivered_seq, user_seq, member_user_seq)
             SELECT id_of(2, c), id_of(1, u), 'member', date_trunc('milliseconds', now()) - interval '1 year' + u * interval '1 second', 0, r, r, r,
                    1, 1
             FROM (SELECT 1 AS c, u, {big} - u % 50 AS r FROM generate_series(1, {users}) u
                   UNION
                   SELECT c, 2 + (c * 7 + k * 131) % ({users} - 2), greatest({per_conversation} - c % 7, 0)
                   FROM generate_series(2, {conversations}) c, generate_series(0, 4) k
                   UNION
                   SELECT c, 1, greatest({per_conversation} - c % 7, 0) FROM generate_series(2, {conversations}) c WHERE c % 40 = 2) p",
            big = messages / 10
        ),
        format!(
            "INSERT INTO messages (conversation_id, seq, changed_seq, id, number, sender_id, kind, content, fingerprint,
                                   created_at)
             SELECT id_of(2, c), s, s, id_of(3, c * 10000000 + s), s, id_of(1, 1 + (c * 7 + s) % {users}), 'text',
                    CASE WHEN (c * 31 + s) % 4001 = 0 THEN '{RARE_WORD} ' ELSE '' END ||
                    (SELECT string_agg('word' || floor(2000 * power(((c * 7919 + s * 104729 + k * 1299709) % 99991)
                                                                    / 99991.0, 4)), ' ')
                     FROM generate_series(1, 8) k),
                    '', date_trunc('milliseconds', now()) - ({big} - s % {big}) * interval '20 seconds'
             FROM (SELECT 1::bigint AS c, s::bigint FROM generate_series(1, {big}) s
                   UNION ALL
                   SELECT c, s FROM generate_series(2, {conversations}::bigint) c, generate_series(1, {per_conversation}::bigint) s) m",
            big = messages / 10
        ),
        // Something of everything that reads look at.
        "INSERT INTO reactions (conversation_id, seq, emoji, user_id, changed_seq, created_at)
         SELECT id_of(2, c), s, '👍', id_of(1, 1 + s % 5), s, date_trunc('milliseconds', now())
         FROM generate_series(1, 200) c, generate_series(1, 40, 4) s
         -- A small database has fewer conversations, and shorter ones.
         WHERE EXISTS (SELECT FROM messages m WHERE m.conversation_id = id_of(2, c) AND m.seq = s)"
            .to_owned(),
        "UPDATE messages SET reaction_count = 1
         WHERE (conversation_id, seq) IN (SELECT conversation_id, seq FROM reactions)"
            .to_owned(),
        "INSERT INTO mentions (user_id, conversation_id, seq)
         SELECT p.user_id, p.conversation_id, p.read_seq FROM participants p WHERE p.read_seq % 3 = 0 AND p.read_seq > 0
         ON CONFLICT DO NOTHING"
            .to_owned(),
        "INSERT INTO notifications (id, user_id, user_seq, kind, conversation_id, message_id, actor_id, created_at)
         SELECT id_of(4, u * 1000 + n), id_of(1, u), n, 'mention', id_of(2, 1), id_of(3, 10000000 + n), id_of(1, 2),
                date_trunc('milliseconds', now()) - n * interval '1 hour'
         FROM generate_series(1, 50) u, generate_series(1, 100) n"
            .to_owned(),
        index,
        "UPDATE users SET feed_seq = 1000".to_owned(),
        "DROP FUNCTION id_of".to_owned(),
        "VACUUM ANALYZE".to_owned(),
    ];
    let id_of = "CREATE FUNCTION id_of(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
        $$ SELECT ('00000000-000' || kind || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$";
    sqlx::query(id_of).execute(&mut *connection).await?;
    for statement in statements {
        let beginning: String = statement.chars().take(60).collect();
        let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await;
        done.with_context(|| format!("seeding: {beginning}"))?;
    }
    let id = |kind: u32, n: u64| Uuid::parse_str(&format!("00000000-000{kind}-7000-8000-{n:012x}"));
    Ok(Seeded {
        viewer: UserId(id(1, 1)?),
        huge: ConversationId(id(2, 1)?),
        // The second conversation is the viewer's by arithmetic.
        small: ConversationId(id(2, 2)?),
    })
}

/// A connection that may take its time.
pub async fn patient(url: &str) -> Result<PgConnection> {
    Ok(PgConnection::connect(url).await?)
}
