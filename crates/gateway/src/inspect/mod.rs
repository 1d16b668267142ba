//! What an operator asks a gateway node: who is connected, how far a conversation is, what became of a change. Looks at
//! every connection, or at memories; nothing on the way of a message waits for it.

mod fate;
mod views;

use std::sync::Arc;

use protocol::{CloseCode, ConnectionId, ConversationId, Seq, Timestamp, UserId};
use tokio::time::Instant;

use self::fate::{Asked, Seen};
pub use self::views::{ConnectionView, DeliveryView, Fate, GatewayView, HandedOn, HeadView, TracedConnection, Way};
use crate::{Gateway, hub::Following, journal::Ended, link::Link, node::Node};

/// The slowest connections that are shown.
const SLOWEST: usize = 10;

impl Gateway {
    /// This node.
    pub fn id(&self) -> protocol::NodeId {
        self.node.config.node
    }

    /// Events that came over the bus, and frames that were written, since the start.
    pub fn counted(&self) -> (u64, u64) {
        (self.node.metrics.events_heard(), self.node.metrics.frames_sent.get())
    }

    /// The node as a whole.
    pub fn overview(&self) -> GatewayView {
        let node = &self.node;
        let links = node.hub.feeds.links();
        let behind = links.iter().filter(|link| !link.outbox.is_roomy());
        let mut behind: Vec<_> = behind.map(|link| (link.outbox.waiting().1, link)).collect();
        let users: chat::Set<_> = links.iter().map(|link| link.user()).collect();
        let count = behind.len() as u64;
        behind.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        GatewayView {
            connections: links.len() as u64,
            users: users.len() as u64,
            conversations: node.hub.conversations() as u64,
            draining: node.is_draining(),
            degraded: self.degraded(),
            frames_sent: node.metrics.frames_sent.get(),
            bus_events: node.metrics.events_heard(),
            gap_fills: node.metrics.gap_fills.get(),
            behind: count,
            slowest: behind.into_iter().take(SLOWEST).map(|(_, link)| node.view(link)).collect(),
        }
    }

    /// A user's connections here. One that was told to end is none any more, however long its client takes to hear it.
    pub fn connections_of(&self, user: UserId) -> Vec<ConnectionView> {
        let links = self.node.hub.feeds.links_of(user);
        links.iter().filter(|link| !link.outbox.is_closed()).map(|link| self.node.view(link)).collect()
    }

    /// Ends connections with 4000, so that their clients come back, to any node, and resume: one of them, or all of a
    /// user. How many there were.
    pub fn disconnect(&self, which: Disconnect) -> usize {
        let mut links = match which {
            Disconnect::User(user) => self.node.hub.feeds.links_of(user),
            Disconnect::Connection(id) => self.node.hub.feeds.links_where(|link| link.id == id),
        };
        links.retain(|link| !link.outbox.is_closed());
        for link in &links {
            link.outbox.close(CloseCode::GoingAway);
        }
        links.len()
    }

    /// Where a conversation is here; none: nobody connected here takes part in it.
    pub fn head(&self, id: ConversationId) -> Option<HeadView> {
        self.node.hub.head(id)
    }

    /// What is known here of what became of a change, and of a user's connections. `place` is the message's own, which
    /// is that of the change when it was new.
    pub fn delivery(&self, id: ConversationId, seq: Seq, place: Seq, user: UserId) -> DeliveryView {
        let node = &self.node;
        let journal = node.hub.deliveries();
        let delivered = node.hub.delivered(id);
        let handed_on = journal.find(id, seq);
        let asked = Asked { seq, place, delivered, handed_on, since: journal.since() };
        let live = node.hub.feeds.links_of(user);
        let mut connections: Vec<_> =
            live.iter().map(|link| node.traced(link, asked.fate(&node.seen(id, link)))).collect();
        connections.sort_by_key(|connection| std::cmp::Reverse(connection.opened_at));
        connections.extend(node.ended.of(user).iter().map(|ended| {
            let fate = ended.seen(id).map_or(Fate::Unknown, |seen| asked.fate(&seen));
            node.traced_end(ended, fate)
        }));
        DeliveryView {
            remembers_since: journal.since().map(|since| node.moment(since)),
            remembers_ends_since: node.moment(node.ended.since().unwrap_or(node.began)),
            delivered,
            handed_on: handed_on.map(|delivery| HandedOn {
                at: node.moment(delivery.at),
                way: delivery.way,
                connections: delivery.connections as u64,
            }),
            connections,
        }
    }
}

/// Which connections are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// All of a user.
    User(UserId),
    /// This one.
    Connection(ConnectionId),
}

impl Node {
    /// A moment of the past as a time that other nodes understand.
    fn moment(&self, at: Instant) -> Timestamp {
        let ago = Instant::now().saturating_duration_since(at);
        Timestamp::new(self.env().now().get() - ago)
    }

    fn view(&self, link: &Link) -> ConnectionView {
        let (waiting_bytes, outbox_fill) = link.outbox.waiting();
        ConnectionView {
            id: link.id,
            user_id: link.user(),
            username: link.caller.user.username.clone(),
            transport: transport(link.mark.is_some()),
            opened_at: self.moment(link.opened),
            following: link.following.lock().len() as u64,
            waiting_bytes: waiting_bytes as u64,
            outbox_fill,
        }
    }

    fn seen(&self, id: ConversationId, link: &Arc<Link>) -> Seen {
        Seen {
            opened: link.opened,
            ended: None,
            following: self.hub.following(id, link),
            asked_to_fetch: link.fetches().has(id),
            waiting: Some(link.outbox.waiting().0 as u64).filter(|_| !link.outbox.is_closed()),
            settled: link.outbox.settled(),
        }
    }

    fn traced(&self, link: &Arc<Link>, fate: Fate) -> TracedConnection {
        TracedConnection {
            id: link.id,
            transport: transport(link.mark.is_some()),
            opened_at: self.moment(link.opened),
            ended_at: None,
            end: None,
            fate,
        }
    }

    fn traced_end(&self, ended: &Ended, fate: Fate) -> TracedConnection {
        TracedConnection {
            id: ended.id,
            transport: transport(ended.is_stream),
            opened_at: self.moment(ended.opened),
            ended_at: Some(self.moment(ended.at)),
            end: Some(ended.end.clone()),
            fate,
        }
    }
}

impl Ended {
    /// None: what it followed is forgotten.
    fn seen(&self, id: ConversationId) -> Option<Seen> {
        let place = self.places.as_ref()?.iter().find(|(place, _)| *place == id);
        let following = place.map(|(_, from)| match from {
            Some(from) => Following::Live { from: *from, visible_from: 0 },
            None => Following::Starting,
        });
        Some(Seen {
            opened: self.opened,
            ended: Some(self.at),
            following,
            asked_to_fetch: self.fetches.has(id),
            waiting: None,
            settled: self.settled,
        })
    }
}

fn transport(is_stream: bool) -> String {
    if is_stream { "sse" } else { "websocket" }.to_owned()
}
