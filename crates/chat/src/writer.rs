//! Commits changes: natural group commit in lanes.

use std::sync::Arc;

use crate::{ChatConfig, Clock, metrics::Metrics};

pub(crate) struct Writer {}

impl Writer {
    pub(crate) fn start(
        _store: Arc<dyn store::Store>,
        _bus: Arc<dyn bus::Bus>,
        _clock: Arc<dyn Clock>,
        _config: &ChatConfig,
        _metrics: Metrics,
    ) -> Self {
        Self {}
    }

    pub(crate) async fn shutdown(&self) {}
}
