//! How a trace goes on from one process to the next. Spans are opened with `tracing` where the work is done; here is
//! what `tracing` has no words for: a parent in another process, links, and how both are told of (W3C Trace Context).
//! So nothing above it knows OpenTelemetry.
//!
//! What is recorded is decided by the sampler of the process (`server`), never here. Without a collector the spans of
//! [`TARGET`] are disabled: one costs a comparison, and its fields are not looked at.

mod context;

use opentelemetry::{
    Context as Active,
    trace::{SpanContext, TraceContextExt as _},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub use context::{BYTES, Context};

/// The target of spans that are for the collector alone: a log shows neither them nor their fields.
pub const TARGET: &str = "starling::trace";

/// The span is a part of this trace, below that span of another process or of another task. To be called before the
/// span is entered; a span that is disabled stays so.
///
/// Where the context is a caller's, which says nothing of whether it is recorded, the sampler decides.
pub fn continues(span: &Span, from: Context) {
    if !span.is_disabled() {
        // An error says that the span was begun already, or is not exported: it keeps the parent that it has.
        let _ = span.set_parent(Active::new().with_remote_span_context(SpanContext::from(from)));
    }
}

/// The span has to do with that one without being a part of it: a link.
pub fn links(span: &Span, to: Context) {
    if !span.is_disabled() {
        span.add_link(SpanContext::from(to));
    }
}

impl Context {
    /// Of a span that is recorded; none of any other. From now on the span has its parent.
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let active = span.context();
        let known = active.span();
        let known = known.span_context();
        (known.is_valid() && known.is_sampled()).then(|| Self::from(known))
    }
}
