//! What an operator finds out and does from any node's admin port: who is there, who is connected, why somebody did
//! not get a message; and that nobody does so without the token.

use anyhow::{Context, Result, ensure};
use protocol::UserId;
use serde_json::{Value, json};
use starling_tests::{
    client::{SOON, Socket},
    cluster::{Cluster, Person},
    node::{self, Node},
    process::eventually,
};

use crate::{
    deaf, rolling,
    world::{ADMIN_TOKEN, people, scenarios},
};

scenarios! {
    on_a_cluster: [
        each_node_answers_for_all_and_nobody_without_the_token,
        why_somebody_did_not_get_a_message_is_told,
        connections_are_seen_and_ended_and_users_disabled,
        a_node_that_an_operator_drains_lets_its_connections_go_and_runs_on,
        what_cannot_be_is_refused_with_a_reason,
    ];
    on_a_cluster_that_is_tampered_with: [nodes_of_other_operators_are_named_as_such];
    on_a_cluster_of_three: [after_a_node_died_the_others_say_what_nobody_knows_any_more];
    on_a_node_with_small_outboxes: [who_reads_too_slowly_is_seen_and_what_waits_for_them_is_told];
    on_a_cluster_that_loses_redis: [without_redis_a_node_answers_for_itself];
    on_one_node: [one_node_alone_answers_too];
}

/// Calls a node's operators' API: the status and what it said.
pub(crate) async fn call(node: &Node, method: &str, path: &str) -> Result<(u16, Value)> {
    call_with(node, method, path, Some(&format!("Bearer {ADMIN_TOKEN}"))).await
}

async fn call_with(node: &Node, method: &str, path: &str, authorization: Option<&str>) -> Result<(u16, Value)> {
    let url = format!("{}/admin/v1/{path}", node.admin());
    let client = reqwest::Client::builder().timeout(SOON).build()?;
    let request = client.request(method.parse()?, url);
    let request =
        authorization.map_or(request.try_clone().context("a request")?, |a| request.header("authorization", a));
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).with_context(|| format!("{path}: {status} {text}"))?))
}

pub(crate) async fn get(node: &Node, path: &str) -> Result<Value> {
    let (status, body) = call(node, "GET", path).await?;
    ensure!(status == 200, "{path}: {status} {body}");
    Ok(body)
}

/// Every node of the cluster.
fn nodes(cluster: &Cluster) -> Vec<&Node> {
    cluster.gateways.iter().chain(&cluster.apis).collect()
}

/// The node of this address, as the others call it.
pub(crate) async fn id_of(node: &Node) -> Result<String> {
    let answer = get(node, "nodes").await?;
    let nodes = answer["nodes"].as_array().context("nodes")?;
    let this = nodes.iter().find(|other| other["listen"] == node.address()).context("the node itself")?;
    Ok(this["id"].as_str().context("an id")?.to_owned())
}

/// Waits until a call answers as wanted; the answer. Any other one may miss a node that took too long to be heard.
pub(crate) async fn until(node: &Node, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let answered = eventually(path, SOON, async || {
        let answer = get(node, path).await?;
        ensure!(wanted(&answer), "{path}: {answer}");
        anyhow::Ok(answer)
    });
    Ok(answered.await)
}

/// Whether the answer has so many nodes, all of them ready, and every one that is there was heard.
pub(crate) fn all_ready(answer: &Value, count: usize) -> bool {
    let ready = |nodes: &Vec<Value>| nodes.len() == count && nodes.iter().all(|node| node["ready"] == true);
    answer["nodes"].as_array().is_some_and(ready) && answer["silent"] == json!([])
}

/// Waits until the trace of a message has this verdict.
async fn verdict(node: &Node, who: &Person, message: impl std::fmt::Display, wanted: &str) -> Result<Value> {
    let path = format!("trace?user={}&message={message}", who.id);
    until(node, &path, |trace| trace["verdict"]["code"] == wanted).await
}

async fn each_node_answers_for_all_and_nobody_without_the_token(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let devices = [ann.connect_to(&cluster.gateways[0]).await?, ben.connect_to(&cluster.gateways[1]).await?];
    for device in &devices {
        device.reaches(id, 1).await?;
    }
    for node in nodes(cluster) {
        let answer = until(node, "nodes", |answer| all_ready(answer, 3)).await?;
        ensure!(answer["others_asked"] == true, "{answer}");
        let nodes = answer["nodes"].as_array().context("nodes")?;
        let role = |wanted: &str| nodes.iter().filter(|node| node["role"] == wanted).count();
        ensure!((role("gateway"), role("api")) == (2, 1), "{answer}");
        let connections = |node: &Value| node["gateway"]["connections"].as_u64();
        ensure!(nodes.iter().filter_map(connections).collect::<Vec<_>>() == [1, 1], "{answer}");
        ensure!(nodes.iter().all(|node| node["version"].is_string()), "{answer}");
        let both = |heads: &Value| heads["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2);
        let heads = until(node, &format!("conversations/{id}/heads"), both).await?;
        ensure!(heads["head"] == 1, "{heads}");
        let calls = [
            ("GET", "nodes"),
            ("GET", "trace"),
            ("POST", "users/ann/disable"),
            ("DELETE", "connections/x"),
            ("GET", "nothing"),
        ];
        for (method, path) in calls {
            for wrong in [None, Some("Bearer wrong"), Some("Bearer"), Some("Basic x")] {
                let (status, problem) = call_with(node, method, path, wrong).await?;
                ensure!(
                    (status, &problem["code"]) == (401, &json!("not_authenticated")),
                    "{path} {wrong:?}: {status} {problem}"
                );
            }
        }
        for (path, wanted) in
            [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/admin/", 200), ("/admin/v2/nodes", 404)]
        {
            let (status, body) = node.admin_get(path).await?;
            ensure!(status == wanted && !body.contains(ADMIN_TOKEN), "{path}: {status} {body}");
        }
    }
    for device in &devices {
        ensure!(device.connections() == 1, "nobody was disturbed");
    }
    Ok(())
}

async fn nodes_of_other_operators_are_named_as_such(cluster: &mut Cluster) -> Result<()> {
    for (place, token) in [(0, "token-of-other-operators"), (1, "")] {
        let node = &mut cluster.gateways[place];
        node.configure("STARLING_ADMIN_TOKEN", token);
        rolling::restart(node).await?;
    }
    let api = &cluster.apis[0];
    let both = |answer: &Value| answer["strangers"].as_array().is_some_and(|strangers| strangers.len() == 2);
    let answer = until(api, "nodes", both).await?;
    ensure!(answer["silent"] == answer["strangers"], "who cannot answer does not: {answer}");
    ensure!(answer["nodes"].as_array().is_some_and(|nodes| nodes.len() == 1), "{answer}");
    let (code, said, _) = starling(api, &["nodes"]).await?;
    let told = said.matches(" did not answer: it has another STARLING_ADMIN_TOKEN, or none\n").count();
    ensure!((code, told) == (Some(0), 2), "{said}");
    // What one of them knows of a message nobody can say.
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let message = ann.connect().await?.send(id, "hello").await?;
    let trace = verdict(&cluster.apis[0], &ben, message.id, "not_known").await?;
    ensure!(trace["silent"].as_array().is_some_and(|silent| silent.len() == 2), "{trace}");
    // Once they have the token of the others they are strangers no more.
    for node in &mut cluster.gateways {
        node.configure("STARLING_ADMIN_TOKEN", ADMIN_TOKEN);
        rolling::restart(node).await?;
    }
    let whole = |answer: &Value| answer["nodes"].as_array().is_some_and(|nodes| nodes.len() == 3);
    let answer = until(&cluster.apis[0], "nodes", whole).await?;
    ensure!(answer["silent"] == json!([]) && answer["strangers"] == json!([]), "{answer}");
    Ok(())
}

async fn why_somebody_did_not_get_a_message_is_told(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cid, dan, eve] = people(cluster, ["ann", "ben", "cid", "dan", "eve"]).await?;
    let id = ann.group("plans", &[&ben, &cid]).await?;
    let (first, second) = (&cluster.gateways[0], &cluster.gateways[1]);
    let (from, to) = (ann.connect_to(first).await?, ben.connect_to(second).await?);
    // Both know of each other by then, and remember what happens from now on.
    for node in nodes(cluster) {
        until(node, "nodes", |answer| answer["nodes"].as_array().is_some_and(|nodes| nodes.len() == 3)).await?;
    }
    let message = from.send(id, "who comes along?").await?;
    to.sees(id, "who comes along?").await?;
    for node in nodes(cluster) {
        let trace = verdict(node, &ben, message.id, "written").await?;
        let knows = trace["nodes"].as_array().context("nodes")?;
        ensure!(knows.len() == 3, "{trace}");
        let commits: Vec<_> = knows.iter().filter_map(|node| node["commits"]["commits"].as_array()).flatten().collect();
        ensure!(commits.len() == 1 && commits[0]["event"]["is"] == "published", "{trace}");
        ensure!(commits[0]["changes"] == 1 && commits[0]["batch"].as_u64() >= Some(1), "{trace}");
        let handed_on: Vec<_> = knows.iter().filter(|node| node["delivery"]["handed_on"]["way"] == "bus").collect();
        ensure!(handed_on.len() == 2, "{trace}");
        // What was said is no operator's business.
        ensure!(!trace.to_string().contains("who comes along"), "{trace}");
    }
    verdict(first, &cid, message.id, "not_connected").await?;
    verdict(first, &dan, message.id, "not_a_member").await?;

    // By the message's place too, and by name.
    let path = format!("trace?user=ben&conversation={id}&seq={}", message.seq);
    ensure!(get(first, &path).await?["verdict"]["code"] == "written");

    // A device says that it has it, then that its owner read it.
    to.command("receipt.delivered", json!({"conversation_id": id, "seq": message.seq})).await?;
    verdict(first, &ben, message.id, "delivered").await?;
    to.command("receipt.read", json!({"conversation_id": id, "seq": message.seq})).await?;
    verdict(first, &ben, message.id, "read").await?;

    // Who comes later, and who went.
    ann.rest.post(&format!("conversations/{id}/participants"), json!({"user_ids": [eve.id]})).await?.done()?;
    verdict(first, &eve, message.id, "joined_later").await?;
    ann.rest.delete(&format!("conversations/{id}/participants/{}", cid.id)).await?.done()?;
    let late = from.send(id, "too late for cid").await?;
    verdict(first, &cid, late.id, "left_before").await?;

    // A client that was away and resumes.
    to.offline().await?;
    let connections = format!("users/{}/connections", ben.id);
    until(first, &connections, |answer| answer["connections"] == json!([])).await?;
    let missed = from.send(id, "while ben was away").await?;
    verdict(first, &ben, missed.id, "not_connected").await?;
    to.online().await?;
    to.sees(id, "while ben was away").await?;
    verdict(first, &ben, missed.id, "resumed").await?;

    // In words.
    let (code, out, log) = starling(first, &["trace", "ben", &missed.id.to_string()]).await?;
    ensure!(code == Some(0) && out.contains("(resumed)") && out.contains("committed"), "{code:?} {out}{log}");
    Ok(())
}

/// `starling admin …` against a node.
pub(crate) async fn starling(node: &Node, args: &[&str]) -> Result<(Option<i32>, String, String)> {
    let args: Vec<_> = ["admin"].iter().chain(args).copied().chain(["--url", node.admin()]).collect();
    node::run(&args, [("STARLING_ADMIN_TOKEN", ADMIN_TOKEN)]).await
}

async fn connections_are_seen_and_ended_and_users_disabled(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    // Who hears nothing is ended once, and is nobody's connection any more.
    let mut silent = Socket::with_token(cluster.gateways[0].url(), &ben.token).await?;
    silent.until("connected").await?;
    let path = "users/ben/connections";
    until(&cluster.apis[0], path, |answer| answer["connections"].as_array().is_some_and(|c| c.len() == 1)).await?;
    for ended in [1, 0] {
        let (status, answer) = call(&cluster.apis[0], "POST", "users/ben/disconnect").await?;
        ensure!(status == 200 && answer["disconnected"] == ended, "{status} {answer}");
    }
    let left = get(&cluster.apis[0], path).await?;
    ensure!(left["connections"] == json!([]), "{left}");
    let devices = [ann.connect_to(&cluster.gateways[0]).await?, ann.connect_to(&cluster.gateways[1]).await?];
    let api = &cluster.apis[0];
    let path = format!("users/{}/connections", ann.id);
    let seen = until(api, &path, |answer| answer["connections"].as_array().is_some_and(|c| c.len() == 2)).await?;
    ensure!(seen["connections"][0]["transport"] == "websocket" && seen["user"]["username"] == "ann", "{seen}");
    let one = seen["connections"][0]["id"].as_str().context("an id")?;
    let (status, ended) = call(api, "DELETE", &format!("connections/{one}")).await?;
    ensure!(status == 200 && ended["disconnected"] == 1, "{status} {ended}");
    let (code, out, log) = starling(api, &["disconnect", "ann"]).await?;
    ensure!(code == Some(0) && out.contains(" ended"), "{code:?} {out}{log}");
    for device in &devices {
        eventually("everybody is back", SOON, async || {
            ensure!(device.is_live() && device.connections() >= 2, "{} connections", device.connections());
            anyhow::Ok(())
        })
        .await;
    }
    let (status, disabled) = call(api, "POST", "users/ann/disable").await?;
    ensure!(status == 200 && disabled["disabled_at"].is_string(), "{status} {disabled}");
    for device in &devices {
        ensure!(device.stopped().await? == 4504, "disabled");
    }
    let (status, enabled) = call(api, "POST", "users/ann/enable").await?;
    ensure!(status == 200 && enabled["disabled_at"].is_null(), "{status} {enabled}");
    ann.connect_to(&cluster.gateways[0]).await?.live().await
}

async fn a_node_that_an_operator_drains_lets_its_connections_go_and_runs_on(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let device = ben.connect().await?;
    device.reaches(id, 1).await?;
    // By the one that is asked to drain it: it has to know that another one can take them.
    let answer = until(&cluster.apis[0], "nodes", |answer| all_ready(answer, 3)).await?;
    let busy = answer["nodes"].as_array().into_iter().flatten().find(|node| node["gateway"]["connections"] == 1);
    let busy = busy.context("the node of ben's connection")?;
    let (listen, id_of_busy) = (busy["listen"].clone(), busy["id"].as_str().context("an id")?);
    let api = &cluster.apis[0];
    let (status, drained) = call(api, "POST", &format!("nodes/{id_of_busy}/drain")).await?;
    ensure!(status == 200 && drained["draining"] == id_of_busy, "{status} {drained}");
    ensure!(drained["role"] == "gateway" && drained["others_ready"] == 1, "{drained}");
    let drained = cluster.gateways.iter().find(|node| listen == node.address()).context("the node")?;
    eventually("it is not ready", SOON, async || {
        let (status, body) = drained.admin_get("/readyz").await?;
        ensure!(status == 503 && body.contains("draining"), "{status} {body}");
        anyhow::Ok(())
    })
    .await;
    until(api, "nodes", |answer| {
        let nodes = answer["nodes"].as_array().into_iter().flatten();
        nodes.filter(|node| node["listen"] == listen).any(|node| node["gateway"]["connections"] == 0)
    })
    .await?;
    ann.connect().await?.send(id, "still here?").await?;
    device.sees(id, "still here?").await?;
    // Who takes the only one away is told so.
    let (code, out, log) = starling(&cluster.gateways[0], &["drain", &id_of(api).await?]).await?;
    ensure!(code == Some(0) && out.contains("no other api is ready"), "{code:?} {out}{log}");
    Ok(())
}

async fn what_cannot_be_is_refused_with_a_reason(cluster: &mut Cluster) -> Result<()> {
    let [ann] = people(cluster, ["ann"]).await?;
    let nobody = UserId::generate();
    let node = &cluster.gateways[0];
    for (method, path, status, code) in [
        ("GET", "trace".to_owned(), 400, "invalid"),
        ("GET", format!("trace?message={nobody}"), 400, "invalid"),
        ("GET", format!("trace?user={}&message=x", ann.id), 400, "invalid"),
        ("GET", format!("trace?user={}&message={nobody}", ann.id), 404, "not_found"),
        ("GET", format!("trace?user={nobody}&message={nobody}"), 404, "not_found"),
        ("GET", format!("trace?user={}&message={nobody}&conversation={nobody}&seq=1", ann.id), 400, "invalid"),
        ("GET", format!("trace?user={}&conversation={nobody}&seq=-1", ann.id), 400, "invalid"),
        ("GET", format!("trace?user={}&conversation={nobody}&seq=1&colour=red", ann.id), 400, "invalid"),
        ("GET", format!("users/{nobody}/connections"), 404, "not_found"),
        ("GET", "users/nobody/connections?org=nowhere".to_owned(), 404, "not_found"),
        ("POST", "users/nobody/disable".to_owned(), 404, "not_found"),
        ("POST", "nodes/x/drain".to_owned(), 400, "invalid"),
        ("POST", format!("nodes/{nobody}/drain"), 404, "not_found"),
        ("DELETE", "connections/x".to_owned(), 400, "invalid"),
        ("DELETE", format!("connections/{nobody}"), 404, "not_found"),
        ("GET", "conversations/x/heads".to_owned(), 400, "invalid"),
        ("GET", format!("conversations/{nobody}/heads"), 404, "not_found"),
        ("GET", "reports?org=nowhere".to_owned(), 404, "not_found"),
        ("GET", "reports?status=strange".to_owned(), 400, "invalid"),
        ("GET", "nothing".to_owned(), 404, "no_such_route"),
    ] {
        let (is, problem) = call(node, method, &path).await?;
        ensure!(is == status && problem["code"] == code, "{method} {path}: {is} {problem}");
    }
    let (code, _, log) = starling(node, &["trace", "nobody", &nobody.to_string()]).await?;
    ensure!(code == Some(1) && log.contains("not_found"), "{code:?} {log}");
    let (code, _, log) = node::run(&["admin", "nodes", "--url", node.admin()], []).await?;
    ensure!(code == Some(2) && log.contains("STARLING_ADMIN_TOKEN"), "{code:?} {log}");
    let wrong = [("STARLING_ADMIN_TOKEN", "0123456789abcdef")];
    let (code, _, log) = node::run(&["admin", "nodes", "--url", node.admin()], wrong).await?;
    ensure!(code == Some(1) && log.contains("not_authenticated"), "{code:?} {log}");
    let (code, _, log) = node::run(&["admin", "nodes", "--url", node.url()], wrong).await?;
    ensure!(code == Some(1) && !log.contains("0123456789abcdef"), "{code:?} {log}");
    Ok(())
}

async fn after_a_node_died_the_others_say_what_nobody_knows_any_more(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let from = ann.connect_to(&cluster.gateways[0]).await?;
    let to = ben.connect_to(&cluster.gateways[1]).await?;
    for node in nodes(cluster) {
        until(node, "nodes", |answer| answer["nodes"].as_array().is_some_and(|nodes| nodes.len() == 4)).await?;
    }
    let message = from.send(id, "before the crash").await?;
    to.sees(id, "before the crash").await?;
    verdict(&cluster.gateways[2], &ben, message.id, "written").await?;
    to.offline().await?;
    let dead = id_of(&cluster.gateways[1]).await?;
    cluster.gateways[1].kill()?;
    // It is missed until it is known to be gone.
    let trace = verdict(&cluster.gateways[2], &ben, message.id, "not_known").await?;
    let notes = trace["notes"].to_string();
    ensure!(trace["silent"] == json!([dead]) && notes.contains(&dead), "{trace}");
    cluster.gateways[1].restart().await?;
    cluster.gateways[1].ready().await?;
    // The new one remembers nothing of before, and says so.
    let path = format!("trace?user={}&message={}", ben.id, message.id);
    let trace = until(&cluster.gateways[2], &path, |trace| {
        trace["notes"].to_string().contains("knows nothing of deliveries before")
    })
    .await?;
    ensure!(trace["verdict"]["code"] == "not_known", "{trace}");
    Ok(())
}

async fn who_reads_too_slowly_is_seen_and_what_waits_for_them_is_told(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let node = &cluster.gateways[0];
    let from = ann.connect_to(node).await?;
    let silent = deaf::socket(node, &ben).await?;
    let long = "x".repeat(4_000);
    let mut last = None;
    // What the kernels take, and then some of the 64 KiB.
    for _ in 0..200 {
        last = Some(from.send(id, &long).await?);
        let answer = get(node, &format!("users/{}/connections", ben.id)).await?;
        if answer["connections"][0]["waiting_bytes"].as_u64() > Some(20_000) {
            break;
        }
    }
    let last = last.context("a message")?;
    let trace = verdict(node, &ben, last.id, "waiting").await?;
    ensure!(trace["verdict"]["says"].as_str().is_some_and(|says| says.contains("too slowly")), "{trace}");
    drop(silent);
    verdict(node, &ben, last.id, "lost").await?;
    Ok(())
}

async fn without_redis_a_node_answers_for_itself(cluster: &mut Cluster) -> Result<()> {
    let [ann] = people(cluster, ["ann"]).await?;
    let device = ann.connect_to(&cluster.gateways[0]).await?;
    device.live().await?;
    cluster.redis()?.kill()?;
    let node = &cluster.gateways[0];
    let answer = until(node, "nodes", |answer| answer["others_asked"] == false).await?;
    ensure!(answer["nodes"].as_array().is_some_and(|nodes| nodes.len() == 1), "{answer}");
    ensure!(answer["nodes"][0]["gateway"]["connections"] == 1, "{answer}");
    let (code, out, log) = starling(node, &["nodes"]).await?;
    ensure!(code == Some(0) && out.contains("Redis is away"), "{code:?} {out}{log}");
    Ok(())
}

async fn one_node_alone_answers_too(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let device = ben.connect().await?;
    device.reaches(id, 1).await?;
    let message = ann.connect().await?.send(id, "alone").await?;
    device.sees(id, "alone").await?;
    verdict(&cluster.gateways[0], &ben, message.id, "written").await?;
    let (code, out, log) = starling(&cluster.gateways[0], &["nodes"]).await?;
    ensure!(code == Some(0) && out.contains("serve"), "{code:?} {out}{log}");
    Ok(())
}
