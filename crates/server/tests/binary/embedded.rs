//! `starling serve` with nothing configured.

use std::os::unix::fs::PermissionsExt as _;

use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::signal::Signal;
use reqwest::header;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::support::{SOON, Server, run_in};

#[tokio::test]
async fn nothing_configured_serves_the_page_rest_and_sockets_and_ends_with_0() {
    let server = Server::start(&["serve"], &[], false).await;
    assert!(server.url.starts_with("http://127.0.0.1:"));
    assert_eq!(server.process.output(), format!("listening on {}\n", server.url));

    let page = server.get("/").await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("connect-src 'self' ws: wss:"), "{policy}");
    let tag = page.headers()[header::ETAG].clone();
    assert!(page.text().await.unwrap().contains("Starling"));
    let again = reqwest::Client::new().get(&server.url).header(header::IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(server.get("/main.js").await.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");

    let document: serde_json::Value = server.get("/v1/openapi.json").await.json().await.unwrap();
    assert!(document["openapi"].is_string());
    let guest = reqwest::Client::new()
        .post(format!("{}/v1/auth/guest", server.url))
        .json(&serde_json::json!({ "username": "ada" }))
        .send()
        .await
        .unwrap();
    assert!(guest.status().is_success(), "{}", guest.text().await.unwrap());

    for missing in
        ["/nope", "/v1/nope", "/test/state.test.js", "/package.json", "/../Cargo.toml", "/readyz", "/metrics"]
    {
        let answer = server.get(missing).await;
        assert_eq!(answer.status(), 404, "{missing}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json", "{missing}");
    }
    server.ends_well().await;
}

#[tokio::test]
async fn the_page_may_open_a_socket_and_a_strangers_page_may_not() {
    let server = Server::start(&["serve"], &[], false).await;
    for (origin, refused) in [(server.url.clone(), false), ("https://evil.example".to_owned(), true)] {
        let mut request = format!("{}/v1/ws", server.url.replace("http", "ws")).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let (mut socket, _) = timeout(SOON, tokio_tungstenite::connect_async(request)).await.unwrap().unwrap();
        socket.send(Message::text(r#"{"type":"hello","token":"nonsense"}"#)).await.unwrap();
        let code = loop {
            match timeout(SOON, socket.next()).await.unwrap() {
                Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{origin}: {other:?}"),
            }
        };
        assert_eq!(code, if refused { 4503 } else { 4500 }, "{origin}");
    }
    server.ends_well().await;
}

#[tokio::test]
async fn a_second_process_on_the_data_folder_is_refused_and_the_first_goes_on() {
    let server = Server::start(&["serve"], &[], false).await;
    let data = server.home.path().join(".local/share/starling");
    let second = run_in(server.home.path(), &["serve", "--listen", "127.0.0.1:0"], &[]).await;
    assert_eq!(second.code, Some(2), "{second:?}");
    let wanted = format!("starling: STARLING_DATA_DIR: another process uses {}; ", data.display());
    assert!(second.stderr.starts_with(&wanted) && second.stderr.lines().count() == 1, "{second:?}");

    let secret = std::fs::metadata(data.join("secret")).unwrap();
    assert_eq!((secret.permissions().mode() & 0o777, secret.len()), (0o600, 64));
    assert!(data.join("attachments").is_dir());
    let check = run_in(server.home.path(), &["check"], &[]).await;
    assert!(check.code == Some(0) && check.stdout.contains("a server is running"), "{check:?}");
    let token = run_in(server.home.path(), &["token", "--sub", "42", "--username", "grace"], &[]).await.stdout;
    let me =
        reqwest::Client::new().get(format!("{}/v1/me", server.url)).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(me.json::<serde_json::Value>().await.unwrap()["username"], "grace");
    server.ends_well().await;
}

#[tokio::test]
async fn health_is_told_on_the_admin_listener() {
    let server = Server::start(&["serve"], &[], true).await;
    assert_eq!(server.admin_get("/healthz").await, (200, "ok\n".into()));
    server.becomes(200, "ready").await;
    let (_, body) = server.readyz().await;
    for part in ["store", "bus", "gateway"] {
        assert_eq!(body[part]["ok"], true, "{body}");
    }
    let (status, metrics) = server.admin_get("/metrics").await;
    assert_eq!(status, 200);
    for line in ["starling_build_info{role=\"serve\"", "starling_ready 1", "starling_store_up 1", "process_open_fds "] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
    assert_eq!(server.admin_get("/").await.0, 404);
    let admin = server.admin.clone().unwrap();
    let env = [("STARLING_ADMIN_LISTEN", admin.trim_start_matches("http://"))];
    let health = run_in(server.home.path(), &["healthcheck"], &env).await;
    assert!(health.code == Some(0) && health.stdout.contains("/readyz"), "{health:?}");
    let alive = run_in(server.home.path(), &["healthcheck", "--alive"], &env).await;
    assert!(alive.code == Some(0) && alive.stdout.contains("/healthz"), "{alive:?}");
    server.ends_well().await;
    for args in [&["healthcheck"][..], &["healthcheck", "--alive"]] {
        let gone = run_in(std::path::Path::new("/tmp"), args, &env).await;
        assert_eq!(gone.code, Some(1), "{gone:?}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&["serve", "--drain-window", "10m"], &[], true).await;
    let guest = reqwest::Client::new()
        .post(format!("{}/v1/auth/guest", server.url))
        .json(&serde_json::json!({ "username": "ada" }))
        .send()
        .await
        .unwrap();
    let token = guest.json::<serde_json::Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    let mut request = format!("{}/v1/ws", server.url.replace("http", "ws")).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let (_socket, _) = timeout(SOON, tokio_tungstenite::connect_async(request)).await.unwrap().unwrap();
    server.process.signal(Signal::SIGTERM).unwrap();
    server.becomes(503, "draining").await;
    server.process.signal(Signal::SIGTERM).unwrap();
    assert_eq!(server.process.wait(SOON).await.unwrap().code(), Some(143));
}

#[tokio::test]
async fn ctrl_c_ends_it_too() {
    let mut server = Server::start(&["serve"], &[], false).await;
    server.process.signal(Signal::SIGINT).unwrap();
    assert_eq!(server.process.wait(SOON).await.unwrap().code(), Some(0));
}
