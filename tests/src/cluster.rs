//! A whole Starling: nodes of the real binary, private Postgres, Redis and nginx; or one embedded node alone.
//!
//! Promises that everything in it belongs to one test. Tests written against [`Cluster`] run on both kinds.

mod proxies;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use protocol::{Conversation, ConversationId, User, UserId};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use self::proxies::Proxies;
use crate::{
    client::{Client, Rest},
    nginx::Nginx,
    node::{self, Node, Role},
    postgres::{PrivatePostgres, TestDatabase},
    proxy::Proxy,
    redis::{AnyRedis, Redis, RedisCluster, RedisKind, RedisSentinels},
};

/// What to start.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Gateway nodes.
    pub gateways: usize,
    /// Api nodes.
    pub apis: usize,
    /// A Postgres of its own, for tests that stop it. Else a database on the server that tests share.
    pub private_postgres: bool,
    /// Which kind of Redis.
    pub redis: RedisKind,
    /// Each node reaches Redis (one server) through a fault proxy of its own: [`Cluster::redis_proxy`].
    pub redis_proxy: bool,
    /// Each node reaches Postgres through a fault proxy of its own: [`Cluster::postgres_proxy`].
    pub postgres_proxy: bool,
    /// Variables of every node.
    pub env: Vec<(String, String)>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            gateways: 2,
            apis: 1,
            private_postgres: false,
            redis: RedisKind::Standalone,
            redis_proxy: false,
            postgres_proxy: false,
            env: Vec::new(),
        }
    }
}

/// Where messages are kept.
#[derive(Debug)]
enum Database {
    Shared(TestDatabase),
    Private(PrivatePostgres),
}

/// Running nodes and what they need.
#[derive(Debug)]
pub struct Cluster {
    /// Gateways; embedded: the one node.
    pub gateways: Vec<Node>,
    /// Api nodes; embedded: none.
    pub apis: Vec<Node>,
    nginx: Option<Nginx>,
    redis: Option<AnyRedis>,
    database: Option<Database>,
    proxies: Proxies,
    env: Vec<(String, String)>,
    secret: String,
}

/// Somebody with a token, as the login of an existing app would give it.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// Their username.
    pub name: String,
    /// Their bearer token.
    pub token: String,
    /// REST calls in their name, by way of the load balancer.
    pub rest: Rest,
    url: String,
}

impl Cluster {
    /// So many gateways and api nodes behind nginx, all ready.
    pub async fn start(gateways: usize, apis: usize) -> Result<Self> {
        Self::start_with(ClusterConfig { gateways, apis, ..ClusterConfig::default() }).await
    }

    /// Anything that [`ClusterConfig`] can say.
    pub async fn start_with(config: ClusterConfig) -> Result<Self> {
        let database = if config.private_postgres {
            let server = PrivatePostgres::start().await?;
            let (code, out, log) = node::run(&["migrate"], [("DATABASE_URL", &*server.url())]).await?;
            ensure!(code == Some(0), "`starling migrate` ended with {code:?}:\n{out}{log}");
            Database::Private(server)
        } else {
            Database::Shared(TestDatabase::create().await?)
        };
        let redis = AnyRedis::start(config.redis).await?;
        let mut cluster = Self::empty(config.env);
        cluster.env.push(("DATABASE_URL".into(), database.url()));
        cluster.env.push(("REDIS_URL".into(), redis.url()));
        if config.redis_proxy {
            cluster.proxies.redis = Some(redis.standalone()?.port());
        }
        if config.postgres_proxy {
            cluster.proxies.postgres = Some(database.url().parse::<PgConnectOptions>()?.get_port());
        }
        (cluster.database, cluster.redis) = (Some(database), Some(redis));
        for _ in 0..config.gateways {
            let node = cluster.node(Role::Gateway).await?;
            cluster.gateways.push(node);
        }
        for _ in 0..config.apis {
            let node = cluster.node(Role::Api).await?;
            cluster.apis.push(node);
        }
        for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
            node.ready().await?;
        }
        cluster.nginx = Some(Nginx::start(&addresses(&cluster.gateways), &addresses(&cluster.apis)).await?);
        Ok(cluster)
    }

    /// One node with nothing beside it, as `starling serve` starts without configuration.
    pub async fn embedded() -> Result<Self> {
        Self::embedded_with(&[]).await
    }

    /// The same with more variables.
    pub async fn embedded_with(env: &[(&str, &str)]) -> Result<Self> {
        let mut cluster = Self::empty(env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        let mut node = cluster.node(Role::Serve).await?;
        node.ready().await?;
        cluster.gateways.push(node);
        Ok(cluster)
    }

    fn empty(mut env: Vec<(String, String)>) -> Self {
        // Its own for each cluster: what reached another one by mistake is refused there.
        let secret = format!("a secret of the tests {}", uuid::Uuid::new_v4());
        env.push(("STARLING_JWT_SECRET".into(), secret.clone()));
        let proxies = Proxies::default();
        Self { gateways: Vec::new(), apis: Vec::new(), nginx: None, redis: None, database: None, proxies, env, secret }
    }

    async fn node(&self, role: Role) -> Result<Node> {
        self.start_node_with(role, &[]).await
    }

    // ---- its parts

    /// Where clients connect: the load balancer; embedded: the node.
    pub fn url(&self) -> String {
        match (&self.nginx, self.gateways.first()) {
            (Some(nginx), _) => nginx.url(),
            (None, Some(node)) => node.url().to_owned(),
            (None, None) => String::new(),
        }
    }

    /// Whether it is one node with nothing beside it.
    pub fn is_embedded(&self) -> bool {
        self.database.is_none()
    }

    /// Where REST is answered without the load balancer, node by node.
    pub fn rest_nodes(&self) -> &[Node] {
        if self.is_embedded() { &self.gateways } else { &self.apis }
    }

    /// Its Redis, when that is one server; embedded has none.
    pub fn redis(&mut self) -> Result<&mut Redis> {
        self.redis.as_mut().context("an embedded node has no Redis")?.standalone_mut()
    }

    /// Its Sentinel set, when it was started with one.
    pub fn redis_sentinels(&mut self) -> Result<&mut RedisSentinels> {
        self.redis.as_mut().context("an embedded node has no Redis")?.sentinels()
    }

    /// Its Redis Cluster, when it was started with one.
    pub fn redis_cluster(&mut self) -> Result<&mut RedisCluster> {
        self.redis.as_mut().context("an embedded node has no Redis")?.cluster()
    }

    /// Its Postgres, when it has one of its own.
    pub fn postgres(&mut self) -> Result<&mut PrivatePostgres> {
        match &mut self.database {
            Some(Database::Private(server)) => Ok(server),
            _ => anyhow::bail!("this cluster has no Postgres of its own"),
        }
    }

    /// The `DATABASE_URL` of its nodes.
    pub fn database_url(&self) -> Result<String> {
        Ok(self.database.as_ref().context("an embedded node has no Postgres")?.url())
    }

    /// What a node of it reaches Redis through.
    pub fn redis_proxy(&self, node: &Node) -> Result<Arc<Proxy>> {
        self.proxies.of(node).redis.context("this node reaches Redis without a proxy")
    }

    /// What a node of it reaches Postgres through.
    pub fn postgres_proxy(&self, node: &Node) -> Result<Arc<Proxy>> {
        self.proxies.of(node).postgres.context("this node reaches Postgres without a proxy")
    }

    /// A connection to its database, to look at rows.
    pub async fn rows(&self) -> Result<PgConnection> {
        Ok(self.database_url()?.parse::<PgConnectOptions>()?.connect().await?)
    }

    /// Starts one more gateway and lets the load balancer use it; returns its place in [`Cluster::gateways`].
    pub async fn add_gateway(&mut self) -> Result<usize> {
        let mut node = self.start_node(Role::Gateway).await?;
        node.ready().await?;
        self.gateways.push(node);
        self.route().await?;
        Ok(self.gateways.len() - 1)
    }

    /// Starts one more node that listens, ready or not, and that the load balancer knows nothing of.
    pub async fn start_node(&self, role: Role) -> Result<Node> {
        self.node(role).await
    }

    /// The same with variables that the other nodes do not have, or not so.
    pub async fn start_node_with(&self, role: Role, env: &[(&str, &str)]) -> Result<Node> {
        let mut shared = self.env.clone();
        let proxies = self.proxies.make(&mut shared)?;
        let shared = shared.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let node = Node::start(role, shared.chain(env.iter().copied())).await?;
        self.proxies.keep(&node, proxies);
        Ok(node)
    }

    /// Tells the load balancer of the nodes in [`Cluster::gateways`] and [`Cluster::apis`], all of them.
    pub async fn route(&mut self) -> Result<()> {
        let nginx = self.nginx.as_mut().context("an embedded node has no load balancer")?;
        nginx.route(&addresses(&self.gateways), &addresses(&self.apis)).await
    }

    /// The logs of all nodes, for messages of failures.
    pub fn logs(&self) -> String {
        let nodes = self.gateways.iter().chain(&self.apis);
        let logs = nodes.map(|node| format!("--- {:?} {}\n{}", node.role(), node.url(), node.log()));
        let nginx = self.nginx.iter().map(|nginx| format!("--- nginx\n{}", nginx.log()));
        logs.chain(nginx).collect::<Vec<_>>().join("\n")
    }

    // ---- people

    /// Somebody new, or the same again by name.
    pub async fn person(&self, name: &str) -> Result<Person> {
        self.person_with(name, &json!({})).await
    }

    /// The same with more claims in their token: the `org` they are of, a `role` in it.
    pub async fn person_with(&self, name: &str, more: &Value) -> Result<Person> {
        let token = self.token_with(name, Duration::from_hours(1), more)?;
        let rest = Rest::new(&self.url(), Some(&token))?;
        let user: User = rest.get("me").await?.ok()?;
        Ok(Person { id: user.id, name: name.to_owned(), token, rest, url: self.url() })
    }

    /// A token for a person of this name.
    pub fn token(&self, name: &str, valid_for: Duration) -> Result<String> {
        self.token_with(name, valid_for, &json!({}))
    }

    fn token_with(&self, name: &str, valid_for: Duration, more: &Value) -> Result<String> {
        let exp = (SystemTime::now().duration_since(UNIX_EPOCH)? + valid_for).as_secs();
        let mut claims = json!({"sub": name, "preferred_username": name, "name": name, "exp": exp});
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        self.sign(&claims)
    }

    /// A token with any claims, signed with this cluster's secret.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        sign_with(&self.secret, claims)
    }

    /// The `STARLING_JWT_SECRET` that its nodes were started with.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

/// A token with any claims, signed with this secret.
pub fn sign_with(secret: &str, claims: &Value) -> Result<String> {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    Ok(jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key)?)
}

impl Database {
    fn url(&self) -> String {
        match self {
            Self::Shared(database) => database.url().to_owned(),
            Self::Private(server) => server.url(),
        }
    }
}

impl Person {
    /// A device of theirs, by way of the load balancer.
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.url, &self.token).await
    }

    /// A device of theirs on this very node.
    pub async fn connect_to(&self, node: &Node) -> Result<Client> {
        Client::connect(node.url(), &self.token).await
    }

    /// A group of them and others.
    pub async fn group(&self, title: &str, others: &[&Person]) -> Result<ConversationId> {
        self.create(json!({"kind": "group", "title": title, "participant_ids": ids(others)})).await
    }

    /// A public room.
    pub async fn room(&self, title: &str) -> Result<ConversationId> {
        self.create(json!({"kind": "public", "title": title})).await
    }

    /// The direct conversation with somebody.
    pub async fn direct(&self, other: &Person) -> Result<ConversationId> {
        self.create(json!({"kind": "direct", "participant_ids": ids(&[other])})).await
    }

    async fn create(&self, body: Value) -> Result<ConversationId> {
        let conversation: Conversation = self.rest.post("conversations", body).await?.ok()?;
        Ok(conversation.id)
    }
}

fn ids(people: &[&Person]) -> Vec<UserId> {
    people.iter().map(|person| person.id).collect()
}

fn addresses(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(Node::address).collect()
}
