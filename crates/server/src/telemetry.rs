//! Logs to stderr, and traces to a collector when one is configured.
//!
//! A collector that is away or silent costs spans, never requests: the queue is bounded and drops.

use std::{io::IsTerminal as _, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{RetryPolicy, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    Failure,
    config::{LogFormat, Settings},
};

/// A dead collector makes the SDK log an error per batch; that it is dead, the operator sees there.
const QUIET: &str = "opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,opentelemetry-http=off";

/// How long the last spans may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(1);

/// Ends the export with [`Telemetry::shutdown`].
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts logging for the whole process. Call it outside a tokio runtime: the exporter has a thread of its own.
    pub fn start(settings: &Settings) -> Result<Self, Failure> {
        let filter = if settings.log.contains("opentelemetry") {
            settings.log.clone()
        } else {
            format!("{},{QUIET}", settings.log)
        };
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| Failure::configuration("STARLING_LOG", error, "write a level such as info"))?;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match settings.log_format {
            LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        };
        let provider = settings.otlp_endpoint.as_ref().map(|url| provider(url, settings.trace_sample)).transpose()?;
        let spans = provider.as_ref().map(|provider| {
            // Only what this code opens at `info`: the exporter's own HTTP client must not trace itself.
            let ours = Targets::new().with_default(LevelFilter::INFO);
            tracing_opentelemetry::layer::<Registry>().with_tracer(provider.tracer("starling")).with_filter(ours)
        });
        // Set already when a test starts several servers in one process.
        let _ = tracing_subscriber::registry().with(spans).with(lines).try_init();
        Ok(Self { provider })
    }

    /// Sends the last spans, within a second. Blocks: call it outside the runtime.
    pub fn shutdown(self) {
        if let Some(provider) = self.provider {
            let _ = provider.shutdown_with_timeout(FLUSH);
        }
    }
}

fn provider(endpoint: &reqwest::Url, sample: f64) -> Result<SdkTracerProvider, Failure> {
    let mut endpoint = endpoint.clone();
    if endpoint.path() == "/" {
        endpoint.set_path("/v1/traces");
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_secs(3))
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| {
            Failure::configuration("STARLING_OTLP_ENDPOINT", error, "name a collector of OTLP over HTTP")
        })?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample))))
        .with_resource(Resource::builder().with_service_name("starling").build())
        .build())
}
