//! What traces show of a change: how long it waited, and the batch that it was committed with. Nothing, and at no cost,
//! where none is recorded.

use traces::{Context, TARGET};
use tracing::{Span, field, info_span};

use super::lane::Job;
use crate::change::Request;

/// Most changes of a batch that its span has links to, and that have one to it.
const LINKS_MAX: usize = 128;

/// A change in a trace that is recorded. Its span lasts from the queue to the answer.
pub(super) struct Traced {
    span: Span,
    /// Of the span: where nodes that hear of the change go on.
    pub(super) context: Context,
}

impl Traced {
    /// Below the span of who asks. None where that is not recorded.
    pub(super) fn begin(request: &Request) -> Option<Box<Self>> {
        let span = info_span!(
            target: TARGET,
            "change",
            kind = request.kind.name(),
            conversation.id = %request.conversation,
            waited_ms = field::Empty,
        );
        let context = Context::of(&span)?;
        Some(Box::new(Self { span, context }))
    }
}

/// The span of a batch that is about to be committed: below its change where one alone is recorded; a trace of its own
/// where several are, with a link to each and one back.
pub(super) fn commit(lane: usize, batch: &[Job]) -> Span {
    let traced = batch.iter().filter_map(|job| Some((job, job.trace.as_deref()?)));
    let traced: Vec<_> = traced.take(LINKS_MAX).collect();
    for (job, change) in &traced {
        change.span.record("waited_ms", job.queued_at.elapsed().as_millis() as i64);
    }
    let (lane, changes) = (lane as i64, batch.len() as i64);
    match &traced[..] {
        [] => Span::none(),
        [(_, change)] => info_span!(target: TARGET, parent: &change.span, "commit", lane, changes),
        several => {
            let commit = info_span!(target: TARGET, parent: None, "commit", lane, changes);
            // Before anybody asks for its context: that it has links to what is recorded is why it is recorded too.
            for (_, change) in several {
                traces::links(&commit, change.context);
            }
            if let Some(context) = Context::of(&commit) {
                for (_, change) in several {
                    traces::links(&change.span, context);
                }
            }
            commit
        }
    }
}
