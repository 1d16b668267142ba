//! Gauges of what is there now, set when somebody looks: nothing is counted for them meanwhile.

use crate::{Gateway, node::Node};

impl Gateway {
    /// Sets the gauges of this node to what is there now. Looks at every connection: for scrapes, not for each event.
    pub fn observe(&self) {
        self.node.observe();
    }
}

impl Node {
    fn observe(&self) {
        let (mut waiting, mut fullest, mut behind, mut following) = (0, 0.0_f64, 0, 0);
        for link in self.hub.feeds.links() {
            let (bytes, full) = link.outbox.waiting();
            waiting += bytes;
            fullest = fullest.max(full);
            behind += i64::from(!link.outbox.is_roomy());
            following += link.following.lock().len();
        }
        let metrics = &self.metrics;
        metrics.outbox_bytes.set(waiting as i64);
        metrics.outbox_fullest.set(fullest);
        metrics.connections_behind.set(behind);
        metrics.following.set(following as i64);
        metrics.active_conversations.set(self.hub.conversations() as i64);
    }
}
