//! The other nodes, as far as this one has heard of them: who is there, and who is gone.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use protocol::NodeId;
use tokio::time::Instant;

use super::HERE;

/// Who has not said for this long that it is there is gone.
const FORGOTTEN: Duration = Duration::from_secs(16);
/// More nodes than a cluster has, and more that are gone than an operator wants to hear of.
const MOST: usize = 4_096;
const MOST_GONE: usize = 256;
/// Strangers prove nothing: an operator who hears of so many knows enough.
const MOST_STRANGERS: usize = 64;

/// See the module.
pub(super) struct Others {
    heard: HashMap<NodeId, Instant>,
    /// With when they were last heard.
    gone: VecDeque<(NodeId, Instant)>,
    /// With another token than this node's, or none: they cannot answer.
    strangers: HashMap<NodeId, Instant>,
    /// Since then this node hears what others say, without a break.
    listening: Instant,
}

impl Default for Others {
    fn default() -> Self {
        Self { heard: HashMap::new(), gone: VecDeque::new(), strangers: HashMap::new(), listening: Instant::now() }
    }
}

impl Others {
    /// It is there.
    pub(super) fn heard(&mut self, node: NodeId) {
        if self.heard.len() < MOST || self.heard.contains_key(&node) {
            self.heard.insert(node, Instant::now());
            self.gone.retain(|(gone, _)| *gone != node);
        }
    }

    /// It said that it goes.
    pub(super) fn left(&mut self, node: NodeId) {
        if let Some(heard) = self.heard.remove(&node) {
            self.note_gone(node, heard);
        }
    }

    /// It is there, and is a stranger.
    pub(super) fn heard_stranger(&mut self, node: NodeId) {
        if self.strangers.len() < MOST_STRANGERS || self.strangers.contains_key(&node) {
            self.strangers.insert(node, Instant::now());
        }
    }

    /// A stranger said that it goes.
    pub(super) fn stranger_left(&mut self, node: NodeId) {
        self.strangers.remove(&node);
    }

    /// Forgets those that have said nothing for long.
    pub(super) fn prune(&mut self) {
        self.strangers.retain(|_, heard| heard.elapsed() < FORGOTTEN);
        let silent: Vec<_> =
            self.heard.iter().filter(|(_, heard)| heard.elapsed() >= FORGOTTEN).map(|(n, _)| *n).collect();
        for node in silent {
            self.left(node);
        }
    }

    fn note_gone(&mut self, node: NodeId, heard: Instant) {
        if self.gone.len() >= MOST_GONE {
            self.gone.pop_front();
        }
        self.gone.push_back((node, heard));
    }

    /// The bus went or came: what was said meanwhile was not heard.
    pub(super) fn deaf(&mut self) {
        self.listening = Instant::now();
    }

    /// Those that are there.
    pub(super) fn present(&mut self) -> Vec<NodeId> {
        self.prune();
        self.heard.keys().copied().collect()
    }

    /// Strangers that are there, in order, without those that proved to be none.
    pub(super) fn strangers(&mut self) -> Vec<NodeId> {
        self.prune();
        let mut all: Vec<_> = self.strangers.keys().filter(|node| !self.heard.contains_key(node)).copied().collect();
        all.sort_unstable();
        all
    }

    /// Every node had time to say that it is there.
    pub(super) fn knows_all(&self) -> bool {
        self.listening.elapsed() >= HERE * 2
    }

    /// Those that are gone, each with how long ago it was last heard.
    pub(super) fn gone(&self) -> Vec<(NodeId, Duration)> {
        self.gone.iter().map(|(node, heard)| (*node, heard.elapsed())).collect()
    }

    /// For how long this node has heard what others say.
    pub(super) fn listening(&self) -> Duration {
        self.listening.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_gone_and_is_remembered_as_such() {
        let (one, two) = (NodeId::generate(), NodeId::generate());
        let mut others = Others::default();
        others.heard(one);
        others.heard(two);
        assert!(!others.knows_all());
        tokio::time::advance(Duration::from_secs(10)).await;
        others.heard(two);
        assert!(others.knows_all() && others.present().len() == 2);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!((others.present(), others.gone()), (vec![two], vec![(one, Duration::from_secs(17))]));
        others.left(two);
        assert_eq!((others.present().len(), others.gone().len()), (0, 2));
        others.heard(one);
        assert_eq!(others.gone().iter().map(|(node, _)| *node).collect::<Vec<_>>(), [two], "it is back");
        others.deaf();
        assert!(!others.knows_all());
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_are_known_while_they_say_so_and_never_in_place_of_one_of_us() {
        let (one, two, three) = (NodeId::generate(), NodeId::generate(), NodeId::generate());
        let mut others = Others::default();
        for node in [one, two, three] {
            others.heard_stranger(node);
        }
        others.heard(two);
        others.stranger_left(three);
        assert_eq!((others.strangers(), others.present()), (vec![one], vec![two]));
        tokio::time::advance(FORGOTTEN).await;
        assert_eq!((others.strangers(), others.gone().len()), (vec![], 1), "a stranger was never one of us");
    }

    #[test]
    fn letters_of_invented_nodes_take_no_more_than_so_much() {
        let mut others = Others::default();
        for _ in 0..MOST + 10 {
            others.heard(NodeId::generate());
        }
        assert_eq!(others.present().len(), MOST);
        for node in others.present() {
            others.left(node);
        }
        assert_eq!(others.gone().len(), MOST_GONE);
        for _ in 0..MOST_STRANGERS + 10 {
            others.heard_stranger(NodeId::generate());
        }
        assert_eq!(others.strangers().len(), MOST_STRANGERS);
    }
}
