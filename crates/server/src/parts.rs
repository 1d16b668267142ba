//! From settings to the parts of a node: store, bus, and what the domain, the gateway and the API are told.

use std::{fs, net::SocketAddr, sync::Arc};

use api::ApiConfig;
use bus::{
    Bus, BusError,
    local::LocalBus,
    redis::{RedisBus, RedisConfig},
};
use chat::{AuthConfig, ChatConfig, JwksSource, VerifyKey, WriterConfig};
use gateway::{Bounds, GatewayConfig, PresenceConfig};
use protocol::{Limits, NodeId};
use store::{
    Store, StoreError,
    postgres::{PostgresConfig, PostgresStore},
    sqlite::{SqliteConfig, SqliteStore},
};

use crate::{
    Failure,
    config::{Config, Mode, Origins, REDIS_FORMS, Settings},
    embedded,
    failure::chain,
};

/// A store, and the same with its own type if that counts something.
type CountedStore = (Arc<dyn Store>, Option<PostgresStore>);

/// The store of this mode. Postgres is not waited for.
pub(crate) async fn store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(counted_store(config).await?.0)
}

/// The same, with what counts its use.
pub(crate) async fn counted_store(config: &Config) -> Result<CountedStore, Failure> {
    let settings = &config.settings;
    match &config.mode {
        Mode::Cluster { database_url, .. } => {
            let postgres = postgres(database_url, settings)?;
            Ok((Arc::new(postgres.clone()), Some(postgres)))
        }
        Mode::Embedded => {
            let opened = SqliteStore::open(SqliteConfig::new(&settings.data_dir)).await;
            Ok((Arc::new(opened.map_err(|error| data_dir_failure(&error))?), None))
        }
    }
}

/// Postgres; it connects when it is first used.
pub(crate) fn postgres(url: &str, settings: &Settings) -> Result<PostgresStore, Failure> {
    let defaults = PostgresConfig::new(url);
    let connected =
        PostgresStore::connect(PostgresConfig { max_connections: settings.database_connections, ..defaults });
    connected.map_err(|error| {
        Failure::configuration("DATABASE_URL", chain(&error), "write postgres://user:password@host:port/database")
    })
}

fn data_dir_failure(error: &StoreError) -> Failure {
    let key = "STARLING_DATA_DIR";
    match error {
        StoreError::Locked(dir) => Failure::configuration(
            key,
            format_args!("another process uses {}", dir.display()),
            "stop it, or choose another folder",
        ),
        error => Failure::configuration(key, chain(error), "choose a folder that this user can write"),
    }
}

/// A bus, and the same with its own type if that counts something.
type CountedBus = (Arc<dyn Bus>, Option<Arc<RedisBus>>);

/// The bus of this mode. Redis is not waited for.
pub(crate) fn bus(config: &Config) -> Result<CountedBus, Failure> {
    match &config.mode {
        Mode::Embedded => Ok((Arc::new(LocalBus::start()), None)),
        Mode::Cluster { redis_url, .. } => {
            let redis = Arc::new(redis(redis_url, &config.settings)?);
            Ok((redis.clone(), Some(redis)))
        }
    }
}

/// One node's end of the bus over Redis.
pub(crate) fn redis(url: &str, settings: &Settings) -> Result<RedisBus, Failure> {
    let wanted = RedisConfig { prefix: settings.redis_prefix.clone(), ..RedisConfig::new(url) };
    RedisBus::start(wanted).map_err(|error: BusError| Failure::configuration("REDIS_URL", error, REDIS_FORMS))
}

/// What the domain is told. The embedded server's secret is made here, if it has none.
pub(crate) fn chat(config: &Config) -> Result<ChatConfig, Failure> {
    let s = &config.settings;
    Ok(ChatConfig {
        auth: auth(config)?,
        limits: Limits {
            frame_bytes: s.max_frame,
            content_chars: s.max_content as usize,
            command_rate: s.command_rate,
            command_burst: s.command_burst,
            user_connections: s.user_connections,
            connection_conversations: s.connection_conversations,
            edit_window_seconds: s.edit_window.as_secs(),
            pins: s.pins_max,
        },
        writer: WriterConfig {
            lanes: s.writer_lanes as usize,
            queue: s.writer_queue as usize,
            remembered: s.trace_events as usize,
            ..WriterConfig::default()
        },
        erase_after: s.erase_after,
    })
}

fn auth(config: &Config) -> Result<AuthConfig, Failure> {
    let s = &config.settings;
    let secret = match (&s.jwt_secret, &config.mode) {
        (None, Mode::Embedded) => Some(embedded::secret(&s.data_dir)?),
        (secret, _) => secret.clone(),
    };
    let mut keys = Vec::new();
    for path in &s.jwt_public_key_files {
        let pem = fs::read_to_string(path).map_err(|error| {
            let what = format!("cannot read {}: {error}", path.display());
            Failure::configuration("STARLING_JWT_PUBLIC_KEY_FILES", what, "name PEM files, separated by commas")
        })?;
        keys.push(VerifyKey { pem });
    }
    // Tokens of ours are signed with the secret: without one there is nobody to sign in here.
    let signs = secret.is_some();
    Ok(AuthConfig {
        secret,
        previous_secrets: s.jwt_secrets_previous.clone(),
        keys,
        jwks: match (&s.jwks_url, &s.jwks_file) {
            (Some(url), _) => Some(JwksSource::Url(url.to_string())),
            (None, Some(path)) => Some(JwksSource::File(path.clone())),
            (None, None) => None,
        },
        issuer: s.jwt_issuer.clone(),
        audience: s.jwt_audience.clone(),
        guest_sign_in: s.guest_sign_in && signs,
        password_sign_in: s.password_sign_in && signs,
        access_ttl: s.access_ttl,
        refresh_ttl: s.refresh_ttl,
    })
}

/// A key that does not parse, under the name of the setting that it came from.
pub(crate) fn key_failure(config: &Config, what: &str) -> Failure {
    let s = &config.settings;
    let (key, mend) = if what.starts_with("public key") {
        ("STARLING_JWT_PUBLIC_KEY_FILES", "name PEM files with a public key each (they are counted from 1)")
    } else if s.jwks_file.is_some() {
        ("STARLING_JWKS_FILE", "name a JSON Web Key Set with public keys")
    } else if s.jwks_url.is_some() {
        ("STARLING_JWKS_URL", "name a URL of a JSON Web Key Set")
    } else {
        ("STARLING_JWT_SECRET", "use at least 32 random bytes")
    };
    Failure::configuration(key, what, mend)
}

/// What the gateway is told, given the address it is reached at.
pub(crate) fn gateway(config: &Config, node: NodeId, public: SocketAddr) -> GatewayConfig {
    let s = &config.settings;
    let (allowed_origins, any_origin) = origins(config, public);
    GatewayConfig {
        bounds: Bounds::default(),
        node,
        heartbeat: s.heartbeat,
        hello_timeout: s.hello_timeout,
        allowed_origins,
        any_origin,
        allow_query_token: s.allow_query_token,
        outbox_bytes: s.outbox_bytes,
        outbox_events: s.outbox_events as usize,
        drain_window: s.drain_window,
        sweep_interval: s.sweep_interval,
        resume_distance: s.resume_distance.into(),
        remembered: s.trace_events as usize,
        letters: None,
        presence: PresenceConfig { lease: s.presence_lease, ..PresenceConfig::default() },
    }
}

/// What the API is told, given the address it is reached at.
pub(crate) fn api(config: &Config, public: SocketAddr) -> ApiConfig {
    let s = &config.settings;
    let (cors_origins, any_origin) = origins(config, public);
    ApiConfig { cors_origins, any_origin, request_timeout: s.request_timeout, body_limit: s.max_body }
}

/// Whether some web page may connect; the embedded server's own always may.
pub(crate) fn any_page_may_connect(config: &Config) -> bool {
    let (origins, any) = origins(config, SocketAddr::from(([127, 0, 0, 1], 0)));
    any || !origins.is_empty()
}

/// Which web pages may connect, and whether any may.
fn origins(config: &Config, public: SocketAddr) -> (Vec<String>, bool) {
    let mut origins = match &config.settings.allowed_origins {
        Origins::Any => return (Vec::new(), true),
        Origins::Only(origins) => origins.clone(),
    };
    origins.extend(config.settings.public_url.as_ref().map(|url| url.origin().ascii_serialization()));
    if config.mode == Mode::Embedded {
        let port = public.port();
        let host = Some(public.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| SocketAddr::new(ip, port).to_string());
        let hosts = [format!("localhost:{port}"), format!("127.0.0.1:{port}")].into_iter().chain(host);
        // Browsers leave the port of their scheme out.
        origins.extend(hosts.map(|host| format!("http://{}", host.strip_suffix(":80").unwrap_or(&host))));
    }
    origins.sort();
    origins.dedup();
    (origins, false)
}
