//! What docs/troubleshooting.md quotes is what the binary says, line by line: something here makes each line, and what
//! is made here is on the page. The words are the page's alone.

use std::{fs, net::TcpListener, path::Path, process::Command};

use starling_tests::{
    postgres::PrivatePostgres,
    process::{Launch, eventually, free_port, temp_dir},
    redis::{Redis, RedisSentinels},
};

use crate::support::{SOON, Server, run, run_in};

const PAGE: &str = include_str!("../../../../docs/troubleshooting.md");

/// Where nobody answers.
const POSTGRES: (&str, &str) = ("DATABASE_URL", "postgres://starling@127.0.0.1:1/starling");
/// Neither here.
const REDIS: (&str, &str) = ("REDIS_URL", "redis://127.0.0.1:1");

const SECRET: (&str, &str) = ("STARLING_JWT_SECRET", "0123456789abcdef0123456789abcdef");
const PREVIOUS: &str = "STARLING_JWT_SECRETS_PREVIOUS";
/// What the secret was before.
const OLD: &str = "an old secret of thirty-two bytes";
/// What it was before that.
const OLDER: &str = "an older secret of over 32 bytes.";

/// What lies in the folder that the binary starts in.
const FILES: [(&str, &str); 5] = [
    ("a.toml", "listn = \"127.0.0.1:8080\"\n"),
    ("b.toml", "listen = 8080\n"),
    ("c.toml", "listen = \"127.0.0.1:8080\n"),
    ("d.toml", "[server]\nlisten = \"127.0.0.1:8080\"\n"),
    ("no-key.pem", "this is no key\n"),
];

/// Has `openssl` make a certificate that nobody vouches for but its own key, and that is no authority's.
const CERTIFICATE: &str = "\
    [req]\ndistinguished_name = name\nx509_extensions = server\n\
    [name]\n\
    [server]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost\n";

/// The lines of a block in the section on mistakes, by its place there.
fn quoted(place: usize) -> Vec<&'static str> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with("Configuration mistakes\n")).unwrap();
    // Fences divide it into texts and blocks by turns; what is left of the fence itself is a block's first line.
    let block = section.split("\n```").skip(1).step_by(2).nth(place).unwrap();
    block.lines().skip(1).collect()
}

/// Each line of the page was made exactly once, and nothing was made that is not there. `made`: by what, and the line.
fn compare(page: &[String], made: &[(String, String)]) {
    let mut wrong = Vec::new();
    for line in page {
        let by: Vec<_> = made.iter().filter(|(_, said)| said == line).map(|(by, _)| by).collect();
        if by.len() != 1 {
            wrong.push(format!("made {} times, by {by:?}: {line}", by.len()));
        }
    }
    for (by, said) in made.iter().filter(|(_, said)| !page.contains(said)) {
        wrong.push(format!("made by {by}, and not on the page: {said}"));
    }
    assert!(wrong.is_empty(), "docs/troubleshooting.md and the binary differ:\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_configuration_mistake_on_the_page_gives_the_line_that_it_quotes() {
    let home = temp_dir("mistakes").unwrap();
    for (name, text) in FILES {
        fs::write(home.path().join(name), text).unwrap();
    }
    let broken = home.path().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("secret"), "short").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(&["serve"], &[], false).await;
    let (taken, used) = (taken.local_addr().unwrap().to_string(), server.home.path().join(".local/share/starling"));
    let (taken, used, broken) = (taken.as_str(), used.to_str().unwrap(), broken.to_str().unwrap());
    // What this run has of its own, and what it is called on the page.
    let own = [(taken, "127.0.0.1:8080"), (used, "/var/lib/starling"), (broken, "/var/lib/starling")];

    let (open_ended, too_short) = ([OLD, ""].join(","), [OLD, "shorter"].join(","));
    let (twice, itself) = ([OLD, OLDER, OLD].join(","), [OLD, SECRET.1].join(","));

    let mut made = Vec::new();
    for (command, env) in [
        ("serve", &[("STARLING_LISSTEN", "127.0.0.1:8080")][..]),
        ("serve", &[("STARLING_LISTEN", "8080")]),
        ("serve", &[("STARLING_LISTEN", taken)]),
        ("serve", &[("STARLING_LISTEN", "10.99.99.99:80")]),
        ("serve", &[("STARLING_LISTEN", "no-such-host.invalid:80")]),
        ("gateway", &[]),
        ("serve", &[POSTGRES]),
        ("serve", &[("DATABASE_URL", "mysql://db/starling"), REDIS]),
        ("serve", &[("DATABASE_URL", "sqlite:starling.db")]),
        ("serve", &[("DATABASE_URL", "postgres://starling@db:port/starling"), REDIS]),
        ("serve", &[POSTGRES, ("REDIS_URL", "127.0.0.1:6379")]),
        ("serve", &[POSTGRES, ("REDIS_URL", "redis+sentinel://127.0.0.1:26379")]),
        ("serve", &[POSTGRES, REDIS]),
        ("serve", &[("STARLING_JWT_SECRET", "short")]),
        ("serve", &[POSTGRES, REDIS, ("STARLING_JWKS_FILE", "/nowhere.json"), ("STARLING_GUEST_SIGN_IN", "true")]),
        ("serve", &[(PREVIOUS, open_ended.as_str())]),
        ("serve", &[(PREVIOUS, too_short.as_str())]),
        ("serve", &[(PREVIOUS, twice.as_str())]),
        ("serve", &[SECRET, (PREVIOUS, itself.as_str())]),
        ("serve", &[("STARLING_JWKS_URL", "https://id.example/keys"), ("STARLING_JWKS_FILE", "/nowhere.json")]),
        ("serve", &[("STARLING_JWKS_FILE", "/nowhere.json")]),
        ("serve", &[("STARLING_JWT_PUBLIC_KEY_FILES", "/nowhere.pem")]),
        ("serve", &[("STARLING_JWT_PUBLIC_KEY_FILES", "no-key.pem")]),
        ("serve", &[("STARLING_ALLOWED_ORIGINS", "https://chat.example.com/")]),
        ("serve", &[("STARLING_ALLOWED_ORIGINS", "*,https://a.example")]),
        ("serve", &[("STARLING_PUBLIC_URL", "chat.example.com")]),
        ("serve", &[("STARLING_DRAIN_WINDOW", "30")]),
        ("serve", &[("STARLING_MAX_FRAME", "64KB")]),
        ("serve", &[("STARLING_GUEST_SIGN_IN", "yes")]),
        ("serve", &[("STARLING_DATABASE_CONNECTIONS", "0")]),
        ("serve", &[("STARLING_LOG", "loud")]),
        ("serve", &[("STARLING_LOG_FORMAT", "text")]),
        ("serve", &[("STARLING_TRACE_SAMPLE", "10")]),
        ("serve", &[("STARLING_CONFIG", "/nowhere.toml")]),
        ("serve", &[("STARLING_CONFIG", "c.toml")]),
        ("serve", &[("STARLING_CONFIG", "a.toml")]),
        ("serve", &[("STARLING_CONFIG", "d.toml")]),
        ("serve", &[("STARLING_CONFIG", "b.toml")]),
        ("serve", &[("STARLING_DATA_DIR", used)]),
        ("serve", &[("STARLING_DATA_DIR", broken)]),
    ] {
        // A port that nobody has, unless the mistake names one: who comes later in the environment counts.
        let env = [&[("STARLING_LISTEN", "127.0.0.1:0")][..], env].concat();
        let ended = run_in(home.path(), &[command], &env).await;
        assert!(ended.code == Some(2) && ended.stdout.is_empty(), "{command} {env:?}: {ended:?}");
        let line = own.iter().fold(ended.stderr.trim_end().to_owned(), |line, (ours, page)| line.replace(ours, page));
        made.push((format!("{command} {env:?}"), line));
    }
    let page: Vec<_> = quoted(0).into_iter().map(ToOwned::to_owned).collect();
    compare(&page, &made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_check_on_the_page_is_what_a_check_says() {
    let dir = temp_dir("certificate").unwrap();
    let (hasty, primary) = tokio::join!(PrivatePostgres::start(), PrivatePostgres::start_with(&["fsync=on"]));
    let (hasty, primary) = (hasty.unwrap(), primary.unwrap());
    let _standby = primary.standby().await.unwrap();
    // Division by zero until it is there.
    let follows = "SELECT 1 / count(*) FROM pg_stat_replication";
    eventually("the standby follows", SOON, async || primary.run(follows).await).await;
    let forgetful = Redis::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]).await.unwrap();
    let silent = Redis::start_with(&["--rename-command", "CONFIG", ""]).await.unwrap();
    let locked = Redis::start_with(&["--requirepass", "right"]).await.unwrap();
    let (_strange, strange_port) = strange_redis(dir.path()).await;
    let (hasty, primary, forgetful, silent) = (hasty.url(), primary.url(), forgetful.url(), silent.url());
    let wrong_password = format!("redis://:wrong@127.0.0.1:{}", locked.port());
    let strange = format!("rediss://localhost:{strange_port}");

    let mut watched = RedisSentinels::start().await.unwrap();
    for place in [1, 2] {
        watched.kill_sentinel(place).unwrap();
    }
    // Of the three this names the one that is left.
    let sentinels = watched.url().replace("redis+sentinel://", "");
    let sentinels = format!("redis+sentinel://{}/main", sentinels.split([',', '/']).next().unwrap());
    // It takes the one that is left a moment to see that the others are gone.
    eventually("no quorum is seen", SOON, async || {
        let said = check([POSTGRES, ("REDIS_URL", &sentinels), SECRET]).await;
        said.lines().any(|line| line.contains("1 usable")).then_some(()).ok_or(said)
    })
    .await;

    // One after the other: seven at once would be late with their answers, and say so.
    let (away, hasty, followed, strange, refused, alone, undecided) = (
        check([POSTGRES, REDIS, SECRET]).await,
        check([
            ("DATABASE_URL", &hasty),
            ("STARLING_DATABASE_CONNECTIONS", "1000"),
            ("REDIS_URL", &forgetful),
            ("STARLING_PUBLIC_URL", "http://chat.example.com"),
            SECRET,
        ])
        .await,
        check([("DATABASE_URL", &primary), ("REDIS_URL", &silent), ("STARLING_ALLOWED_ORIGINS", "*"), SECRET]).await,
        check([POSTGRES, ("REDIS_URL", &strange), SECRET]).await,
        check([POSTGRES, ("REDIS_URL", &wrong_password), SECRET]).await,
        check_with_few_files([SECRET, (PREVIOUS, OLD)]).await,
        check([POSTGRES, ("REDIS_URL", &sentinels), ("STARLING_OTLP_ENDPOINT", "http://localhost:1"), SECRET]).await,
    );
    let mut made = Vec::new();
    for (world, output, parts) in [
        ("neither answers", away, &["fail  store", "fail  bus"][..]),
        (
            "a hasty PostgreSQL and a Redis that forgets",
            hasty,
            &[
                "fail  store",
                "warn  database connections",
                "warn  durability",
                "warn  bus settings",
                "warn  public URL",
            ],
        ),
        (
            "a PostgreSQL with a standby and a Redis without CONFIG",
            followed,
            &["warn  durability", "warn  bus settings", "warn  origins"],
        ),
        ("a Redis of an unknown authority", strange, &["fail  bus"]),
        ("a wrong password for Redis", refused, &["fail  bus", "warn  origins"]),
        ("an embedded server with few files", alone, &["warn  open files", "warn  previous secrets"]),
        ("one Sentinel of three, and no collector", undecided, &["warn  bus failover", "warn  traces"]),
    ] {
        for part in parts {
            let start = format!("{part}: ");
            let found: Vec<_> = output.lines().filter(|line| line.starts_with(&start)).collect();
            assert_eq!(found.len(), 1, "{world}: {part}: {output}");
            made.push((format!("{world}: {part}"), without_figures(found[0])));
        }
    }
    let page: Vec<_> = quoted(1).into_iter().map(without_figures).collect();
    compare(&page, &made);
}

/// Figures are of the server, of the machine and of the moment: versions, ports, connections that are free.
fn without_figures(line: &str) -> String {
    line.split(|c: char| c.is_ascii_digit()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("#")
}

/// What a check with these settings prints.
async fn check<const N: usize>(env: [(&str, &str); N]) -> String {
    run(&["check"], &env).await.stdout
}

/// The same where the system lets it open few files.
async fn check_with_few_files<const N: usize>(env: [(&str, &str); N]) -> String {
    let dir = temp_dir("few").unwrap();
    let ours = |name: &str| !name.starts_with("STARLING_") && !name.starts_with("XDG_") && !name.ends_with("_URL");
    let script = "ulimit -n 64 && exec \"$0\" check";
    let launch = Launch::new("sh").keep_env(ours).args(["-c", script, env!("CARGO_BIN_EXE_starling")]);
    let launch = launch.env("HOME", dir.path()).dir(dir.path());
    let launch = env.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    let mut process = launch.start("check", dir.path()).unwrap();
    process.wait(SOON).await.unwrap();
    process.output()
}

/// A Redis that answers over TLS too, at this port, with a certificate that nobody knows.
async fn strange_redis(dir: &Path) -> (Redis, u16) {
    fs::write(dir.join("conf"), CERTIFICATE).unwrap();
    let command = "req -x509 -config conf -newkey rsa:2048 -nodes -days 2 -subj /CN=strange -keyout key -out pem";
    let made = Command::new("openssl").args(command.split(' ')).current_dir(dir).output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (key, pem, port) = (file("key"), file("pem"), free_port().unwrap());
    let text = port.to_string();
    let options = ["--tls-port", &text, "--tls-key-file", &key, "--tls-cert-file", &pem, "--tls-ca-cert-file", &pem];
    let redis = Redis::start_with(&[&options[..], &["--tls-auth-clients", "no"]].concat()).await;
    (redis.unwrap(), port)
}
