//! The harness itself: what the other tests take for granted.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use starling_tests::{
    client::{Rest, SOON},
    nginx::Nginx,
    process::{Launch, eventually, free_port, temp_dir},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// A server that answers every request with its name.
async fn named(name: &'static str) -> (String, JoinHandle<()>) {
    named_at("127.0.0.1:0", name).await
}

async fn named_at(address: &str, name: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let body = format!("{name:?}");
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    };
    (address, tokio::spawn(serve))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_balancer_sends_sockets_to_gateways_and_the_rest_to_apis_and_can_be_told_anew() {
    let ((gateway, _), (api, one), (other, _)) = (named("gateway").await, named("api").await, named("other").await);
    let mut nginx = Nginx::start(&[&gateway], &[&api]).await.unwrap();
    let rest = Rest::new(&nginx.url(), None).unwrap();
    assert_eq!(rest.get("events").await.unwrap().body, "gateway");
    assert_eq!(rest.get("me").await.unwrap().body, "api");
    nginx.route(&[&gateway], &[&other]).await.unwrap();
    // A connection that is kept may still be served by a worker of the old configuration.
    let rest = Rest::new(&nginx.url(), None).unwrap();
    for _ in 0..10 {
        assert_eq!(rest.get("me").await.unwrap().body, "other", "{}", nginx.log());
    }
    nginx.route(&[], &[&api, &other]).await.unwrap();
    let rest = Rest::new(&nginx.url(), None).unwrap();
    assert_eq!(rest.get("events").await.unwrap().problem().unwrap(), (503, "unavailable".into()));
    // A node that is gone is left out.
    one.abort();
    let _ = one.await;
    for _ in 0..10 {
        assert_eq!(rest.get("me").await.unwrap().body, "other", "{}", nginx.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_balancer_asks_an_api_node_that_is_just_back_before_it_says_that_nobody_answers() {
    // Ports that nobody is given while one of them is away.
    let port = || format!("127.0.0.1:{}", free_port().unwrap());
    let ((api, one), (other, two)) = (named_at(&port(), "api").await, named_at(&port(), "other").await);
    let gone = port();
    // The last one, to which it comes after four tries: with the tries of sockets it would not.
    let nginx = Nginx::start(&[], &[&gone, &other, &api]).await.unwrap();
    // By connections of their own, so that each worker gets some.
    let all_say = async |name: &str| {
        for _ in 0..20 {
            let answer = Rest::new(&nginx.url(), None).unwrap().get("me").await.unwrap();
            assert_eq!(answer.body, name, "{}", nginx.log());
        }
    };
    one.abort();
    let _ = one.await;
    all_say("other").await;
    let _one = named_at(&api, "api").await;
    two.abort();
    let _ = two.await;
    all_say("api").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_balancer_sends_a_post_once_that_a_node_may_have_done() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // Reads what it is asked, and goes without a word.
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let read = socket.read(&mut [0; 4096]).await.unwrap_or_default();
            count.fetch_add(usize::from(read > 0), Ordering::Relaxed);
        }
    });
    let nginx = Nginx::start(&[], &[&address]).await.unwrap();
    let rest = Rest::new(&nginx.url(), None).unwrap();
    let answer = rest.post("conversations", serde_json::json!({})).await.unwrap();
    assert_eq!((answer.problem().unwrap(), asked.load(Ordering::Relaxed)), ((503, "unavailable".into()), 1));
}

#[tokio::test]
async fn a_child_is_logged_and_ends_as_it_is_told() {
    let dir = temp_dir("harness").unwrap();
    let script = "echo out; echo log >&2; echo $SECRET; trap 'exit 7' TERM; while :; do sleep 0.05; done";
    let launch = Launch::new("sh").args(["-c", script]).env("SECRET", "told");
    let mut child = launch.start("child", dir.path()).unwrap();
    eventually("the child prints", SOON, async || match child.output() {
        output if output == "out\ntold\n" => Ok(()),
        output => Err(output),
    })
    .await;
    child.signal(Signal::SIGTERM).unwrap();
    assert_eq!(child.wait(SOON).await.unwrap().code(), Some(7));
    assert!(child.log().starts_with("log\n"), "{}", child.log());
    assert!(child.check_running().unwrap_err().to_string().contains("exit code 7"));
}

#[tokio::test]
#[should_panic(expected = "the moon falls; seen so far: \"it is up\"")]
async fn a_wait_that_fails_says_what_it_saw() {
    eventually("the moon falls", Duration::from_millis(30), async || Err::<(), _>("it is up")).await;
}
