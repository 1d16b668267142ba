//! A collector of traces: takes OTLP over HTTP and keeps what it is sent. Or one that is of no use.

use std::{collections::BTreeMap, fmt::Write as _, future::pending, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::process::eventually;

/// How long spans may take to get here, on a busy machine: they are sent five times a second in these tests.
const SOON: Duration = Duration::from_secs(30);

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes everything.
    Takes,
    /// Says 503.
    Refuses,
    /// Says nothing, ever.
    Silent,
}

/// A listening collector; it ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Traced>>>,
    task: JoinHandle<()>,
}

/// A span that was exported.
#[derive(Debug, Clone, PartialEq)]
pub struct Traced {
    /// Its trace, 32 digits.
    pub trace: String,
    /// Its id, 16 digits.
    pub id: String,
    /// The span above it.
    pub parent: Option<String>,
    /// What it is.
    pub name: String,
    /// Its fields, as text.
    pub fields: BTreeMap<String, String>,
    /// Trace and span of its links.
    pub links: Vec<(String, String)>,
    /// When it began and ended, nanoseconds since 1970.
    pub time: (u64, u64),
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Result<Self> {
        Self::that(Manner::Takes).await
    }

    /// One that answers so.
    pub async fn that(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let spans = Arc::<Mutex<Vec<Traced>>>::default();
        let kept = Arc::clone(&spans);
        let take = post(move |body: Bytes| take(manner, kept, body));
        let app = Router::new().route("/v1/traces", take);
        let task = tokio::spawn(async move {
            // It listens until it is dropped.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, spans, task })
    }

    /// For `STARLING_OTLP_ENDPOINT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything so far.
    pub fn spans(&self) -> Vec<Traced> {
        self.spans.lock().clone()
    }

    /// Those of one trace so far.
    pub fn trace(&self, trace: &str) -> Vec<Traced> {
        self.spans.lock().iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// Waits until what is there is what one looks for, and panics with all of it when it does not come.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&[Traced]) -> Option<T>) -> T {
        eventually(what, SOON, async || {
            let spans = self.spans();
            look(&spans).ok_or(spans)
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(manner: Manner, kept: Arc<Mutex<Vec<Traced>>>, body: Bytes) -> StatusCode {
    match manner {
        Manner::Silent => pending().await,
        Manner::Refuses => StatusCode::SERVICE_UNAVAILABLE,
        Manner::Takes => {
            let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            kept.lock().extend(scopes.flat_map(|scope| scope.spans).map(Traced::from));
            StatusCode::OK
        }
    }
}

impl Traced {
    /// One of its fields; empty when it has none of this name.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl From<Span> for Traced {
    fn from(span: Span) -> Self {
        Self {
            trace: digits(&span.trace_id),
            id: digits(&span.span_id),
            parent: (!span.parent_span_id.is_empty()).then(|| digits(&span.parent_span_id)),
            name: span.name,
            fields: span.attributes.into_iter().map(field).collect(),
            links: span.links.iter().map(|link| (digits(&link.trace_id), digits(&link.span_id))).collect(),
            time: (span.start_time_unix_nano, span.end_time_unix_nano),
        }
    }
}

fn digits(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn field(KeyValue { key, value, .. }: KeyValue) -> (String, String) {
    let text = match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    };
    (key, text)
}
