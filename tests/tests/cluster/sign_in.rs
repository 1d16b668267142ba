//! Who gets in, who is put out, and who gets a name: the same on every node, over REST and sockets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::try_join_all;
use protocol::{Page, Session, Timestamp, TokenResponse};
use serde_json::{Value, json};
use starling_tests::{
    client::{Client, Rest, SOON, Socket},
    cluster::Cluster,
    process::eventually,
};
use store::{
    People, Store,
    postgres::{PostgresConfig, PostgresStore},
};

use crate::world::{agree, on_each_gateway, people, scenarios};

scenarios! {
    on_a_cluster: [
        a_bad_token_is_refused_everywhere_and_says_nothing_more,
        a_revoked_session_loses_its_sockets_on_every_node_and_others_stay,
    ];
    on_a_cluster_that_compares_often: [a_disabled_user_loses_every_socket_and_gets_none];
    on_a_cluster_of_two_apis: [
        of_guests_who_want_the_same_name_at_once_one_gets_it_whatever_its_case,
        a_user_who_is_first_seen_by_two_nodes_at_once_is_one,
    ];
    on_one_node: [
        a_bad_token_is_refused_everywhere_and_says_nothing_more,
        a_revoked_session_loses_its_sockets_on_every_node_and_others_stay,
        of_guests_who_want_the_same_name_at_once_one_gets_it_whatever_its_case,
        a_user_who_is_first_seen_by_two_nodes_at_once_is_one,
    ];
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// A token's parts, signed by nobody.
fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

async fn a_bad_token_is_refused_everywhere_and_says_nothing_more(cluster: &mut Cluster) -> Result<()> {
    let good = cluster.person("ann").await?;
    let (later, earlier) = (now()? + 600, now()? - 600);
    let claims = json!({"sub": "ann", "preferred_username": "ann", "exp": later});
    let wrong_key = jsonwebtoken::EncodingKey::from_secret(b"a secret of somebody else, just as long");
    let (head, rest) = good.token.rsplit_once('.').context("a token has three parts")?;
    let first = if rest.starts_with('A') { 'B' } else { 'A' };
    let bad = [
        ("expired", cluster.sign(&json!({"sub": "ann", "exp": earlier}))?),
        ("alg none", unsigned(&json!({"alg": "none", "typ": "JWT"}), &claims, "")),
        ("alg none with a signature", unsigned(&json!({"alg": "none"}), &claims, rest)),
        ("another key's", jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &wrong_key)?),
        ("an unknown algorithm", unsigned(&json!({"alg": "RS256"}), &claims, rest)),
        ("no exp", cluster.sign(&json!({"sub": "ann"}))?),
        ("no sub", cluster.sign(&json!({"exp": later}))?),
        ("not yet", cluster.sign(&json!({"sub": "ann", "exp": later, "nbf": later}))?),
        ("a broken signature", format!("{head}.{first}{}", &rest[1..])),
        ("no token", "let-me-in".into()),
    ];
    let mut places: Vec<_> = cluster.gateways.iter().map(|node| node.url().to_owned()).collect();
    places.push(cluster.url());
    for (what, token) in &bad {
        let (code, close) = if *what == "expired" { ("token_expired", 4003) } else { ("not_authenticated", 4500) };
        let answer = Rest::new(&cluster.url(), Some(token))?.get("me").await?;
        ensure!(answer.problem()? == (401, code.into()), "{what}: {answer:?}");
        ensure!(answer.headers.contains_key("www-authenticate"), "{what}: {answer:?}");
        for place in &places {
            let mut socket = Socket::with_token(place, token).await.with_context(|| (*what).to_owned())?;
            let seen = socket.close_code().await?;
            ensure!(seen == close, "{what} in the header at {place}: {seen}");
            let mut socket = Socket::open(place, "/v1/ws", &[]).await?.ok().context("an upgrade was refused")?;
            socket.send(&json!({"type": "hello", "ref": "h", "token": token})).await?;
            let reply = socket.until("reply").await?;
            ensure!(reply["error"]["code"] == code, "{what} by hello at {place}: {reply}");
            let seen = socket.close_code().await?;
            ensure!(seen == close, "{what} by hello at {place}: {seen}");
            let path = format!("/v1/ws?token={token}");
            let mut socket = Socket::open(place, &path, &[]).await?.ok().context("an upgrade was refused")?;
            ensure!(socket.close_code().await? == 4500, "{what} in the URL at {place}");
        }
    }
    for place in &places {
        // Without any token nothing but `hello` is heard, and a good one in the URL is not taken either.
        let mut socket = Socket::open(place, "/v1/ws", &[]).await?.ok().context("an upgrade was refused")?;
        socket.send(&json!({"type": "ping", "ref": "p"})).await?;
        let reply = socket.until("reply").await?;
        ensure!(reply["error"]["code"] == "not_authenticated", "{reply}");
        socket.send(&json!({"type": "hello", "ref": "h", "token": good.token})).await?;
        socket.until("connected").await?;
        let path = format!("/v1/ws?token={}", good.token);
        let mut socket = Socket::open(place, &path, &[]).await?.ok().context("an upgrade was refused")?;
        ensure!(socket.close_code().await? == 4500, "a token in the URL at {place}");
    }
    let answer = Rest::new(&cluster.url(), None)?.get("me").await?;
    ensure!(answer.problem()? == (401, "not_authenticated".into()), "{answer:?}");
    let logs = cluster.logs();
    ensure!(!logs.contains(&good.token) && bad.iter().all(|(_, token)| !logs.contains(token)), "a token is in a log");
    Ok(())
}

async fn a_revoked_session_loses_its_sockets_on_every_node_and_others_stay(cluster: &mut Cluster) -> Result<()> {
    let open = Rest::new(&cluster.url(), None)?;
    let who = json!({"username": "ann", "password": "correct horse battery"});
    let phone: TokenResponse = open.post("auth/register", who.clone()).await?.ok()?;
    let laptop: TokenResponse = open.post("auth/login", who).await?.ok()?;
    let sockets = async |token: &str| {
        let mut sockets = Vec::new();
        for node in &cluster.gateways {
            sockets.push(Client::connect(node.url(), token).await?);
        }
        sockets.push(Client::connect(&cluster.url(), token).await?);
        anyhow::Ok(sockets)
    };
    let (phones, laptops) = (sockets(&phone.access_token).await?, sockets(&laptop.access_token).await?);
    let rest = Rest::new(&cluster.url(), Some(&laptop.access_token))?;
    let sessions: Page<Session> = rest.get("auth/sessions").await?.ok()?;
    let other = sessions.items.iter().find(|session| !session.current).context("no other session")?;
    rest.delete(&format!("auth/sessions/{}", other.id)).await?.done()?;
    for client in &phones {
        ensure!(client.stopped().await? == 4501, "{}", client.summary());
    }
    let refused = Rest::new(&cluster.url(), Some(&phone.access_token))?;
    eventually("the token is refused", SOON, async || match refused.get("me").await.and_then(|a| a.problem()) {
        Ok((401, code)) if code == "session_revoked" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    for node in &cluster.gateways {
        let mut socket = Socket::with_token(node.url(), &phone.access_token).await?;
        ensure!(socket.close_code().await? == 4501);
    }
    let answer = open.post("auth/refresh", json!({"refresh_token": phone.refresh_token})).await?;
    ensure!(answer.status == 401, "{answer:?}");
    for client in &laptops {
        client
            .until("the other session's end is told", |view| view.events_of("session.revoked").next().cloned())
            .await?;
        ensure!(client.connections() == 1 && client.closes().is_empty(), "{}", client.summary());
        client.check()?;
    }
    rest.post("auth/logout", json!({"all": true})).await?.done()?;
    for client in &laptops {
        ensure!(client.stopped().await? == 4501, "{}", client.summary());
    }
    Ok(())
}

async fn a_disabled_user_loses_every_socket_and_gets_none(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    for device in anns.iter().chain(&bens) {
        device.reaches(id, 1).await?;
    }
    // As an admin's tool would do it, without telling any node: they find out by the feed.
    let store = PostgresStore::connect(PostgresConfig::new(cluster.database_url()?))?;
    let org = store.user(ben.id).await?.context("there is no ben")?.org_id;
    let now = || Timestamp::from(time::OffsetDateTime::now_utc());
    let moved = store.set_disabled(org, ben.id, true, None, now()).await?;
    ensure!(moved.is_some_and(|(_, user_seq)| user_seq.is_some()), "nothing changed");
    for device in &bens {
        ensure!(device.stopped().await? == 4504, "{}", device.summary());
    }
    for node in &cluster.gateways {
        let mut socket = Socket::with_token(node.url(), &ben.token).await?;
        ensure!(socket.close_code().await? == 4504);
    }
    // A node believes for a second what it read of somebody.
    eventually("REST refuses", SOON, async || match ben.rest.get("conversations").await.and_then(|it| it.problem()) {
        Ok((403, code)) if code == "user_disabled" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let body = json!({"content": "one more"});
    let answer = ben.rest.post(&format!("conversations/{id}/messages"), body).await?;
    ensure!(answer.problem()? == (403, "user_disabled".into()), "{answer:?}");
    anns[0].send(id, "where is ben?").await?;
    agree(&ann, id, &anns).await?;
    store.set_disabled(org, ben.id, false, None, now()).await?;
    let back = ben.connect().await?;
    back.load(id).await?;
    agree(&ben, id, anns.iter().chain([&back])).await?;
    store.close().await;
    Ok(())
}

async fn of_guests_who_want_the_same_name_at_once_one_gets_it_whatever_its_case(cluster: &mut Cluster) -> Result<()> {
    let urls: Vec<_> = cluster.rest_nodes().iter().map(|node| node.url().to_owned()).collect();
    for round in 0..10 {
        let names = [format!("zoë-{round}"), format!("ZOË-{round}"), format!("Zoë-{round}"), format!("zoë-{round}")];
        let asked = names.iter().enumerate().map(async |(at, name)| {
            Rest::new(&urls[at % urls.len()], None)?.post("auth/guest", json!({"username": name})).await
        });
        let answers = try_join_all(asked).await?;
        let mut winners = 0;
        for answer in &answers {
            if answer.status == 201 {
                winners += 1;
            } else {
                ensure!(answer.problem()? == (409, "username_taken".into()), "{answer:?}");
            }
        }
        ensure!(winners == 1, "{winners} got the name: {answers:?}");
    }
    Ok(())
}

async fn a_user_who_is_first_seen_by_two_nodes_at_once_is_one(cluster: &mut Cluster) -> Result<()> {
    let taken = Rest::new(&cluster.url(), None)?;
    for round in 0..10 {
        let name = format!("new-{round}");
        // Somebody has the name already: that is no reason to refuse, the newcomer gets another one.
        taken.post("auth/guest", json!({"username": name})).await?.done()?;
        let token = cluster.token(&name, Duration::from_mins(5))?;
        let by_rest = cluster.rest_nodes().iter().map(async |node| {
            anyhow::Ok(Rest::new(node.url(), Some(&token))?.get("me").await?.ok::<Value>()?["id"].clone())
        });
        let by_socket = cluster.gateways.iter().map(async |node| {
            let mut socket = Socket::with_token(node.url(), &token).await?;
            anyhow::Ok(socket.until("connected").await?["data"]["user"]["id"].clone())
        });
        let (mut ids, others) = tokio::try_join!(try_join_all(by_rest), try_join_all(by_socket))?;
        ids.extend(others);
        ensure!(ids.iter().all(|id| *id == ids[0] && id.is_string()), "not one user: {ids:?}");
    }
    Ok(())
}
