//! Which spans are recorded: a share of the traces that begin here, and all of each.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanContext, SpanKind, TraceContextExt as _, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// Records this share (0 to 1) of the traces that begin here.
///
/// - A part of a recorded trace is recorded, whichever node it began on; a part of any other is not.
/// - A caller says where its trace goes on, not whether it is recorded (`traces::Context::of_caller`): for each of its calls
///   the share decides, by chance and not by the trace's id, which the caller chooses.
/// - What has a link to something that is recorded is recorded: the batch of several traces.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnShare(pub(super) f64);

impl ShouldSample for OwnShare {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|parent| parent.span().span_context().clone()).filter(SpanContext::is_valid);
        let recorded = match &parent {
            Some(parent) if parent.is_sampled() || !parent.is_remote() => parent.is_sampled(),
            _ => links.iter().any(|link| link.span_context.is_sampled()) || rand::random::<f64>() < self.0,
        };
        SamplingResult {
            decision: if recorded { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags};

    use super::*;

    fn span(sampled: bool, is_remote: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(sampled);
        // The smallest id: what decides by the id takes it for any share.
        SpanContext::new(TraceId::from(1), SpanId::from(1), flags, is_remote, TraceState::NONE)
    }

    /// How many of a thousand are recorded.
    fn recorded(share: f64, parent: Option<SpanContext>, links: &[Link]) -> usize {
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let sample =
            || OwnShare(share).should_sample(Some(&parent), TraceId::from(1), "", &SpanKind::Internal, &[], links);
        (0..1_000).filter(|_| sample().decision == SamplingDecision::RecordAndSample).count()
    }

    #[test]
    fn a_share_of_the_traces_is_recorded_and_every_part_of_those() {
        assert_eq!((recorded(0.0, None, &[]), recorded(1.0, None, &[])), (0, 1_000));
        assert!((300..700).contains(&recorded(0.5, None, &[])));
        for is_remote in [false, true] {
            assert_eq!(recorded(0.0, Some(span(true, is_remote)), &[]), 1_000, "a part of what is recorded");
        }
        assert_eq!(recorded(1.0, Some(span(false, false)), &[]), 0, "a part of what is not");
    }

    #[test]
    fn a_caller_decides_nothing() {
        let caller = Some(span(false, true));
        assert_eq!((recorded(0.0, caller.clone(), &[]), recorded(1.0, caller.clone(), &[])), (0, 1_000));
        assert!((300..700).contains(&recorded(0.5, caller, &[])), "not even by its trace's id");
    }

    #[test]
    fn what_has_a_link_to_a_recorded_span_is_recorded() {
        let link = |sampled| [Link::new(span(sampled, true), Vec::new(), 0)];
        assert_eq!((recorded(0.0, None, &link(true)), recorded(0.0, None, &link(false))), (1_000, 0));
    }
}
