//! What every answer has, whatever the route.

use api::ApiConfig;
use axum::body::Body;
use http::{HeaderValue, header};
use serde_json::{Value, json};
use store::Store;
use tower::ServiceExt;

use crate::support::{Server, auth, request};

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let server = Server::start().await;
    let mut given = request("GET /v1/me");
    given.headers_mut().insert("x-request-id", HeaderValue::from_static("trace-7"));
    assert_eq!(server.send(given).await.refused(401, "not_authenticated")["request_id"], "trace-7");
    let answer = server.get("", "/v1/openapi.json").await;
    assert_eq!(answer.headers["x-request-id"].len(), 36);
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_others_may_not() {
    let config = ApiConfig { cors_origins: vec!["https://app.example".into()], ..ApiConfig::default() };
    let server = Server::with(auth(), config).await;
    let ask = async |origin: &'static str| {
        let mut preflight = request("OPTIONS /v1/conversations");
        let headers = preflight.headers_mut();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        server.send(preflight).await
    };
    let allowed = ask("https://app.example").await;
    assert_eq!(allowed.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
    let named = allowed.headers[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
    assert!(["authorization", "content-type", "idempotency-key"].iter().all(|name| named.contains(name)));
    for other in ["https://evil.example", "https://app.example.evil", "null"] {
        assert!(!ask(other).await.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }
    // A refusal can be read by the page as well.
    let mut refused = request("GET /v1/me");
    refused.headers_mut().insert(header::ORIGIN, HeaderValue::from_static("https://app.example"));
    let answer = server.send(refused).await;
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
    answer.refused(401, "not_authenticated");
}

#[tokio::test]
async fn an_unchanged_list_is_not_sent_again() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    let poll = async |tag: Option<&HeaderValue>| {
        let mut request = request("GET /v1/conversations");
        request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        if let Some(tag) = tag {
            request.headers_mut().insert(header::IF_NONE_MATCH, tag.clone());
        }
        server.send(request).await
    };
    let first = poll(None).await;
    let tag = first.headers[header::ETAG].clone();
    assert_eq!(poll(Some(&tag)).await.status, 304);
    server.group(&token, &[]).await;
    assert_eq!(poll(Some(&tag)).await.status, 200);
}

#[tokio::test]
async fn the_page_of_documents_needs_nothing_from_elsewhere() {
    let server = Server::start().await;
    for (path, kind) in [("", "text/html"), ("/docs.js", "text/javascript"), ("/docs.css", "text/css")] {
        let answer = server.get("", &format!("/v1/docs{path}")).await;
        assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{path}");
        assert!(answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
        let text = answer.expect(200);
        let text = text.as_str().unwrap();
        for elsewhere in ["http:", "https:", "src=\"//", "@import", "url("] {
            assert!(!text.contains(elsewhere), "{path} has {elsewhere}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_out_of_reach_is_503_with_a_time_to_try_again() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    let group = server.group(&token, &[]).await;
    server.store.close().await;
    let lines = [
        ("GET /v1/conversations".to_owned(), Value::Null),
        (format!("POST /v1/conversations/{group}/messages"), json!({"content": "hello", "client_id": "1"})),
        ("POST /v1/auth/guest".to_owned(), json!({"username": "bob"})),
    ];
    for (line, body) in lines {
        let answer = server.call(&token, &line, body).await;
        assert_eq!(answer.headers[header::RETRY_AFTER], "1", "{line}");
        let refused = answer.refused(503, "unavailable");
        assert_eq!(refused["retry_after_ms"], 1_000);
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let config = ApiConfig { request_timeout: std::time::Duration::from_millis(100), ..ApiConfig::default() };
    let server = Server::with(auth(), config).await;
    let mut slow = request("POST /v1/auth/guest");
    slow.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // A body whose end never comes: the sender of the channel outlives the request.
    *slow.body_mut() = Body::from_stream(tokio_stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    server.send(slow).await.refused(503, "timeout");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let server = Server::start().await;
    let (token, id) = server.guest("ann").await;
    server.get(&token, &format!("/v1/users/{id}")).await.expect(200);
    server.get(&token, "/v1/what/ever").await.refused(404, "no_such_route");
    let text = prometheus::TextEncoder::new().encode_to_string(&server.registry.gather()).unwrap();
    for line in [
        r#"starling_http_requests_total{method="GET",route="/v1/users/{id}",status="200"} 1"#,
        r#"starling_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"starling_http_request_seconds_count{route="/v1/users/{id}"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn it_shares_a_server_with_sockets_and_a_page() {
    let api = Server::start().await.router();
    let sockets = axum::Router::new().route("/v1/ws", axum::routing::get(|| async { "socket" }));
    let merged = api.merge(sockets).fallback(|| async { "page" });
    let get = async |path: &str| {
        let response = merged.clone().oneshot(request(&format!("GET {path}"))).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 100_000).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(get("/v1/ws").await, (200, "socket".into()));
    assert_eq!(get("/").await, (200, "page".into()));
    assert_eq!(get("/conversations").await, (200, "page".into()));
    assert_eq!(get("/v1/nope").await.0, 404);
}
