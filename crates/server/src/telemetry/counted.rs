//! The way of spans to the collector, with what becomes of them counted. The SDK keeps its own counts to itself, and tells
//! of exports that failed in its log alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

/// Most spans that wait for the collector, those under way to it included: a few megabytes.
const WAITING_MAX: usize = 2_048;

/// What became of the spans of this process.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    waiting: AtomicUsize,
    exported: AtomicU64,
    refused: AtomicU64,
    turned_away: AtomicU64,
}

impl Spans {
    /// Those that the collector took.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Those of exports that failed: refused, or not answered in time.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Those that came while too many waited.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// What hands spans to this exporter, from a thread of its own, and the counts.
pub(super) fn processor<E: SpanExporter + 'static>(exporter: E) -> (impl SpanProcessor, Arc<Spans>) {
    let spans = Arc::new(Spans::default());
    let exporter = Exporter { exporter, spans: Arc::clone(&spans) };
    // As much as is let through here: it never drops anything itself, of which nobody would know.
    let config = BatchConfigBuilder::default().with_max_queue_size(WAITING_MAX).build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    (Gate { batches, spans: Arc::clone(&spans) }, spans)
}

/// In front of the queue.
#[derive(Debug)]
struct Gate {
    batches: BatchSpanProcessor,
    spans: Arc<Spans>,
}

impl SpanProcessor for Gate {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.spans.waiting.fetch_add(1, Ordering::AcqRel) < WAITING_MAX {
            self.batches.on_end(span);
        } else {
            self.spans.waiting.fetch_sub(1, Ordering::AcqRel);
            self.spans.turned_away.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Behind it.
#[derive(Debug)]
struct Exporter<E> {
    exporter: E,
    spans: Arc<Spans>,
}

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.exporter.export(batch).await;
        let counter = if result.is_ok() { &self.spans.exported } else { &self.spans.refused };
        counter.fetch_add(count as u64, Ordering::Relaxed);
        self.spans.waiting.fetch_sub(count, Ordering::AcqRel);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::{error::OTelSdkError, trace::SdkTracerProvider};
    use parking_lot::Mutex;

    use super::*;

    /// Answers an export when it is told to, with what it is told.
    #[derive(Debug)]
    struct Told(Mutex<mpsc::Receiver<OTelSdkResult>>);

    impl SpanExporter for Told {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().recv_timeout(Duration::from_secs(30)).unwrap_or(Ok(()))
        }
    }

    #[test]
    fn every_span_is_exported_or_counted_as_dropped() {
        let (tell, told) = mpsc::channel();
        let (processor, spans) = processor(Told(Mutex::new(told)));
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        // The collector says nothing: as many as may wait do, whether in the queue or under way.
        let began = std::time::Instant::now();
        (0..WAITING_MAX + 100).for_each(|_| drop(tracer.start("span")));
        assert!(began.elapsed() < Duration::from_secs(10), "nobody waits for a collector");
        assert_eq!((spans.exported(), spans.refused(), spans.turned_away()), (0, 0, 100));
        tell.send(Err(OTelSdkError::InternalFailure("away".into()))).unwrap();
        drop(tell);
        let _ = provider.force_flush();
        assert_eq!(spans.exported() + spans.refused(), WAITING_MAX as u64);
        assert!(spans.refused() > 0 && spans.exported() > 0, "{spans:?}");
        // There is room again.
        drop(tracer.start("span"));
        let _ = provider.force_flush();
        assert_eq!(spans.turned_away(), 100);
        assert_eq!(spans.exported() + spans.refused(), WAITING_MAX as u64 + 1);
    }
}
