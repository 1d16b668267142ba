//! The settings: one table from which the typed values, the flags, `starling config` and docs/configuration.md come.
//!
//! A row holds all that there is to know of a setting. Nothing here reads the environment.

use std::{path::PathBuf, time::Duration};

use super::{
    Environment,
    log_filter::log_filter,
    parse::{self, Address, Bad, LogFormat, Origins, Parsed},
};

/// What a file may write for a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Switch,
    /// A number.
    Number,
    /// A string such as `"30s"`.
    Duration,
    /// A number of bytes, or a string such as `"64KiB"`.
    Size,
    /// An array of strings, or one string with commas.
    List,
}

/// What may be shown of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All.
    Open,
    /// A URL without its password.
    Url,
    /// Nothing; there is no flag either, because other users of the machine can read a process' flags.
    Hidden,
}

/// The value of a setting that nobody set.
#[derive(Clone, Copy)]
pub enum Fallback {
    /// None.
    Unset,
    /// Always the same.
    Same(&'static str),
    /// One for the embedded server, one for a node of a cluster.
    ByMode {
        /// Without `DATABASE_URL` and `REDIS_URL`.
        embedded: &'static str,
        /// With them.
        cluster: &'static str,
    },
    /// Worked out from the environment; the text is for the documents.
    Computed(&'static str, fn(&Environment) -> String),
}

/// One setting.
pub struct Setting {
    /// Its name in a file.
    pub key: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// Its section in the documents.
    pub group: &'static str,
    /// What a file may write.
    pub kind: Kind,
    /// Its value when nobody sets it.
    pub fallback: Fallback,
    /// What may be shown.
    pub secrecy: Secrecy,
    /// What it does.
    pub doc: &'static str,
    check: fn(&str) -> Result<(), Bad>,
}

impl Setting {
    /// Its flag without the dashes; none for secrets.
    pub fn flag(&self) -> Option<String> {
        (self.secrecy != Secrecy::Hidden).then(|| self.key.replace('_', "-"))
    }

    /// Whether the text is a value.
    pub fn check(&self, text: &str) -> Result<(), Bad> {
        (self.check)(text)
    }
}

macro_rules! settings {
    ($($group:literal { $(
        $(#[doc = $doc:literal])+
        $key:ident: $type:ty = $parse:expr, $env:literal, $kind:ident, $secrecy:ident, $fallback:expr;
    )+ })+) => {
        /// The effective configuration.
        #[derive(Clone)]
        pub struct Settings { $($(
            $(#[doc = $doc])+
            pub $key: $type,
        )+)+ }

        /// Every setting, in the order of the documents.
        pub static TABLE: &[Setting] = &[$($(Setting {
            key: stringify!($key),
            env: $env,
            group: $group,
            kind: Kind::$kind,
            fallback: $fallback,
            secrecy: Secrecy::$secrecy,
            doc: concat!($($doc),+),
            check: |text| { let parse: fn(&str) -> Parsed<$type> = $parse; parse(text).map(drop) },
        }),+),+];

        impl Settings {
            /// Reads every value from its text, given by key.
            pub(super) fn read(text_of: impl Fn(&'static str) -> String) -> Result<Self, (&'static str, Bad)> {
                Ok(Self { $($($key: {
                    let parse: fn(&str) -> Parsed<$type> = $parse;
                    parse(&text_of(stringify!($key))).map_err(|bad| (stringify!($key), bad))?
                }),+),+ })
            }
        }
    };
}

use Fallback::{ByMode, Computed, Same, Unset};

settings! {
    "The cluster" {
        /// Postgres, `postgres://user:password@host:port/database`. With `REDIS_URL` it makes this process a node of
        /// a cluster; without both the server is embedded: SQLite, one process.
        database_url: Option<String> = parse::postgres_url, "DATABASE_URL", Text, Url, Unset;
        /// Redis: one server, `redis://[user:password@]host[:port][/database]`; a Sentinel set,
        /// `redis+sentinel://[user:password@]host[:port][,host[:port]…]/master[/database]`, where
        /// `?sentinel_username=…&sentinel_password=…` is for the Sentinels themselves; or a cluster,
        /// `redis+cluster://[user:password@]host[:port][,host[:port]…]`. With `rediss` instead of `redis` all of it is
        /// over TLS.
        redis_url: Option<String> = parse::redis_url, "REDIS_URL", Text, Url, Unset;
        /// Stands before every key and topic in Redis, so that programs can share a server. Nodes of one cluster have
        /// the same.
        redis_prefix: String = parse::plain, "STARLING_REDIS_PREFIX", Text, Open, Same("starling:");
        /// Bring the database to this version at the start. In a cluster rather run `starling migrate` once.
        migrate_on_start: bool = parse::boolean, "STARLING_MIGRATE_ON_START", Switch, Open,
            ByMode { embedded: "true", cluster: "false" };
        /// Connections of this node to Postgres, at most, while Postgres answers; two more for moments, when calls take
        /// over a second or `/readyz` finds all of them busy. During an outage, or when connecting takes long, up to 8
        /// more try to connect; and after an outage, until calls from before it have ended (a second), there may be as
        /// many connections again; as many a third time only if connections were lost just before it. A server that
        /// does not hear of their end counts them for longer.
        database_connections: u32 = parse::whole::<2, 1_000>, "STARLING_DATABASE_CONNECTIONS", Number, Open,
            Same("16");
        /// Most transactions of changes in flight at once: the next lane is used when those before it are full or held
        /// up. SQLite writes one at a time.
        writer_lanes: u32 = parse::whole::<1, 64>, "STARLING_WRITER_LANES", Number, Open,
            ByMode { embedded: "1", cluster: "4" };
        /// Changes that may wait in one lane for a moment; beyond it, and sooner where more comes than can be written,
        /// a client gets `overloaded`.
        writer_queue: u32 = parse::whole::<1, 1_000_000>, "STARLING_WRITER_QUEUE", Number, Open, Same("10000");
        /// Folder of the embedded server: database, secret, and a folder for attachments that is empty today. One process at a
        /// time.
        data_dir: PathBuf = parse::folder, "STARLING_DATA_DIR", Text, Open,
            Computed("`$XDG_DATA_HOME/starling`, else `~/.local/share/starling`", default_data_dir);
    }
    "Where it listens" {
        /// Public address: REST, sockets and the web client. Port 0 picks one; the first line on stdout tells it.
        listen: Address = parse::address, "STARLING_LISTEN", Text, Open, Same("127.0.0.1:8080");
        /// Address of `/healthz`, `/readyz`, `/metrics` and of what operators call (docs/admin.md); empty: off. Not for
        /// the public.
        admin_listen: Option<Address> = parse::address_or_off, "STARLING_ADMIN_LISTEN", Text, Open,
            ByMode { embedded: "", cluster: "127.0.0.1:9180" };
        /// What operators show who call the admin address, 16 bytes at least; the same on all nodes. Without it nothing
        /// but health and metrics is there. `starling admin` reads it too.
        admin_token: Option<String> = parse::admin_token, "STARLING_ADMIN_TOKEN", Text, Hidden, Unset;
        /// Where browsers reach Starling, such as `https://chat.example.com`; its origin may connect.
        public_url: Option<reqwest::Url> = parse::http_url, "STARLING_PUBLIC_URL", Text, Open, Unset;
        /// Origins of web pages that may connect and call, besides the one of `public_url`; `*`: any. The embedded
        /// server adds its own address. Programs that are no browsers send no origin and are not concerned.
        allowed_origins: Origins = parse::origins, "STARLING_ALLOWED_ORIGINS", List, Open, Same("");
    }
    "Signing in" {
        /// HS256 secret of at least 32 bytes: verifies tokens of another system and signs Starling's own. A node of a
        /// cluster needs it, or keys, or a JWKS; the embedded server makes its own in the data folder.
        jwt_secret: Option<Vec<u8>> = parse::secret, "STARLING_JWT_SECRET", Text, Hidden, Unset;
        /// HS256 secrets that `STARLING_JWT_SECRET` was before, or will be: what they signed is accepted, and nothing is
        /// signed with them. For changing it node by node (docs/operations.md); empty otherwise. White space around each
        /// does not count, and one with a comma cannot be listed.
        jwt_secrets_previous: Vec<Vec<u8>> = parse::secrets, "STARLING_JWT_SECRETS_PREVIOUS", List, Hidden, Unset;
        /// PEM files with public keys of another system (RS256, ES256, EdDSA).
        jwt_public_key_files: Vec<PathBuf> = parse::paths, "STARLING_JWT_PUBLIC_KEY_FILES", List, Open, Same("");
        /// Where another system publishes its keys; read at the start, every 10 minutes and for an unknown key.
        jwks_url: Option<reqwest::Url> = parse::http_url, "STARLING_JWKS_URL", Text, Url, Unset;
        /// The same as a file.
        jwks_file: Option<PathBuf> = parse::path, "STARLING_JWKS_FILE", Text, Open, Unset;
        /// Wanted `iss` of another system's tokens.
        jwt_issuer: Option<String> = parse::text, "STARLING_JWT_ISSUER", Text, Open, Unset;
        /// Wanted `aud` of another system's tokens.
        jwt_audience: Option<String> = parse::text, "STARLING_JWT_AUDIENCE", Text, Open, Unset;
        /// Sign in with a name alone.
        guest_sign_in: bool = parse::boolean, "STARLING_GUEST_SIGN_IN", Switch, Open,
            ByMode { embedded: "true", cluster: "false" };
        /// Register and log in with a password.
        password_sign_in: bool = parse::boolean, "STARLING_PASSWORD_SIGN_IN", Switch, Open, Same("true");
        /// Life of an access token that Starling signs.
        access_ttl: Duration = parse::duration::<10_000, 604_800_000>, "STARLING_ACCESS_TTL", Duration, Open,
            Same("15m");
        /// Life of a refresh token.
        refresh_ttl: Duration = parse::duration::<60_000, 31_536_000_000>, "STARLING_REFRESH_TTL", Duration, Open,
            Same("30d");
        /// Accept `?token=` in the URL of a socket or a stream of events. URLs end up in logs of proxies: tickets are
        /// better.
        allow_query_token: bool = parse::boolean, "STARLING_ALLOW_QUERY_TOKEN", Switch, Open, Same("false");
    }
    "Limits" {
        /// Commands per second and connection, sustained; 0: unlimited.
        command_rate: u32 = parse::whole::<0, 1_000_000>, "STARLING_COMMAND_RATE", Number, Open, Same("20");
        /// Commands of a connection at once; 0: unlimited.
        command_burst: u32 = parse::whole::<0, 1_000_000>, "STARLING_COMMAND_BURST", Number, Open, Same("60");
        /// Connections of one user on one node; 0: unlimited.
        user_connections: u32 = parse::whole::<0, 1_000_000>, "STARLING_USER_CONNECTIONS", Number, Open, Same("20");
        /// Conversations that one connection follows, the most recent first; 0: unlimited.
        connection_conversations: u32 = parse::whole::<0, 1_000_000>, "STARLING_CONNECTION_CONVERSATIONS", Number,
            Open, Same("10000");
        /// Largest frame that a client may send.
        max_frame: usize = parse::bytes::<1_024, 16_777_216>, "STARLING_MAX_FRAME", Size, Open, Same("64KiB");
        /// Longest content of a message, characters.
        max_content: u32 = parse::whole::<1, 100_000>, "STARLING_MAX_CONTENT", Number, Open, Same("4000");
        /// Most pinned messages in one conversation.
        pins_max: u32 = parse::whole::<0, 1_000>, "STARLING_PINS_MAX", Number, Open, Same("50");
        /// Largest body of a REST call.
        max_body: usize = parse::bytes::<1_024, 16_777_216>, "STARLING_MAX_BODY", Size, Open, Same("256KiB");
        /// Bytes that may wait for one connection; beyond it the connection is closed with 4001 and resumes.
        outbox_bytes: usize = parse::bytes::<65_536, 1_073_741_824>, "STARLING_OUTBOX_BYTES", Size, Open,
            Same("1MiB");
        /// Durable events that may wait for one connection; as above.
        outbox_events: u32 = parse::whole::<16, 10_000_000>, "STARLING_OUTBOX_EVENTS", Number, Open, Same("4096");
        /// Most changes of one conversation that a client which comes back gets by itself; of more it is told to fetch
        /// them (`resync_required`, `too_far_behind`).
        resume_distance: u32 = parse::whole::<0, 1_000_000>, "STARLING_RESUME_DISTANCE", Number, Open, Same("10000");
    }
    "Times" {
        /// Between two heartbeats; who answers two with nothing is closed with 4002 when the next is due. For as long as two
        /// of them any connection, also of REST and of the admin port, may take nothing of what is sent to it before
        /// the kernel ends it.
        heartbeat: Duration = parse::duration::<1_000, 600_000>, "STARLING_HEARTBEAT", Duration, Open, Same("25s");
        /// Within this a socket that was not authenticated at its upgrade says `hello`.
        hello_timeout: Duration = parse::duration::<100, 600_000>, "STARLING_HELLO_TIMEOUT", Duration, Open,
            Same("10s");
        /// A REST call that takes longer gets 503 `timeout`.
        request_timeout: Duration = parse::duration::<100, 600_000>, "STARLING_REQUEST_TIMEOUT", Duration, Open,
            Same("10s");
        /// One's own messages may be edited within this after they were sent; a number alone is seconds, 0: for ever.
        edit_window: Duration = parse::window::<315_360_000>, "STARLING_EDIT_WINDOW", Duration, Open, Same("0s");
        /// What was said in a conversation is erased this long after it was deleted; a number alone is seconds, 0: at once.
        erase_after: Duration = parse::window::<315_360_000>, "STARLING_ERASE_AFTER", Duration, Open, Same("0s");
        /// Every conversation with listeners on this node is compared with the store within this.
        sweep_interval: Duration = parse::duration::<100, 3_600_000>, "STARLING_SWEEP_INTERVAL", Duration, Open,
            Same("10s");
        /// So long a node that died is believed about who is connected to it; it renews its lease three times within.
        presence_lease: Duration = parse::duration::<1_000, 600_000>, "STARLING_PRESENCE_LEASE", Duration, Open,
            Same("15s");
        /// On SIGTERM connections are told to move at moments spread over this.
        drain_window: Duration = parse::duration::<0, 3_600_000>, "STARLING_DRAIN_WINDOW", Duration, Open,
            ByMode { embedded: "1s", cluster: "10s" };
    }
    "What it tells" {
        /// Changes that a node remembers to answer "why did X not get Y?" (`starling admin trace`): about 150 bytes each
        /// as they come; 0: none.
        trace_events: u32 = parse::whole::<0, 1_000_000>, "STARLING_TRACE_EVENTS", Number, Open, Same("32768");
        /// What is logged to stderr: a level, or a filter such as `info,gateway=debug`. A word alone
        /// is a level or a part of Starling; parts of libraries have a level with them (`info,hyper=debug`). What people
        /// write, passwords and tokens are in no log at any level.
        log: String = log_filter, "STARLING_LOG", Text, Open, Same("info");
        /// `pretty` for people, `json` for collectors.
        log_format: LogFormat = parse::log_format, "STARLING_LOG_FORMAT", Text, Open, Same("pretty");
        /// Collector of traces (OTLP over HTTP), such as `http://localhost:4318`; off unless set.
        otlp_endpoint: Option<reqwest::Url> = parse::http_url, "STARLING_OTLP_ENDPOINT", Text, Url, Unset;
        /// Share of traces that is exported, 0 to 1.
        trace_sample: f64 = parse::share, "STARLING_TRACE_SAMPLE", Number, Open, Same("0.1");
    }
}

fn default_data_dir(environment: &Environment) -> String {
    let set = |name: &str| environment.get(name).filter(|value| value.starts_with('/'));
    match (set("XDG_DATA_HOME"), set("HOME")) {
        (Some(data), _) => format!("{data}/starling"),
        (None, Some(home)) => format!("{home}/.local/share/starling"),
        // A container without a home.
        (None, None) => "starling-data".into(),
    }
}

/// The row of this key.
pub(super) fn setting(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.key == key)
}
