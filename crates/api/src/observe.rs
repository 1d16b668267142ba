//! The outermost layer: each request gets an id, a span and its place in the metrics, and each refusal its request
//! id and, when it is a defect, its one line in the log; an outage is one line, and one when it is over. Query strings,
//! headers and bodies are never logged. A caller's trace goes on in the span; whether it is recorded is not the caller's to
//! say.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use chat::Outage;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use protocol::ErrorCode;
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use crate::error::{Failure, render};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where the caller's trace goes on (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest request id that is taken from a client, characters.
const REQUEST_ID_MAX: usize = 64;
/// The route of requests that match none, so that a scanner does not make a metric per path.
const UNMATCHED: &str = "unmatched";

/// What cannot be served for a while, and comes back: `starling_http_requests_total` counts each.
const OUTAGES: [ErrorCode; 3] = [ErrorCode::Unavailable, ErrorCode::Timeout, ErrorCode::Overloaded];
/// One of them is over when nothing has failed for so long: some requests need little, and are served all the while.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// In the order of [`OUTAGES`].
    outages: Arc<[Outage; OUTAGES.len()]>,
}

impl Metrics {
    /// Registers them; `routes` are methods and paths.
    pub(crate) fn register(registry: &Registry, routes: &[(&'static str, String)]) -> Result<Self, String> {
        let made = || -> prometheus::Result<Self> {
            let requests = IntCounterVec::new(
                Opts::new("starling_http_requests_total", "REST requests answered."),
                &["method", "route", "status"],
            )?;
            let seconds = HistogramVec::new(
                HistogramOpts::new("starling_http_request_seconds", "Time from a REST request to its answer."),
                &["route"],
            )?;
            registry.register(Box::new(requests.clone()))?;
            registry.register(Box::new(seconds.clone()))?;
            // A rate begins with the second value: it would not see the first of what is rare.
            for (method, route) in routes.iter().map(|(method, route)| (*method, route.as_str())) {
                for status in ["500", "503"] {
                    drop(requests.with_label_values(&[method, route, status]));
                }
            }
            let outages = Arc::new(OUTAGES.map(|_| Outage::new(QUIET)));
            Ok(Self { requests, seconds, outages })
        };
        made().map_err(|e| format!("the REST metrics cannot be registered: {e}"))
    }
}

pub(crate) async fn observe(metrics: Metrics, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = method_label(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(UNMATCHED, MatchedPath::as_str);
    let route = if route.ends_with(crate::routes::CATCH_ALL) { UNMATCHED } else { route }.to_owned();
    let span =
        tracing::info_span!("request", method, route, request.id = id, user.id = field::Empty, status = field::Empty);
    if let Some(caller) =
        traces::Context::of_caller(request.headers().get_all(TRACEPARENT).iter().map(HeaderValue::as_bytes))
    {
        traces::continues(&span, caller);
    }
    let response = next.run(request).instrument(span.clone()).await;
    let response = span.in_scope(|| finish(&metrics, response, &id));
    let status = response.status();
    span.record("status", status.as_u16());
    metrics.requests.with_label_values(&[method, &route, status.as_str()]).inc();
    metrics.seconds.with_label_values(&[&route]).observe(started.elapsed().as_secs_f64());
    span.in_scope(|| tracing::debug!(elapsed_ms = started.elapsed().as_millis() as u64, "answered"));
    response
}

/// Puts the request's id into a refusal, logs what is our fault, and adds the headers that every answer has.
fn finish(metrics: &Metrics, mut response: Response, id: &str) -> Response {
    if !response.status().is_server_error() {
        metrics.served();
    }
    if let Some(mut failure) = response.extensions_mut().remove::<Failure>() {
        metrics.log(&failure);
        failure.problem.request_id = Some(id.to_owned());
        let full = render(&failure.problem);
        // CORS and `Allow` were set on the first rendering: only the body and its length are exchanged.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = full.into_body();
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Metrics {
    fn log(&self, failure: &Failure) {
        let (code, cause) = (failure.problem.code.as_str(), failure.cause.as_deref().unwrap_or("none"));
        Span::current().record("status", failure.problem.status);
        let outage = OUTAGES.iter().position(|outage| *outage == failure.problem.code);
        if failure.problem.code == ErrorCode::Internal {
            tracing::error!(code, cause, "a request failed");
        } else if outage.is_some_and(|place| self.outages[place].failed()) {
            tracing::warn!(code, cause, "requests are not served now; clients are told to try again");
        } else {
            tracing::debug!(code, cause, "a request was refused");
        }
    }

    /// A request was served.
    fn served(&self) {
        for (code, outage) in OUTAGES.iter().zip(&*self.outages) {
            if let Some(failures) = outage.worked() {
                tracing::info!(code = code.as_str(), failures, "requests are served again");
            }
        }
    }
}

/// The client's id where it is a sane one, so that its log and ours can be laid side by side; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
    });
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Methods are made up by clients; metrics have a few.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_request_id_is_kept_and_any_other_replaced() {
        let read =
            |value: &'static str| request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(value))]));
        assert_eq!(read("trace-1.a_B"), "trace-1.a_B");
        for bad in ["", "a b", "a\"b", "0123456789012345678901234567890123456789012345678901234567890123456789"] {
            assert!(Uuid::parse_str(&read(bad)).is_ok(), "{bad}");
        }
    }
}
