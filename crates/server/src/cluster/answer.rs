//! What this node says of itself.

use std::time::Duration;

use gateway::inspect::Disconnect;
use nix::unistd::gethostname;

use tokio::time::timeout;

use super::{Ask, Cluster, NodeView, Rates, Said};

/// A node's state is told within this: less than others wait.
const REPORT: Duration = Duration::from_millis(500);

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    messages: u64,
    events: u64,
    frames: u64,
}

impl Counted {
    /// What that is each second, since an earlier count.
    pub(super) fn since(self, before: Self, time: Duration) -> Rates {
        let seconds = time.as_secs_f64().max(0.001);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        Rates {
            messages: rate(self.messages, before.messages),
            events: rate(self.events, before.events),
            frames: rate(self.frames, before.frames),
        }
    }
}

impl Cluster {
    pub(super) fn count(&self) -> Counted {
        let (events, frames) = self.inner.gateway.as_ref().map_or((0, 0), gateway::Gateway::counted);
        Counted { messages: self.inner.chat.messages_committed(), events, frames }
    }

    pub(super) async fn answer(&self, ask: Ask) -> Said {
        let inner = &self.inner;
        let gateway = inner.gateway.as_ref();
        match ask {
            Ask::Node => Said::Node(Box::new(self.view().await)),
            Ask::Connections { user } => {
                Said::Connections { connections: gateway.map(|g| g.connections_of(user)).unwrap_or_default() }
            }
            Ask::DisconnectUser { user } => self.disconnect(Disconnect::User(user)),
            Ask::Disconnect { connection } => self.disconnect(Disconnect::Connection(connection)),
            Ask::Drain { node } if node == inner.id => {
                self.drain();
                Said::Done { count: 1 }
            }
            Ask::Drain { .. } => Said::Done { count: 0 },
            Ask::Head { conversation } => Said::Head { head: gateway.and_then(|g| g.head(conversation)) },
            Ask::Delivery { conversation, seq, place, user } => Said::Delivery {
                commits: inner.chat.commits(conversation, seq),
                delivery: gateway.map(|g| g.delivery(conversation, seq, place, user)),
            },
        }
    }

    fn disconnect(&self, which: Disconnect) -> Said {
        let count = self.inner.gateway.as_ref().map_or(0, |gateway| gateway.disconnect(which));
        if count > 0 {
            tracing::info!(?which, count, "an operator ended connections");
        }
        Said::Done { count: count as u64 }
    }

    /// Lets connections move away, and says to be not ready; the process goes on until somebody ends it.
    fn drain(&self) {
        if self.inner.readiness.drain() {
            // It was said before.
            return;
        }
        tracing::info!("an operator drains this node");
        if let Some(gateway) = self.inner.gateway.clone() {
            tokio::spawn(async move { gateway.drain().await });
        }
    }

    async fn view(&self) -> NodeView {
        let inner = &self.inner;
        // Others wait for this, and want to see this node above all when something hangs.
        let report = timeout(REPORT, inner.readiness.report()).await;
        let (state, ready) = match report {
            Ok(report) => (report.in_words(), report.is_ready()),
            Err(_) => ("its database or Redis does not answer".to_owned(), false),
        };
        NodeView {
            id: inner.id,
            host: gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
            listen: inner.listen.to_string(),
            role: inner.role.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: inner.started_at,
            state,
            ready,
            gateway: inner.gateway.as_ref().map(gateway::Gateway::overview),
            waiting: inner.chat.waiting(),
            rates: *inner.rates.lock(),
        }
    }
}
