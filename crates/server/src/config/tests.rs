//! The settings as an operator meets them: which source wins, and what is said about what cannot work.

use std::{fs, path::PathBuf};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn sources(environment: &[(&str, &str)]) -> Sources {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources { environment: environment.iter().map(own).collect(), ..Sources::default() }
}

fn cluster<'a>(more: &[(&'a str, &'a str)]) -> Sources {
    let base = [
        ("DATABASE_URL", "postgres://starling:hunter2@db/starling"),
        ("REDIS_URL", "redis://:hunter2@redis:6379"),
        ("STARLING_JWT_SECRET", SECRET),
    ];
    let mut all = base.to_vec();
    all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    all.extend(more);
    sources(&all)
}

fn with_file(text: &str, environment: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.toml");
    fs::write(&path, text).unwrap();
    let sources = Sources { config_flag: Some(path), ..sources(environment) };
    (dir, sources)
}

fn node(sources: &Sources) -> Result<Config, Failure> {
    Config::load(sources, Purpose::Node(Role::Serve))
}

/// The line that a refused configuration gets; it must be one, name the key and say how to mend it.
fn refused(sources: &Sources, purpose: Purpose) -> String {
    let Err(failure) = Config::load(sources, purpose) else { panic!("accepted: {sources:?}") };
    let line = failure.to_string();
    assert_eq!(failure.code(), 2, "{line}");
    assert!(!line.contains('\n') && line.contains(": ") && line.contains("; "), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
    line
}

#[test]
fn nothing_configured_is_the_embedded_server() {
    let config = node(&sources(&[("HOME", "/home/ada")])).unwrap_or_else(|failure| panic!("{failure}"));
    let s = &config.settings;
    assert_eq!(config.mode.name(), "embedded");
    assert_eq!(s.listen, Address { host: "127.0.0.1".into(), port: 8080 });
    assert_eq!((s.admin_listen.clone(), s.guest_sign_in, s.migrate_on_start), (None, true, true));
    assert_eq!(s.data_dir, PathBuf::from("/home/ada/.local/share/starling"));
    assert!(TABLE.iter().all(|setting| !config.is_set(setting.key)));
}

#[test]
fn both_urls_make_a_node_of_a_cluster_with_its_own_defaults() {
    let config = node(&cluster(&[])).unwrap_or_else(|failure| panic!("{failure}"));
    let s = &config.settings;
    assert_eq!(config.mode.name(), "cluster");
    assert_eq!(s.admin_listen, Some(Address { host: "127.0.0.1".into(), port: 9180 }));
    assert_eq!((s.guest_sign_in, s.migrate_on_start), (false, false));
    let off = node(&cluster(&[("STARLING_ADMIN_LISTEN", "")])).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(off.settings.admin_listen, None);
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let (_dir, mut sources) = with_file(
        "listen = \"file:1\"\nlog = \"debug\"\nheartbeat = \"7s\"",
        &[("STARLING_LISTEN", "environment:2"), ("STARLING_LOG", "warn")],
    );
    sources.flags.insert("listen", "flag:3".into());
    let config = node(&sources).unwrap_or_else(|failure| panic!("{failure}"));
    let origin = |key| config.found(key).map(|found| (found.text.as_str(), found.origin.to_string())).unwrap();
    assert_eq!(origin("listen"), ("flag:3", "flag --listen".into()));
    assert_eq!(origin("log"), ("warn", "environment STARLING_LOG".into()));
    let file = sources.config_flag.as_ref().unwrap().display();
    assert_eq!(origin("heartbeat"), ("7s", format!("file {file}")));
    assert_eq!(origin("sweep_interval"), ("10s", "default".into()));
    assert_eq!(config.settings.heartbeat.as_secs(), 7);
}

#[test]
fn every_default_is_a_value() {
    for setting in TABLE {
        let texts = match setting.fallback {
            Fallback::Unset => vec![""],
            Fallback::Same(text) => vec![text],
            Fallback::ByMode { embedded, cluster } => vec![embedded, cluster],
            Fallback::Computed(..) => vec![],
        };
        for text in texts {
            assert_eq!(setting.check(text), Ok(()), "{} = {text:?}", setting.key);
        }
        let derived = format!("STARLING_{}", setting.key.to_uppercase());
        assert!(setting.env == derived || matches!(setting.env, "DATABASE_URL" | "REDIS_URL"), "{}", setting.env);
    }
}

#[test]
fn every_bad_value_is_one_line_that_names_its_variable() {
    let overlong = "9".repeat(40);
    for (name, value) in [
        ("STARLING_LISTEN", ""),
        ("STARLING_LISTEN", "8080"),
        ("STARLING_LISTEN", "127.0.0.1:99999"),
        ("STARLING_LISTEN", "::1:80"),
        ("STARLING_LISTEN", "http://127.0.0.1:80"),
        ("STARLING_ADMIN_LISTEN", "off"),
        ("STARLING_PUBLIC_URL", "chat.example.com"),
        ("STARLING_PUBLIC_URL", "ftp://chat.example.com"),
        ("STARLING_ALLOWED_ORIGINS", "https://a.example/path"),
        ("STARLING_ALLOWED_ORIGINS", "a.example"),
        ("STARLING_ALLOWED_ORIGINS", "*,https://a.example"),
        ("STARLING_DATA_DIR", ""),
        ("STARLING_JWT_SECRET", "hunter2"),
        ("STARLING_JWT_SECRETS_PREVIOUS", "hunter2"),
        ("STARLING_JWT_SECRETS_PREVIOUS", "<hidden>"),
        ("STARLING_JWT_SECRETS_PREVIOUS", " "),
        ("STARLING_JWT_SECRETS_PREVIOUS", ","),
        ("STARLING_JWKS_URL", "not a url"),
        ("STARLING_GUEST_SIGN_IN", "yes"),
        ("STARLING_COMMAND_RATE", "-1"),
        ("STARLING_COMMAND_RATE", "1.5"),
        ("STARLING_COMMAND_BURST", overlong.as_str()),
        ("STARLING_DATABASE_CONNECTIONS", "0"),
        ("STARLING_MAX_FRAME", "64KB"),
        ("STARLING_MAX_FRAME", "1"),
        ("STARLING_HEARTBEAT", "25"),
        ("STARLING_HEARTBEAT", "0s"),
        ("STARLING_HEARTBEAT", "s"),
        ("STARLING_EDIT_WINDOW", "-1"),
        ("STARLING_EDIT_WINDOW", "1500ms"),
        ("STARLING_EDIT_WINDOW", "20000d"),
        ("STARLING_EDIT_WINDOW", "4000000000"),
        ("STARLING_PINS_MAX", "1001"),
        ("STARLING_PRESENCE_LEASE", "10ms"),
        ("STARLING_ACCESS_TTL", "9999999999999999999d"),
        ("STARLING_LOG", "gateway=loud"),
        ("STARLING_LOG", "loud"),
        ("STARLING_LOG", "info,loud"),
        ("STARLING_LOG", ""),
        ("STARLING_LOG_FORMAT", "xml"),
        ("STARLING_TRACE_SAMPLE", "2"),
        ("STARLING_OTLP_ENDPOINT", "collector"),
        ("DATABASE_URL", "mysql://u:hunter2@h/db"),
        ("DATABASE_URL", "postgres://u:hunter2@h:port/db"),
        ("REDIS_URL", "http://u:hunter2@h"),
        ("REDIS_URL", "redis+sentinel://:hunter2@a,b"),
        ("REDIS_URL", "redis+sentinel://:hunter2@a,b/main?password=hunter2"),
        ("REDIS_URL", "redis+cluster://:hunter2@a,b:port"),
        ("REDIS_URL", "redis+nothing://:hunter2@a"),
    ] {
        let line = refused(&cluster(&[(name, value)]), Purpose::Node(Role::Serve));
        assert!(line.starts_with(&format!("{name}: ")), "{name}={value}: {line}");
    }
    let line = refused(&cluster(&[("DATABASE_URL", "sqlite:chat.db")]), Purpose::Node(Role::Serve));
    assert!(line.contains("STARLING_DATA_DIR"), "{line}");
}

#[test]
fn redis_may_be_a_server_a_sentinel_set_or_a_cluster() {
    for url in [
        "redis://u:hunter2@h/1",
        "rediss://h",
        "redis+sentinel://u:hunter2@a,b:1,c:2/main/1?sentinel_password=hunter2",
        "rediss+sentinel://a/main",
        "redis+cluster://u:hunter2@a,b:7000",
        "rediss+cluster://a",
    ] {
        let config = node(&cluster(&[("REDIS_URL", url)])).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(matches!(&config.mode, Mode::Cluster { redis_url, .. } if redis_url == url), "{url}");
        for shown in [show::toml(&config), show::json(&config).to_string()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn the_edit_window_is_seconds_or_a_duration_and_for_ever_by_default() {
    for (text, seconds) in [("0", 0), ("90", 90), ("15m", 900), ("0s", 0), ("3650d", 315_360_000)] {
        let config = node(&sources(&[("STARLING_EDIT_WINDOW", text)])).unwrap();
        assert_eq!(config.settings.edit_window.as_secs(), seconds, "{text}");
    }
    assert_eq!(node(&sources(&[])).unwrap().settings.edit_window.as_secs(), 0);
}

#[test]
fn a_refused_flag_or_file_entry_is_told_as_such() {
    let mut sources = sources(&[]);
    sources.flags.insert("log_format", "xml".into());
    let line = refused(&sources, Purpose::Node(Role::Serve));
    assert_eq!(line, "STARLING_LOG_FORMAT: \"xml\" (flag --log-format) is not a log format; write pretty or json");
    let (_dir, sources) = with_file("log_format = \"xml\"", &[]);
    let line = refused(&sources, Purpose::Node(Role::Serve));
    assert!(line.contains("log_format in ") && line.contains("starling.toml"), "{line}");
}

#[test]
fn a_misspelt_variable_is_refused_with_the_one_that_was_meant() {
    let line = refused(&sources(&[("STARLING_LISSTEN", "x")]), Purpose::Node(Role::Serve));
    assert_eq!(line, "STARLING_LISSTEN: unknown variable; did you mean STARLING_LISTEN?");
    let line = refused(&sources(&[("STARLING_UNHEARD_OF_ENTIRELY", "x")]), Purpose::Tool);
    assert!(line.contains("starling config"), "{line}");
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_called_starling_are_no_mistake() {
    let links = [
        ("STARLING_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("STARLING_GATEWAY_SERVICE_PORT", "80"),
        ("STARLING_GATEWAY_SERVICE_PORT_HTTP", "80"),
        ("STARLING_GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("STARLING_GATEWAY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("STARLING_GATEWAY_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("STARLING_BIN", "/usr/bin/starling"),
    ];
    assert!(node(&sources(&links)).is_ok());
}

#[test]
fn a_file_is_refused_for_unknown_keys_wrong_types_and_bad_toml() {
    for (text, wanted) in [
        ("lissten = \"x:1\"", "lissten: unknown key in "),
        ("[listen]\nport = 1", "STARLING_LISTEN: listen in "),
        ("listen = 8080", "STARLING_LISTEN: listen in "),
        ("heartbeat = 25", "STARLING_HEARTBEAT: heartbeat in "),
        ("guest_sign_in = 1", "STARLING_GUEST_SIGN_IN: guest_sign_in in "),
        ("allowed_origins = [1]", "STARLING_ALLOWED_ORIGINS: allowed_origins in "),
        ("jwt_secret = 12345678901234567", "STARLING_JWT_SECRET: jwt_secret in "),
        ("log = \"info\"\nlisten = ", "STARLING_CONFIG: "),
    ] {
        let (_dir, sources) = with_file(text, &[]);
        let line = refused(&sources, Purpose::Node(Role::Serve));
        assert!(line.starts_with(wanted), "{text}: {line}");
    }
    let (_dir, sources) = with_file("log = \"info\"\nlisten = ", &[]);
    assert!(refused(&sources, Purpose::Tool).contains("line 2"));
    let line = refused(&sources_with_missing_file(), Purpose::Node(Role::Serve));
    assert!(line.starts_with("STARLING_CONFIG: cannot read /nowhere/starling.toml"), "{line}");
}

fn sources_with_missing_file() -> Sources {
    sources(&[("STARLING_CONFIG", "/nowhere/starling.toml")])
}

#[test]
fn a_file_may_write_each_kind_naturally() {
    let (_dir, sources) = with_file(
        "guest_sign_in = false\ncommand_rate = 5\nmax_frame = 4096\nmax_body = \"1MiB\"\ntrace_sample = 0.5\n\
         allowed_origins = [\"https://a.example\", \"http://B.example:80\"]",
        &[],
    );
    let s = node(&sources).unwrap_or_else(|failure| panic!("{failure}")).settings;
    assert_eq!((s.guest_sign_in, s.command_rate, s.max_frame, s.max_body), (false, 5, 4_096, 1_048_576));
    assert!((s.trace_sample - 0.5).abs() < f64::EPSILON);
    assert_eq!(s.allowed_origins, Origins::Only(vec!["https://a.example".into(), "http://b.example".into()]));
}

#[test]
fn what_settings_must_be_together() {
    let serve = Purpose::Node(Role::Serve);
    let only_database = sources(&[("DATABASE_URL", "postgres://h/d"), ("STARLING_JWT_SECRET", SECRET)]);
    assert!(refused(&only_database, serve).starts_with("REDIS_URL: "));
    assert!(refused(&sources(&[("REDIS_URL", "redis://h")]), serve).starts_with("DATABASE_URL: "));
    assert!(refused(&cluster(&[("STARLING_JWT_SECRET", "")]), serve).starts_with("STARLING_JWT_SECRET: "));
    for role in [Role::Gateway, Role::Api] {
        assert!(refused(&sources(&[]), Purpose::Node(role)).starts_with("DATABASE_URL: "));
    }
    let keys = ("STARLING_JWKS_FILE", "/keys.json");
    assert!(node(&cluster(&[("STARLING_JWT_SECRET", ""), keys])).is_ok());
    let guests = cluster(&[("STARLING_JWT_SECRET", ""), keys, ("STARLING_GUEST_SIGN_IN", "true")]);
    assert!(refused(&guests, serve).contains("STARLING_GUEST_SIGN_IN"));
    assert!(refused(&cluster(&[keys, ("STARLING_JWKS_URL", "https://a/jwks")]), serve).contains("STARLING_JWKS_FILE"));
    assert!(refused(&sources(&[]), Purpose::Migrate).starts_with("DATABASE_URL: "));
    assert!(Config::load(&sources(&[("DATABASE_URL", "postgres://h/d")]), Purpose::Migrate).is_ok());
}

#[test]
fn previous_secrets_are_listed_once_each_and_never_shown() {
    let (one, two) = ("hunter2 hunter2 hunter2 hunter2 1", "hunter2 hunter2 hunter2 hunter2 2");
    let previous = |text: &str| cluster(&[("STARLING_JWT_SECRETS_PREVIOUS", text)]);
    let config = node(&previous(&format!("{one}, {two}"))).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(config.settings.jwt_secrets_previous, [one.as_bytes(), two.as_bytes()]);
    for shown in [show::toml(&config), show::json(&config).to_string()] {
        assert!(shown.contains("<hidden>") && !shown.contains("hunter2"), "{shown}");
    }
    assert!(show::toml(&node(&cluster(&[])).unwrap()).contains("# jwt_secrets_previous is not set"));
    for (text, wanted) in [
        (format!("{one},"), "the list has an empty entry, number 2; "),
        (format!("{one},,{two}"), "the list has an empty entry, number 2; "),
        (format!("{one},hunter2"), "the list has 7 bytes as its entry 2, too short for HS256; "),
        (format!("{one},{two},{one}"), "the list has the same secret twice, as its entries 1 and 3; "),
        (format!("{one},{SECRET}"), "entry 2 of the list is STARLING_JWT_SECRET itself; "),
    ] {
        let line = refused(&previous(&text), Purpose::Node(Role::Serve));
        assert!(line.starts_with(&format!("STARLING_JWT_SECRETS_PREVIOUS: {wanted}")), "{line}");
        assert!(!line.contains(SECRET), "{line}");
    }
    let (_dir, sources) = with_file(&format!("jwt_secrets_previous = [\"{one}\", \"{two}\"]"), &[]);
    let config = node(&sources).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(config.settings.jwt_secrets_previous.len(), 2);
}

#[test]
fn what_is_shown_has_origins_and_no_secrets() {
    let config = node(&cluster(&[("STARLING_LOG", "debug")])).unwrap_or_else(|failure| panic!("{failure}"));
    let (text, json) = (show::toml(&config), show::json(&config).to_string());
    for shown in [&text, &json] {
        assert!(!shown.contains("hunter2") && !shown.contains(SECRET), "{shown}");
        assert!(shown.contains("environment STARLING_LOG") && shown.contains("db/starling"), "{shown}");
    }
    assert!(text.parse::<toml::Table>().is_ok(), "{text}");
}

#[test]
fn the_document_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let wanted = show::markdown();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(path, &wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "docs/configuration.md is old: UPDATE_GENERATED=1 cargo test -p server writes it again");
}
