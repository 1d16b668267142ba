//! TLS, to one server, to a Sentinel and the master that it names, and in a cluster: only a known authority is trusted.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use bus::{
    Bus, BusError, BusStatus,
    redis::{RedisBus, RedisConfig},
};
use starling_tests::{
    conformance::bus::{Ear, topic, up},
    process::{Launch, eventually, free_port, temp_dir},
    redis::Redis,
};

use crate::{config, recovered, whole};

/// A server with a TLS port beside the other, and the folder of its certificates.
async fn server(dir: &Path, more: &[&str]) -> (Redis, u16) {
    certificates(dir);
    let (port, options) = (free_port().unwrap(), options(dir));
    let text = port.to_string();
    let options: Vec<&str> = options.iter().map(String::as_str).chain(["--tls-port", &text]).collect();
    (Redis::start_with(&[&options[..], more].concat()).await.unwrap(), port)
}

fn options(dir: &Path) -> Vec<String> {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    [
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("ca.pem")),
        ("--tls-auth-clients", "no".into()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect()
}

/// Who trusts the authority works; who does not is out of reach of everything.
async fn only_a_known_authority_is_trusted(url: String, dir: &Path) {
    let config = RedisConfig {
        ca_certificates: Some(std::fs::read(dir.join("ca.pem")).unwrap()),
        command_timeout: Duration::from_secs(3),
        ..config(url)
    };
    let trusting: Arc<dyn Bus> = Arc::new(RedisBus::start(config.clone()).unwrap());
    let topics = [topic(), topic()];
    let mut ear = Ear::of(&trusting);
    trusting.subscribe(&topics).await.unwrap();
    recovered(&trusting, &mut ear, &trusting, &topics).await;
    assert!(trusting.ping().await.is_ok());
    trusting.reconnect();
    recovered(&trusting, &mut ear, &trusting, &topics).await;
    up(&trusting).await;
    whole(&mut ear, &trusting, &topics).await;

    let wary = RedisBus::start(RedisConfig { ca_certificates: None, ..config }).unwrap();
    assert!(matches!(wary.ping().await, Err(BusError::Unavailable(_))));
    assert_eq!(*wary.status().borrow(), BusStatus::Down);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_one_server() {
    let dir = temp_dir("tls").unwrap();
    let (_server, port) = server(dir.path(), &[]).await;
    only_a_known_authority_is_trusted(format!("rediss://localhost:{port}"), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_sentinel_and_its_master() {
    let dir = temp_dir("tls").unwrap();
    let (_server, master) = server(dir.path(), &[]).await;
    let port = free_port().unwrap();
    let mut lines = vec![
        "port 0".to_owned(),
        "bind 127.0.0.1".into(),
        format!("tls-port {port}"),
        "tls-replication yes".into(),
        format!("dir {}", dir.path().display()),
        format!("sentinel monitor main 127.0.0.1 {master} 1"),
    ];
    lines.extend(options(dir.path()).chunks(2).map(|option| format!("{} {}", option[0].trim_matches('-'), option[1])));
    let file = dir.path().join("sentinel.conf");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let sentinel = Launch::new("redis-server").arg(&file).arg("--sentinel").start("sentinel", dir.path()).unwrap();
    eventually("the Sentinel listens", crate::FAILOVER, async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(drop).map_err(|_| sentinel.log_tail())
    })
    .await;
    only_a_known_authority_is_trusted(format!("rediss+sentinel://localhost:{port}/main"), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster() {
    let (dir, bus) = (temp_dir("tls").unwrap(), free_port().unwrap().to_string());
    let more = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--tls-cluster", "yes"];
    let (server, port) = server(dir.path(), &more).await;
    let mut admin = server.connection().await.unwrap();
    redis::cmd("CLUSTER").arg(&["ADDSLOTSRANGE", "0", "16383"]).query_async::<()>(&mut admin).await.unwrap();
    eventually("the cluster works", crate::FAILOVER, async || {
        let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut admin).await.unwrap();
        if info.contains("cluster_state:ok") { Ok(()) } else { Err(info) }
    })
    .await;
    only_a_known_authority_is_trusted(format!("rediss+cluster://localhost:{port}"), dir.path()).await;
}

/// An authority, and a server for this machine that it vouches for.
fn certificates(dir: &Path) {
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    for command in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    ] {
        let made = Command::new("openssl").args(command.split(' ')).current_dir(dir).output();
        let made = made.expect("openssl is installed (scripts/install-deps)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
