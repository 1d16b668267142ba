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
    /// With another token than this node's, or none: they cannot answer. With when they were last heard, and whether
    /// they said that they go. Hearsay: nobody vouches for them.
    strangers: HashMap<NodeId, (Instant, bool)>,
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
        if self.strangers.len() >= MOST_STRANGERS && !self.strangers.contains_key(&node) {
            // In place of the one that is gone for longest, if one is.
            let gone = self.strangers.iter().filter(|(_, stranger)| !is_there(stranger));
            let Some(oldest) = gone.min_by_key(|(_, (heard, _))| *heard).map(|(node, _)| *node) else { return };
            self.strangers.remove(&oldest);
        }
        self.strangers.insert(node, (Instant::now(), false));
    }

    /// A stranger said that it goes.
    pub(super) fn stranger_left(&mut self, node: NodeId) {
        if let Some((_, left)) = self.strangers.get_mut(&node) {
            *left = true;
        }
    }

    /// Forgets those that have said nothing for long.
    pub(super) fn prune(&mut self) {
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
        let there = self.strangers.iter().filter(|(node, stranger)| is_there(stranger) && !self.is_known(**node));
        let mut all: Vec<_> = there.map(|(node, _)| *node).collect();
        all.sort_unstable();
        all
    }

    /// It proved to be one of us, now or once.
    fn is_known(&self, node: NodeId) -> bool {
        self.heard.contains_key(&node) || self.gone.iter().any(|(gone, _)| *gone == node)
    }

    /// Every node had time to say that it is there.
    pub(super) fn knows_all(&self) -> bool {
        self.listening.elapsed() >= HERE * 2
    }

    /// Those that are gone, strangers too, each with how long ago it was last heard.
    pub(super) fn gone(&self) -> Vec<(NodeId, Duration)> {
        let strangers = self.strangers.iter().filter(|(node, stranger)| !is_there(stranger) && !self.is_known(**node));
        let strangers = strangers.map(|(node, (heard, _))| (*node, heard.elapsed()));
        self.gone.iter().map(|(node, heard)| (*node, heard.elapsed())).chain(strangers).collect()
    }

    /// For how long this node has heard what others say.
    pub(super) fn listening(&self) -> Duration {
        self.listening.elapsed()
    }
}

fn is_there((heard, left): &(Instant, bool)) -> bool {
    !left && heard.elapsed() < FORGOTTEN
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
        let gone = |others: &Others| others.gone().into_iter().map(|(node, _)| node).collect::<Vec<_>>();
        assert_eq!(gone(&others), [three], "what it knew went with it");
        tokio::time::advance(FORGOTTEN).await;
        assert_eq!((others.strangers(), others.present()), (vec![], vec![]));
        let (mut gone, mut all) = (gone(&others), vec![one, two, three]);
        gone.sort_unstable();
        all.sort_unstable();
        assert_eq!(gone, all);
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
        let [one, two] = [others.strangers()[0], NodeId::generate()];
        others.stranger_left(one);
        others.heard_stranger(two);
        assert!(others.strangers().contains(&two), "in place of one that is gone");
    }
}
