use chat::{CommitView, CommitsView};
use gateway::inspect::{DeliveryView, HandedOn, Way};
use protocol::{ConnectionId, ConversationId, MessageId, Role, UserId};

use super::*;

/// A time of the story, in seconds; the message 7 is committed at 100.
fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_795_000_000_000 + second * 1_000).unwrap()
}

struct Story {
    message: TracedMessage,
    user: TracedUser,
    participant: Option<TracedParticipant>,
    nodes: Vec<TracedNode>,
    silent: Vec<NodeId>,
    asked: bool,
    gone: Vec<(NodeId, Timestamp)>,
    listening_since: Timestamp,
}

impl Story {
    /// Ben, who takes part since 0, on a cluster of one node that remembers everything since 0.
    fn new() -> Self {
        let (message, ben) = (MessageId::generate(), UserId::generate());
        let commit = CommitView {
            lane: 0,
            batch: 1,
            changes: 1,
            accepted_at: at(100),
            committed_at: at(100),
            event: EventView::Published { at: at(100) },
        };
        Self {
            message: TracedMessage {
                id: message,
                conversation_id: ConversationId::generate(),
                seq: 7,
                traced_seq: 7,
                sender_id: UserId::generate(),
                committed_at: at(100),
                deleted_at: None,
            },
            user: TracedUser { id: ben, username: "ben".into(), disabled_at: None },
            participant: Some(TracedParticipant {
                role: Role::Member,
                joined_at: at(0),
                left_at: None,
                access_since_seq: 0,
                delivered_seq: 3,
                read_seq: 3,
                notify: Notify::All,
                muted_until: None,
                last_seq: 9,
                conversation_deleted_at: None,
            }),
            nodes: vec![TracedNode {
                node: NodeId::generate(),
                commits: CommitsView { remembers_since: Some(at(0)), commits: vec![commit] },
                delivery: Some(DeliveryView {
                    remembers_since: Some(at(0)),
                    remembers_ends_since: at(0),
                    delivered: Some(9),
                    handed_on: Some(HandedOn { at: at(100), way: Way::Bus, connections: 1 }),
                    connections: Vec::new(),
                }),
            }],
            silent: Vec::new(),
            asked: true,
            gone: Vec::new(),
            listening_since: at(0),
        }
    }

    fn part(&mut self) -> &mut TracedParticipant {
        self.participant.as_mut().unwrap()
    }

    fn delivery(&mut self) -> &mut DeliveryView {
        self.nodes[0].delivery.as_mut().unwrap()
    }

    /// With a connection; `ended` when it did.
    fn with(mut self, fate: Fate, ended: Option<i64>) -> Self {
        self.delivery().connections.push(TracedConnection {
            id: ConnectionId::generate(),
            transport: "websocket".into(),
            opened_at: at(1),
            ended_at: ended.map(at),
            end: ended.map(|_| "client".into()),
            fate,
        });
        self
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            message: &self.message,
            user: &self.user,
            participant: self.participant.as_ref(),
            nodes: &self.nodes,
            silent: &self.silent,
            asked: self.asked,
            gone: &self.gone,
            listening_since: self.listening_since,
            now: at(1_000),
        }
    }

    fn code(&self) -> Code {
        self.facts().verdict().code
    }

    fn notes(&self) -> String {
        self.facts().notes().join("\n")
    }
}

#[test]
fn each_fate_has_its_verdict() {
    for (fate, live, ended) in [
        (Fate::Written, Code::Written, Code::Written),
        (Fate::Waiting { bytes: 5 }, Code::Waiting, Code::Waiting),
        (Fate::Starting, Code::Starting, Code::Starting),
        (Fate::ByResume { from: 8 }, Code::Resumed, Code::Resumed),
        (Fate::Skipped, Code::AskedToFetch, Code::AskedToFetch),
        (Fate::Hidden, Code::JoinedLater, Code::JoinedLater),
        (Fate::NotReceived, Code::NotReceived, Code::Lost),
        (Fate::Lost, Code::Lost, Code::Lost),
        (Fate::NotFollowing, Code::NotFollowing, Code::NotFollowing),
        (Fate::Unknown, Code::NotKnown, Code::NotKnown),
    ] {
        assert_eq!(Story::new().with(fate, None).code(), live, "{fate:?}");
        assert_eq!(Story::new().with(fate, Some(120)).code(), ended, "{fate:?}, ended");
        assert_eq!(Story::new().with(fate, Some(50)).code(), Code::NotConnected, "{fate:?}, ended before it");
    }
}

#[test]
fn who_does_not_take_part_is_told_first_and_by_the_time_of_the_change() {
    let mut story = Story::new().with(Fate::Written, None);
    story.participant = None;
    assert_eq!(story.code(), Code::NotAMember);
    let mut story = Story::new();
    story.part().left_at = Some(at(99));
    assert_eq!(story.code(), Code::LeftBefore);
    let mut story = Story::new().with(Fate::NotFollowing, None);
    story.part().left_at = Some(at(101));
    assert_eq!((story.code(), story.notes().contains("ben left the conversation")), (Code::NotKnown, true));
    let mut story = Story::new();
    story.part().joined_at = at(101);
    assert_eq!(story.code(), Code::JoinedLater);
    story.part().access_since_seq = 7;
    assert!(story.facts().verdict().says.contains("may not read it"));
    // An edit at 200 of that message is an event for who joined meanwhile.
    let mut story = Story::new().with(Fate::Written, None);
    story.message.traced_seq = 9;
    story.nodes[0].commits.commits[0].committed_at = at(200);
    story.part().joined_at = at(101);
    assert_eq!(story.code(), Code::Written);
    story.part().left_at = Some(at(150));
    assert_eq!(story.code(), Code::LeftBefore);
    // Of one that nobody remembers no time is made up.
    story.nodes[0].commits.commits.clear();
    story.delivery().handed_on = None;
    assert!(story.code() == Code::Written && story.notes().contains("is not remembered"));
}

#[test]
fn markers_count_but_for_ones_own_messages() {
    let mut story = Story::new().with(Fate::Waiting { bytes: 1 }, None);
    story.part().delivered_seq = 7;
    assert_eq!(story.code(), Code::Delivered);
    story.part().read_seq = 8;
    assert_eq!(story.code(), Code::Read);
    story.message.sender_id = story.user.id;
    assert_eq!(story.code(), Code::Waiting);
}

#[test]
fn what_lives_says_more_than_what_ended_and_each_worse_one_is_noted() {
    let story = Story::new().with(Fate::NotReceived, Some(120)).with(Fate::NotFollowing, None);
    assert_eq!(story.code(), Code::NotFollowing);
    let story = Story::new().with(Fate::Lost, Some(120)).with(Fate::ByResume { from: 9 }, None);
    assert_eq!(story.code(), Code::Resumed);
    let story = Story::new().with(Fate::Waiting { bytes: 9 }, None).with(Fate::Written, Some(120));
    assert_eq!(story.code(), Code::Written);
    assert!(story.notes().contains("Another connection of theirs") && story.notes().contains("waiting"));
}

/// Takes away what an answer needs.
type Spoil = fn(&mut Story);

#[test]
fn nobody_is_said_to_have_been_away_whom_somebody_may_have_seen() {
    assert_eq!(Story::new().code(), Code::NotConnected);
    let node = NodeId::generate();
    let spoilt: [(&str, Spoil); 6] = [
        ("did not answer", |story| story.silent.push(NodeId::generate())),
        ("no other node was asked", |story| story.asked = false),
        ("is gone since", |story| story.gone.push((NodeId::generate(), at(150)))),
        ("hears of the others since", |story| story.listening_since = at(101)),
        ("knows nothing of deliveries before", |story| {
            story.delivery().remembers_since = Some(at(101));
            story.delivery().remembers_ends_since = at(101);
        }),
        ("is set to remember nothing", |story| {
            story.delivery().remembers_since = None;
            story.delivery().remembers_ends_since = at(900);
        }),
    ];
    for (note, spoil) in spoilt {
        let mut story = Story::new();
        spoil(&mut story);
        assert_eq!((story.code(), story.notes().contains(note)), (Code::NotKnown, true), "{note}: {}", story.notes());
    }
    let mut story = Story::new();
    story.gone.push((node, at(99)));
    assert_eq!(story.code(), Code::NotConnected, "it was gone before");
}

#[test]
fn an_event_that_did_not_go_out_is_told_apart() {
    let mut story = Story::new().with(Fate::NotReceived, None);
    for event in [EventView::Waiting, EventView::Dropped, EventView::Refused { at: at(100) }] {
        story.nodes[0].commits.commits[0].event = event;
        assert_eq!(story.code(), Code::NotPublished);
    }
    story.nodes[0].commits.commits.clear();
    assert_eq!(story.code(), Code::NotReceived);
}

#[test]
fn who_is_disabled_cannot_come_back() {
    for story in [Story::new(), Story::new().with(Fate::Lost, Some(120))] {
        let story = Story { user: TracedUser { disabled_at: Some(at(110)), ..story.user.clone() }, ..story };
        assert_eq!(story.code(), Code::Disabled);
    }
}

#[test]
fn what_else_matters_is_noted() {
    let mut story = Story::new();
    story.part().muted_until = Some(at(2_000));
    story.part().conversation_deleted_at = Some(at(300));
    story.message.deleted_at = Some(at(200));
    story.nodes[0].commits.commits.clear();
    for note in
        ["muted", "The conversation was deleted", "The message was deleted", "No node remembers to have committed"]
    {
        assert!(story.notes().contains(note), "{note}: {}", story.notes());
    }
    // Erased with its conversation: that was said.
    story.message.deleted_at = Some(at(300));
    assert!(!story.notes().contains("The message was deleted"), "{}", story.notes());
}
