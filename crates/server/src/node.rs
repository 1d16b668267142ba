//! A node: the parts of one process, wired.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use bus::Bus;
use chat::Chat;
use gateway::{Gateway, GatewayConfig};
use prometheus::Registry;
use protocol::NodeId;
use store::Store;
use tokio::sync::mpsc;

use crate::{
    Failure,
    cluster::{Cluster, LETTERS, Parts},
    config::{Config, Mode, Role},
    embedded,
    failure::chain,
    parts,
    serve::{
        admin::{self, Admin, AdminToken},
        metrics::{Counted, Metrics},
        readiness::Readiness,
        web,
    },
    telemetry::Telemetry,
    timed::Timed,
};

/// Between two attempts to migrate a database that does not answer.
const MIGRATE_RETRY: Duration = Duration::from_secs(1);

/// A wired node, ready to be served by [`run`](crate::run).
pub struct Node {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) chat: Chat,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) cluster: Cluster,
    pub(crate) public: Router,
    pub(crate) admin: Router,
    pub(crate) drain_window: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) heartbeat: Duration,
}

impl Node {
    /// Wires a node that is reached at `public`, inside a tokio runtime. In a cluster neither Postgres nor Redis is
    /// waited for; the embedded server's folder is opened and migrated.
    pub async fn start(
        config: &Config,
        role: Role,
        public: SocketAddr,
        telemetry: &Telemetry,
    ) -> Result<Self, Failure> {
        let (store, postgres) = parts::counted_store(config).await?;
        migrate(config, &store).await?;
        if config.mode == Mode::Embedded {
            embedded::make_attachments(&config.settings.data_dir)?;
        }
        let (bus, redis) = parts::bus(config)?;
        let registry = Registry::new();
        let wrong = |what: String| Failure::failed(format_args!("cannot start: {what}"));
        let store: Arc<dyn Store> = Arc::new(Timed::new(store, &registry).map_err(|error| wrong(error.to_string()))?);
        let chat = Chat::new(store.clone(), bus.clone(), config.testing.env(), parts::chat(config)?, &registry)
            .map_err(|what| parts::key_failure(config, &what))?;
        let (node, letters) = (NodeId::generate(), mpsc::channel(LETTERS));
        let gateway = if role.has_gateway() {
            let wanted = GatewayConfig { letters: Some(letters.0.clone()), ..parts::gateway(config, node, public) };
            tracing::info!(node.id = %wanted.node, origins = ?wanted.allowed_origins, "gateway");
            Some(Gateway::start(chat.clone(), bus.clone(), wanted, &registry).map_err(wrong)?)
        } else {
            None
        };
        let mut router = gateway.as_ref().map_or_else(Router::new, Gateway::router);
        if role.has_api() {
            router =
                router.merge(api::router(chat.clone(), parts::api(config, public), &registry).map_err(|what| {
                    Failure::configuration(
                        "STARLING_ALLOWED_ORIGINS",
                        what,
                        "write origins such as https://chat.example.com",
                    )
                })?);
        }
        let readiness = Arc::new(Readiness::new(store.clone(), bus.clone(), gateway.clone()));
        let (gateways, spans) = (gateway.clone(), telemetry.spans());
        let counted = Counted { store: store.clone(), postgres, redis, gateway: gateways, spans };
        let metrics = Metrics::register(registry, counted, role).map_err(|error| wrong(error.to_string()))?;
        let parts = Parts {
            id: node,
            role,
            listen: public,
            bus: bus.clone(),
            chat: chat.clone(),
            gateway: gateway.clone(),
            readiness: Arc::clone(&readiness),
            token: config.settings.admin_token.clone(),
            is_alone: config.mode == Mode::Embedded,
        };
        let cluster = Cluster::start(parts, letters);
        Ok(Self {
            public: if role.has_api() { router.fallback(web::page) } else { router.fallback(web::nothing) },
            admin: admin::router(Admin {
                readiness: Arc::clone(&readiness),
                metrics: Arc::new(metrics),
                cluster: cluster.clone(),
                chat: chat.clone(),
                token: AdminToken::new(config.settings.admin_token.as_deref()),
            }),
            cluster,
            store,
            bus,
            chat,
            gateway,
            readiness,
            drain_window: config.settings.drain_window,
            request_timeout: config.settings.request_timeout,
            heartbeat: config.settings.heartbeat,
        })
    }
}

/// Migrates if it is wanted: the embedded store now, Postgres as soon as it answers.
async fn migrate(config: &Config, store: &Arc<dyn Store>) -> Result<(), Failure> {
    if !config.settings.migrate_on_start {
        return Ok(());
    }
    if config.mode == Mode::Embedded {
        return store.migrate().await.map_err(|error| {
            Failure::failed(format_args!(
                "the database in {} cannot be migrated: {}",
                config.settings.data_dir.display(),
                chain(&error)
            ))
        });
    }
    let store = Arc::clone(store);
    tokio::spawn(async move {
        loop {
            match store.migrate().await {
                Ok(()) => return tracing::info!("the database is migrated"),
                Err(error) => tracing::warn!(error = chain(&error), "the database cannot be migrated yet"),
            }
            tokio::time::sleep(MIGRATE_RETRY).await;
        }
    });
    Ok(())
}
