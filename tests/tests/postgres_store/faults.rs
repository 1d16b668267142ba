//! What Postgres refuses for a moment, and connections that it ends: tried again where nothing was written for certain,
//! told otherwise, and no transaction is ever left open.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use protocol::{
    AnnouncementId, AuditAction, AuditId, ConversationId, ConversationKind, NotificationId, NotificationKind,
    NotificationPreferencesPatch, Notify, OrgRole, PreferencesPatch, ProfilePatch, ReportId, ReportReason,
    ReportStatus, Role, SessionId, Timestamp, User, UserId,
};
use sqlx::PgConnection;
use starling_tests::{
    conformance::store::{Mark, Op, World},
    postgres::TestDatabase,
    process::eventually,
};
use store::{
    ExternalUser, NewAnnouncement, NewAudit, NewReport, NewSession, Scope, Seen, Store, StoreError, WriteNotification,
    Writes,
    postgres::{PostgresConfig, PostgresStore},
};

use super::is_unavailable;

const SOON: Duration = Duration::from_secs(20);

/// A world over a store with this configuration, and a connection of the test's own.
async fn world(configure: impl Fn(PostgresConfig) -> PostgresConfig) -> (World, TestDatabase, PgConnection) {
    let database = TestDatabase::create().await.unwrap();
    let store = PostgresStore::connect(configure(PostgresConfig::new(database.url()))).unwrap();
    let world = World::new(Arc::new(store)).await;
    let connection = database.connection().await.unwrap();
    (world, database, connection)
}

/// No connection of the store has a transaction open.
async fn nothing_is_open(connection: &mut PgConnection) {
    eventually("no transaction is open", SOON, async || {
        let open: Vec<String> = sqlx::query_scalar(
            "SELECT state || ': ' || query FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'starling' AND xact_start IS NOT NULL",
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| error.to_string())?;
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
    })
    .await;
}

/// Makes the first statements that write to any table fail: with a serialisation failure, then with a deadlock, and so
/// on, as many as `faults` has left. A sequence is not rolled back with the transaction that used it.
async fn install_faults(connection: &mut PgConnection) {
    sqlx::raw_sql(
        "CREATE SEQUENCE faults MINVALUE 0;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
             DECLARE n bigint := nextval('faults');
             BEGIN
                 IF n = 1 OR n = 3 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END IF;
                 IF n = 2 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '40P01'; END IF;
                 RETURN NULL;
             END $$;
         DO $$ DECLARE name text; BEGIN
             FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
             LOOP
                 EXECUTE format('CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON %I
                                 FOR EACH STATEMENT EXECUTE FUNCTION fail()', name);
             END LOOP;
         END $$;",
    )
    .execute(connection)
    .await
    .unwrap();
}

/// Calls with faults before it; panics unless it met them all, and was done after them.
async fn despite_faults<T>(faults: &mut PgConnection, what: &str, call: impl Future<Output = store::Result<T>>) -> T {
    sqlx::query("SELECT setval('faults', 0)").execute(&mut *faults).await.unwrap();
    let done = call.await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let met: i64 = sqlx::query_scalar("SELECT last_value FROM faults").fetch_one(&mut *faults).await.unwrap();
    assert!(met > 3, "{what} met {met} of the faults: does it write at all?");
    sqlx::query("SELECT setval('faults', 100)").execute(faults).await.unwrap();
    done
}

fn audit(world: &World, actor: &User, action: AuditAction) -> NewAudit {
    NewAudit {
        id: AuditId::generate(),
        org_id: world.org,
        actor: actor.id,
        action,
        target: actor.id.0,
        details: None,
        now: world.now(),
    }
}

fn session(world: &World, user: &User, refresh_hash: Vec<u8>) -> NewSession {
    let now = world.now();
    let expires_at = Timestamp::from_unix_millis(now.unix_millis() + 3_600_000).unwrap();
    NewSession { id: SessionId::generate(), user_id: user.id, device: None, refresh_hash, expires_at, now }
}

/// Every write of the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_tried_again_after_serialisation_failures_and_deadlocks() {
    let (world, _database, mut faults) = world(|config| config).await;
    install_faults(&mut faults).await;
    let f = &mut faults;
    sqlx::query("SELECT setval('faults', 100)").execute(&mut *f).await.unwrap();
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada]).await;
    let store = &world.store;

    people(&world, f, &ada, &bob).await;
    let new = world.new_conversation(ConversationKind::Group, &[&ada, &bob]);
    let made = despite_faults(f, "create_conversation", store.create_conversation(new)).await;
    assert!(made.created);
    let sent = world.send(group, &ada, "hello").await;
    let told = WriteNotification {
        id: NotificationId::generate(),
        user_id: ada.id,
        kind: NotificationKind::Added,
        conversation_id: group,
        message_id: sent.id,
        actor_id: bob.id,
        at: world.now(),
    };
    for (what, op) in [
        ("a message", Op::send(group, &ada, "hello")),
        ("an edit", Op::Edit(group, sent.id, "changed".into())),
        ("a reaction", Op::React(group, sent.id, ada.clone(), "👍".into())),
        ("a pin", Op::Pin(group, sent.id, true)),
        ("a join", Op::Join(group, bob.clone(), Role::Member)),
        ("a notification", Op::Notify(told)),
        ("a deletion", Op::Delete(group, sent.id)),
        ("an archiving", Op::Archive(group, ada.clone(), true)),
    ] {
        despite_faults(f, what, world.try_apply(&[op])).await;
    }
    let head = world.head(group).await;
    let seqs: Vec<_> = world.changes(group, 0).await.changes.iter().map(|change| change.seq).collect();
    assert!(seqs.len() < head as usize && seqs.last() == Some(&head), "tombstones and edits moved: {seqs:?} of {head}");
    let mark = async { Ok(world.mark(bob.id, group, Mark::Read(head)).await) };
    assert!(despite_faults(f, "mark", mark).await.unwrap().moved);
    inbox(&world, f, &ada, group).await;
    moderation(&world, f, &ada, &bob).await;
    let epoch = despite_faults(f, "new_epoch", store.new_epoch()).await;
    assert_eq!(store.health().await.unwrap().epoch, epoch.new);
    nothing_is_open(f).await;
}

async fn people(world: &World, f: &mut PgConnection, ada: &User, bob: &User) {
    let store = &world.store;
    despite_faults(f, "ensure_org", store.ensure_org("another")).await;
    let cyd = despite_faults(f, "create_user", store.create_user(world.new_user("cyd"))).await;
    let external = |name: &str| ExternalUser {
        id: UserId::generate(),
        org_id: world.org,
        external_id: "42".into(),
        username: "dan".into(),
        display_name: Some(name.into()),
        avatar_url: None,
        role: None,
        now: world.now(),
    };
    let made = despite_faults(f, "upsert, new", store.upsert_external_user(external("Dan"))).await;
    let again = despite_faults(f, "upsert, changed", store.upsert_external_user(external("Daniel"))).await;
    assert_eq!((made.id, again.display_name.as_str()), (again.id, "Daniel"));
    let patch = ProfilePatch { status_text: Some(Some("here".into())), ..ProfilePatch::default() };
    despite_faults(f, "update_profile", store.update_profile(cyd.id, &patch)).await.unwrap();

    let new = session(world, ada, vec![1; 32]);
    let (now, expires_at) = (new.now, new.expires_at);
    despite_faults(f, "create_session", store.create_session(new)).await;
    let rotate = store.rotate_session(&[1; 32], &[2; 32], expires_at, now);
    let rotated = despite_faults(f, "rotate_session", rotate).await;
    assert!(matches!(rotated, store::Rotation::Rotated { .. }), "{rotated:?}");
    let rotate = store.rotate_session(&[1; 32], &[3; 32], expires_at, now);
    let reused = despite_faults(f, "rotate_session, reuse", rotate).await;
    assert!(matches!(reused, store::Rotation::Reused { user_seq: 2, .. }), "one place, however often: {reused:?}");
    store.create_session(session(world, bob, vec![4; 32])).await.unwrap();
    let revoked = despite_faults(f, "revoke_sessions", store.revoke_sessions(bob.id, None, now)).await;
    assert_eq!(revoked, Some(1), "one place, however often it was tried");
    let seen = [Seen { user_id: ada.id, last_seen_at: Some(now) }];
    despite_faults(f, "note_seen", store.note_seen(&seen)).await;
}

async fn inbox(world: &World, f: &mut PgConnection, ada: &User, group: ConversationId) {
    let store = &world.store;
    let feed = store.feed_heads(&[ada.id]).await.unwrap()[0].1;
    let patch = PreferencesPatch { notify: Some(Notify::None), ..PreferencesPatch::default() };
    let set = despite_faults(f, "set_preferences", store.set_preferences(ada.id, group, &patch, world.now())).await;
    assert_eq!(set.unwrap().1, Some(feed + 1), "one place, however often it was tried");
    let patch = NotificationPreferencesPatch { notify: Some(Notify::Mentions), ..Default::default() };
    let set = store.set_notification_preferences(ada.id, &patch, world.now());
    assert_eq!(despite_faults(f, "set_notification_preferences", set).await.1, Some(feed + 2));
    let read = store.read_notifications(ada.id, None, world.now());
    assert_eq!(despite_faults(f, "read_notifications", read).await, Some(feed + 3));
    let new = NewAnnouncement {
        id: AnnouncementId::generate(),
        org_id: world.org,
        author: ada.id,
        title: "title".into(),
        content: "content".into(),
        url: None,
        idempotency_key: None,
        fingerprint: vec![1; 32],
        now: world.now(),
    };
    let announce = store.announce(new, audit(world, ada, AuditAction::AnnouncementCreated));
    let announced = despite_faults(f, "announce", announce).await;
    assert_eq!(announced.announcement.seq, 1);
    let read = store.read_announcements(world.org, ada.id, 1);
    assert_eq!(despite_faults(f, "read_announcements", read).await, 1);
}

async fn moderation(world: &World, f: &mut PgConnection, ada: &User, bob: &User) {
    let store = &world.store;
    let block = store.set_blocked(ada.id, bob.id, true, world.now());
    despite_faults(f, "set_blocked", block).await.unwrap();
    let role = store.set_org_role(world.org, bob.id, OrgRole::Admin, Some(audit(world, ada, AuditAction::UserRole)));
    despite_faults(f, "set_org_role", role).await.unwrap();
    let note = audit(world, ada, AuditAction::UserDisabled);
    let disable = store.set_disabled(world.org, bob.id, true, Some(note), world.now());
    despite_faults(f, "set_disabled", disable).await.unwrap();
    let new = NewReport {
        id: ReportId::generate(),
        org_id: world.org,
        reporter: ada.id,
        user: bob.id,
        message: None,
        reason: ReportReason::Spam,
        comment: None,
        now: world.now(),
    };
    let (report, is_new) = despite_faults(f, "report", store.report(new)).await;
    assert!(is_new);
    let note = audit(world, ada, AuditAction::ReportDecided);
    let decide = store.decide_report(world.org, report.id, ReportStatus::Resolved, note);
    assert!(despite_faults(f, "decide_report", decide).await.is_some());
    let log = store.audit_log(world.org, None, 50).await.unwrap();
    assert_eq!(log.items.len(), 4, "each once, however often it was tried");
}

/// Waits until a statement of the store waits for a lock.
async fn waits_for_a_lock(watcher: &mut PgConnection) {
    eventually("a statement waits for a lock", SOON, async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'starling' AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut *watcher)
        .await
        .map_err(|error| error.to_string())?;
        if waiting == 1 { Ok(()) } else { Err(format!("{waiting} wait")) }
    })
    .await;
}

/// Holds a conversation's row as another program would, until it says COMMIT.
async fn hold(somebody: &mut PgConnection, conversation: ConversationId) {
    sqlx::raw_sql("BEGIN").execute(&mut *somebody).await.unwrap();
    let lock = sqlx::query("SELECT FROM conversations WHERE id = $1 FOR UPDATE").bind(conversation.0);
    lock.execute(somebody).await.unwrap();
}

async fn release(somebody: &mut PgConnection) {
    sqlx::raw_sql("COMMIT").execute(somebody).await.unwrap();
}

/// A real one: two transactions that wait for each other. Postgres ends the store's, which waited first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_another_program_ends_well_for_both() {
    let (world, database, mut other) = world(|config| config).await;
    let mut watcher = database.connection().await.unwrap();
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    sqlx::raw_sql("SET deadlock_timeout = '1min'; BEGIN").execute(&mut other).await.unwrap();
    let lock_user = sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(ada.id.0);
    lock_user.execute(&mut other).await.unwrap();
    // Holds the conversation, and waits for the user's feed.
    let patch = PreferencesPatch { notify: Some(Notify::None), ..PreferencesPatch::default() };
    let setting = world.store.set_preferences(ada.id, group, &patch, world.now());
    let locking = async {
        waits_for_a_lock(&mut watcher).await;
        let lock_group = sqlx::query("SELECT FROM conversations WHERE id = $1 FOR UPDATE").bind(group.0);
        lock_group.execute(&mut other).await.unwrap();
        release(&mut other).await;
    };
    let (set, ()) = tokio::join!(setting, locking);
    assert_eq!(set.unwrap().unwrap().1, Some(2), "its place in the feed is the next one");
    // Mostly one: the store may be back at the row before the other program, which waits for it, has woken up.
    eventually("the deadlock is counted", SOON, async || {
        let count = sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
        let count: i64 = count.fetch_one(&mut watcher).await.map_err(|error| error.to_string())?;
        if count > 0 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    nothing_is_open(&mut watcher).await;
}

/// However the wait ends, it is told as something that passes, nothing was written, and the way is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_too_long_is_told_and_leaves_nothing_open() {
    // Long enough for what nobody holds up, on a busy machine.
    let (short, long) = (Duration::from_secs(2), Duration::from_secs(30));
    for what in ["lock", "statement", "call"] {
        let limit = |its| if what == its { short } else { long };
        let (world, _database, mut somebody) = world(|config| PostgresConfig {
            lock_timeout: limit("lock"),
            statement_timeout: limit("statement"),
            call_timeout: limit("call"),
            ..config
        })
        .await;
        let ada = world.user("ada").await;
        let (group, other) = (world.group(&[&ada]).await, world.group(&[&ada]).await);
        hold(&mut somebody, group).await;
        let start = Instant::now();
        is_unavailable(world.try_apply(&[Op::send(group, &ada, "hello")]).await).unwrap();
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}", start.elapsed());
        world.send(other, &ada, "nobody is in the way here").await;
        release(&mut somebody).await;
        nothing_is_open(&mut somebody).await;
        assert_eq!(world.send(group, &ada, "now").await.seq, 2, "{what}: the failed one left no hole");
    }
}

/// A caller that goes away, as a client does that hangs up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_leaves_nothing_open() {
    let (world, database, mut somebody) = world(|config| config).await;
    let mut watcher = database.connection().await.unwrap();
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    hold(&mut somebody, group).await;
    {
        let ops = [Op::send(group, &ada, "hello")];
        let send = world.try_apply(&ops);
        tokio::select! {
            done = send => panic!("the row is held: {done:?}"),
            () = waits_for_a_lock(&mut watcher) => {}
        }
    }
    release(&mut somebody).await;
    nothing_is_open(&mut watcher).await;
    assert_eq!(world.send(group, &ada, "now").await.seq, 2);
}

/// Under the locks, before anything is written: the worst moment, because somebody waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_between_statements_wrote_nothing() {
    let (world, database, mut killer) = world(|config| config).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let (reached, decision) = mpsc::channel::<()>();
    let (go_on, killed) = mpsc::channel::<()>();
    let (reached, killed) = (Mutex::new(reached), Mutex::new(killed));
    let store = database.store().unwrap();
    let dies = tokio::spawn(async move {
        let scope = Scope { conversations: vec![group], ..Scope::default() };
        let decide = |locked: &store::Locked| {
            tokio::task::block_in_place(|| {
                reached.lock().unwrap().send(()).unwrap();
                killed.lock().unwrap().recv_timeout(SOON).unwrap();
            });
            let mut writes = Writes::default();
            let last_seq = locked.conversations[&group].last_seq + 1;
            writes.conversations.insert(group, store::WriteConversation { last_seq, ..Default::default() });
            writes
        };
        store.change(&scope, &decide).await
    });
    tokio::task::spawn_blocking(move || decision.recv_timeout(SOON)).await.unwrap().unwrap();
    let ended: i64 = sqlx::query_scalar(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'starling' AND state = 'idle in transaction'",
    )
    .fetch_one(&mut killer)
    .await
    .unwrap();
    assert_eq!(ended, 1);
    // Its lock is gone with it.
    assert_eq!(world.send(group, &ada, "hello").await.seq, 2);
    go_on.send(()).unwrap();
    let outcome = dies.await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "whether it was committed is not known: {outcome:?}");
    assert_eq!(world.head(group).await, 2);
    nothing_is_open(&mut killer).await;
}

/// The store finds its feet again by itself, whatever its connections did when they were ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_ended_at_once_are_replaced() {
    let (world, _database, mut killer) = world(|config| config).await;
    let world = Arc::new(world);
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let mut acknowledged = 0;
    for _ in 0..5 {
        let sends: Vec<_> = (0..8)
            .map(|_| {
                let (world, ada) = (Arc::clone(&world), ada.clone());
                tokio::spawn(async move { world.try_apply(&[Op::send(group, &ada, "hello")]).await })
            })
            .collect();
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'starling'",
        )
        .execute(&mut killer)
        .await
        .unwrap();
        for send in sends {
            match send.await.unwrap() {
                Ok(_) => acknowledged += 1,
                failed => is_unavailable(failed).unwrap(),
            }
        }
        eventually("a send succeeds", SOON, async || {
            world.try_apply(&[Op::send(group, &ada, "again")]).await.map_err(|error| format!("{error:?}"))
        })
        .await;
        acknowledged += 1;
    }
    let head = world.head(group).await;
    assert!(head > acknowledged, "{acknowledged} were acknowledged, and one made the group: {head}");
    let seqs: Vec<_> = world.changes(group, 0).await.changes.iter().map(|change| change.seq).collect();
    assert_eq!(seqs, (1..=head).collect::<Vec<_>>(), "no hole");
    nothing_is_open(&mut killer).await;
}
