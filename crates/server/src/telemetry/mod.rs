//! Logs to stderr, and traces to a collector when one is configured.
//!
//! A collector that is away or silent costs spans, never requests: what waits for it is bounded, and beyond it spans are
//! dropped and counted.

mod counted;
mod sampler;

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    trace::{SdkTracerProvider, SpanExporter as _},
};
use tracing::Dispatch;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub(crate) use self::counted::Spans;
use self::sampler::OwnShare;
use crate::{
    Failure,
    config::{LogFormat, Settings},
};

/// A dead collector makes the SDK log an error per batch; that it is dead, the operator sees there.
const QUIET: &str = "opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,opentelemetry-http=off";

/// Parts of libraries that log, below `info`, what goes through them: what people say, and what proves who they are.
/// Whatever is asked for, that is in no log.
const TALKATIVE: [&str; 4] = ["tungstenite", "tokio_tungstenite", "hyper_util", "h2"];

/// How long the collector may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// How long the last spans may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(1);

/// Ends the export with [`Telemetry::shutdown`].
pub struct Telemetry {
    traces: Option<(SdkTracerProvider, Arc<Spans>)>,
}

impl Telemetry {
    /// Starts logging for the whole process. Call it outside a tokio runtime: the exporter has a thread of its own.
    pub fn start(settings: &Settings) -> Result<Self, Failure> {
        let traces = settings.otlp_endpoint.as_ref().map(|url| provider(url, settings.trace_sample)).transpose()?;
        let provider = traces.as_ref().map(|(provider, _)| provider);
        // Set already when a test starts several servers in one process.
        let _ = dispatch(&settings.log, settings.log_format, provider)?.try_init();
        Ok(Self { traces })
    }

    /// What became of the spans, where they are exported.
    pub(crate) fn spans(&self) -> Option<Arc<Spans>> {
        self.traces.as_ref().map(|(_, spans)| Arc::clone(spans))
    }

    /// Sends the last spans, within a second. Blocks: call it outside the runtime.
    pub fn shutdown(self) {
        if let Some((provider, _)) = self.traces {
            let _ = provider.shutdown_with_timeout(FLUSH);
        }
    }
}

/// What takes log lines and spans.
fn dispatch(log: &str, format: LogFormat, traces: Option<&SdkTracerProvider>) -> Result<Dispatch, Failure> {
    let quiet = if log.contains("opentelemetry") { String::new() } else { format!(",{QUIET}") };
    // Of spans that are for the collector alone the log shows nothing; without a collector they are then disabled.
    let filter = EnvFilter::try_new(format!("{log}{quiet},{}=off", traces::TARGET))
        .map_err(|error| Failure::configuration("STARLING_LOG", error, "write a level such as info"))?;
    let discreet = TALKATIVE.map(|part| (part, LevelFilter::INFO));
    let filter = filter.and(Targets::new().with_default(LevelFilter::TRACE).with_targets(discreet));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let lines = tracing_subscriber::registry().with(lines);
    // Not a layer that is none: beside one, what the filter turns off is still made, for nobody.
    let Some(provider) = traces else { return Ok(lines.into()) };
    // Where in the source, and on which thread, is of no use to who reads a trace, and half of its bytes.
    let spans = tracing_opentelemetry::layer().with_location(false).with_threads(false).with_target(false);
    // Only what this code opens at `info`: the exporter's own HTTP client must not trace itself.
    let ours = Targets::new().with_default(LevelFilter::INFO);
    Ok(lines.with(spans.with_tracer(provider.tracer("starling")).with_filter(ours)).into())
}

/// Hands the collector no spans at all, as it is handed spans: why it does not take them, if so. Blocks, for as long as
/// [`ANSWER`]: call it outside the runtime.
pub(crate) fn try_collector(endpoint: &reqwest::Url) -> Result<(), String> {
    let exporter = exporter(endpoint).map_err(|failure| failure.to_string())?;
    // A client that blocks has its answer when it is first asked.
    let said = exporter.export(Vec::new()).now_or_never();
    said.unwrap_or(Err(OTelSdkError::Timeout(ANSWER))).map_err(|error| error.to_string())
}

fn exporter(endpoint: &reqwest::Url) -> Result<SpanExporter, Failure> {
    let mut endpoint = endpoint.clone();
    if endpoint.path() == "/" {
        endpoint.set_path("/v1/traces");
    }
    SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_timeout(ANSWER)
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| Failure::configuration("STARLING_OTLP_ENDPOINT", error, "name a collector of OTLP over HTTP"))
}

fn provider(endpoint: &reqwest::Url, share: f64) -> Result<(SdkTracerProvider, Arc<Spans>), Failure> {
    let (processor, spans) = counted::processor(exporter(endpoint)?);
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(OwnShare(share))
        .with_resource(Resource::builder().with_service_name("starling").build())
        .build();
    Ok((provider, spans))
}

#[cfg(test)]
mod tests {
    use traces::{Context, TARGET};
    use tracing::{dispatcher::with_default, info_span};

    use super::*;

    fn with(traces: Option<&SdkTracerProvider>, work: impl FnOnce()) {
        with_default(&dispatch("trace", LogFormat::Pretty, traces).unwrap(), work);
    }

    // One test: what a span costs is remembered for the whole process, of all that take spans at that time.
    #[test]
    fn without_a_collector_its_spans_are_disabled_and_with_one_they_go_on_where_they_are_told_to() {
        with(None, || {
            let span = info_span!(target: TARGET, "for the collector");
            assert!(span.is_disabled());
            assert_eq!(Context::of(&span), None);
            let span = info_span!("for the log too");
            assert!(!span.is_disabled());
            assert_eq!(Context::of(&span), None);
        });
        let caller = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let caller = Context::of_caller([&caller[..]]).unwrap();
        for (share, recorded) in [(1.0, true), (0.0, false)] {
            let provider = SdkTracerProvider::builder().with_sampler(OwnShare(share)).build();
            with(Some(&provider), || {
                let span = info_span!(target: TARGET, "a call");
                traces::continues(&span, caller);
                let context = Context::of(&span);
                assert_eq!(context.is_some(), recorded);
                let trace = |context: Context| context.to_bytes()[..16].to_vec();
                assert!(context.is_none_or(|context| trace(context) == trace(caller)));
                // What is inside of it is a part of it.
                let inner = span.in_scope(|| Context::of(&info_span!(target: TARGET, "inside")));
                assert_eq!(inner.map(trace), context.map(trace));
            });
        }
    }
}
