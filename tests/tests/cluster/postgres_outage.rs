//! Postgres is the truth: nodes that start without it wait for it. Outages under running nodes are in `tests/faults`.

use anyhow::{Context, Result, ensure};
use starling_tests::{
    client::{Client, Rest, SOON, Socket},
    cluster::Cluster,
    node::{Node, Role},
    process::eventually,
};

use crate::world::{agree, people, scenarios};

scenarios! {
    on_a_cluster_that_loses_postgres: [
        nodes_that_start_without_postgres_wait_for_it,
    ];
}

async fn readiness(node: &Node, status: u16) {
    let what = format!("readiness of {:?} {} says {status}", node.role(), node.url());
    eventually(&what, SOON, async || match node.admin_get("/readyz").await {
        Ok((seen, _)) if seen == status => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// 503 with the time to try again, in the shape of every error.
async fn ensure_unavailable(rest: &Rest, path: &str) -> Result<()> {
    let answer = rest.get(path).await?;
    ensure!(answer.problem()? == (503, "unavailable".into()), "{answer:?}");
    ensure!(answer.headers.contains_key("retry-after"), "no Retry-After: {answer:?}");
    Ok(())
}

async fn nodes_that_start_without_postgres_wait_for_it(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    cluster.postgres()?.stop().await?;
    let (gateway, api) = (cluster.start_node(Role::Gateway).await?, cluster.start_node(Role::Api).await?);
    cluster.gateways.push(gateway);
    cluster.apis.push(api);
    let late = cluster.gateways.len() - 1;
    for node in [&mut cluster.gateways[late], &mut cluster.apis[1]] {
        readiness(node, 503).await;
        ensure!(node.admin_get("/healthz").await?.0 == 200);
        node.check_running()?;
    }
    ensure_unavailable(&ann.rest.at(cluster.apis[1].url()), "me").await?;
    let bearer = format!("Bearer {}", ann.token);
    let upgrade = Socket::open(cluster.gateways[late].url(), "/v1/ws", &[("authorization", &bearer)]).await?;
    let status = upgrade.err().map(|status| status.as_u16());
    ensure!(status == Some(503), "an upgrade: {status:?}");

    // A client that tries all the while gets in as soon as there is something to get into.
    let anns = Client::connecting(cluster.gateways[late].url(), &ann.token);
    cluster.postgres()?.up().await?;
    for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
        node.ready().await?;
    }
    anns.live().await?;
    let bens = ben.connect_to(&cluster.gateways[0]).await?;
    let id = ann.group("plans", &[&ben]).await.context("through the load balancer")?;
    anns.reaches(id, 1).await?;
    anns.send(id, "from the late node").await?;
    bens.sees(id, "from the late node").await?;
    agree(&ben, id, [&anns, &bens]).await.map(drop)
}
