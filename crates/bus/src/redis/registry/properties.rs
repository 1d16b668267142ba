//! The registry against a simple model, whatever is asked of it and whatever the servers do meanwhile: connections that
//! break, commands half carried out, slots that move and come back, reports that are heard late.
//!
//! What the model says at every step: nothing is given up that somebody needs, or before its linger is over; no call
//! hears that its topics are on before they are; and when nothing is owed on connections that are up (then `Lost` is
//! told) every topic is live. In the end: what is needed is on, what is not is off, and nobody waits.

use std::collections::{BTreeSet, VecDeque};

use proptest::{collection::vec, prelude::*};

use super::*;

const LINGER: Duration = Duration::from_secs(3);
const TOPICS: usize = 4;
const SERVERS: usize = 3;
/// Parts of the slots that move together.
const PARTS: usize = 3;
/// Most topics in a command.
const MAX: usize = 2;

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Acquire(Vec<usize>),
    Release(Vec<usize>),
    /// The caller of the oldest call that waits no longer does.
    GiveUp,
    Pass(Duration),
    /// The link gives a lane its next command.
    Command(usize),
    /// A server carries out so much of its command.
    Carry(usize, usize),
    /// The link hears so much of what a server said.
    Hear(usize, usize),
    /// A server with a connection does all that it is asked, and is heard.
    Serve(usize),
    Connect(usize),
    Disconnect(usize),
    /// Slots get another server, or none.
    Move(usize, Option<usize>),
    /// The link sees which server has which slots.
    Learn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (topics, server) = (|| vec(0..TOPICS, 1..3), || 0..SERVERS);
    let step = prop_oneof![
        6 => topics().prop_map(Step::Acquire),
        6 => topics().prop_map(Step::Release),
        1 => Just(Step::GiveUp),
        4 => (1u64..4).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        9 => server().prop_map(Step::Command),
        9 => (server(), 1usize..4).prop_map(|(server, many)| Step::Carry(server, many)),
        9 => (server(), 1usize..5).prop_map(|(server, many)| Step::Hear(server, many)),
        6 => server().prop_map(Step::Serve),
        4 => server().prop_map(Step::Connect),
        1 => server().prop_map(Step::Disconnect),
        3 => (0..PARTS, proptest::option::weighted(0.9, server())).prop_map(|(part, to)| Step::Move(part, to)),
        3 => Just(Step::Learn),
    ];
    vec(step, 1..160)
}

/// What a server says on its connection, in this order.
#[derive(Debug, Clone, Copy)]
enum Said {
    On(usize),
    Off(usize),
    Idle,
}

/// A server, and the link's connection to it.
#[derive(Default)]
struct Server {
    /// None: it has no slot, as far as the link knows, and so no connection.
    lane: Option<Lane>,
    up: bool,
    /// A command was given, and its end was not heard.
    busy: bool,
    has: BTreeSet<usize>,
    /// What is left of the command: whether it subscribes, and to what.
    left: Option<(bool, VecDeque<usize>)>,
    said: VecDeque<Said>,
}

impl Server {
    fn break_off(&mut self) {
        *self = Self { lane: self.lane, ..Self::default() };
    }
}

struct Call {
    wait: oneshot::Receiver<()>,
    /// Not confirmed so far, and needed without a break since the call.
    pending: BTreeSet<usize>,
}

struct World {
    registry: Registry,
    now: Instant,
    topics: Vec<Topic>,
    sharded: bool,
    /// By part of the slots: the server that has it, and the one that the link takes for it.
    truth: [Option<usize>; PARTS],
    known: [Option<usize>; PARTS],
    servers: [Server; SERVERS],
    next_lane: Lane,
    references: [usize; TOPICS],
    /// Since when nobody needs it. None also where it was not on, or ended: then there is nothing to keep warm.
    released: [Option<Instant>; TOPICS],
    /// Confirmed, as far as the link heard.
    confirmed: BTreeSet<usize>,
    /// Needed for the first time since the last loss, and not confirmed yet: nothing can have been missed.
    fresh: BTreeSet<usize>,
    calls: Vec<Call>,
    given_up: bool,
}

impl World {
    fn new(sharded: bool) -> Self {
        Self {
            registry: Registry::new(LINGER, MAX, "test:".into()),
            now: Instant::now(),
            // Always the same, so that a case that failed fails again.
            topics: (0..TOPICS).map(|n| format!("c:01890000-0000-7000-8000-{n:012}").parse().unwrap()).collect(),
            sharded,
            truth: [Some(0); PARTS],
            known: [None; PARTS],
            servers: Default::default(),
            next_lane: 0,
            references: [0; TOPICS],
            released: [None; TOPICS],
            confirmed: BTreeSet::new(),
            fresh: BTreeSet::new(),
            calls: Vec::new(),
            given_up: false,
        }
    }

    fn part(&self, topic: usize) -> usize {
        usize::from(slot_of("test:", &self.topics[topic], self.sharded)) % PARTS
    }

    fn owner(&self, owners: &[Option<usize>; PARTS], topic: usize) -> Option<usize> {
        owners[self.part(topic)]
    }

    /// Topics that the link looks for on this server.
    fn here(&self, place: usize) -> Vec<usize> {
        (0..TOPICS).filter(|topic| self.owner(&self.known, *topic) == Some(place)).collect()
    }

    fn is_live(&self, topic: usize) -> bool {
        self.owner(&self.truth, topic).is_some_and(|server| self.servers[server].has.contains(&topic))
    }

    fn names(&self, topics: &[usize]) -> Vec<Topic> {
        topics.iter().map(|topic| self.topics[*topic]).collect()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Acquire(topics) => self.acquire(&topics),
            Step::Release(topics) => self.release(&topics),
            Step::GiveUp => {
                if !self.calls.is_empty() {
                    self.calls.remove(0);
                    self.given_up = true;
                }
            }
            Step::Pass(time) => self.now += time,
            Step::Command(server) => self.command(server),
            Step::Carry(server, many) => (0..many).for_each(|_| self.carry(server)),
            Step::Hear(server, many) => (0..many).for_each(|_| self.hear(server)),
            Step::Serve(server) => self.serve(server),
            Step::Connect(server) => self.connect(server),
            Step::Disconnect(server) => self.disconnect(server),
            Step::Move(part, to) => self.shift(if self.sharded { part } else { 0 }, to),
            Step::Learn => self.learn(),
        }
        self.check();
    }

    fn acquire(&mut self, topics: &[usize]) {
        let (done, wait) = oneshot::channel();
        self.registry.acquire(&self.names(topics), done);
        for topic in topics {
            if self.references[*topic] == 0 && !self.confirmed.contains(topic) {
                self.fresh.insert(*topic);
            }
            self.references[*topic] += 1;
            self.released[*topic] = None;
        }
        let pending = topics.iter().copied().filter(|topic| !self.confirmed.contains(topic)).collect();
        self.calls.push(Call { wait, pending });
    }

    fn release(&mut self, topics: &[usize]) {
        self.registry.release(&self.names(topics), self.now);
        for topic in topics {
            if self.references[*topic] == 1 {
                self.released[*topic] = self.confirmed.contains(topic).then_some(self.now);
                self.fresh.remove(topic);
                self.calls.iter_mut().for_each(|call| _ = call.pending.remove(topic));
            }
            self.references[*topic] = self.references[*topic].saturating_sub(1);
        }
    }

    fn command(&mut self, place: usize) {
        let server = &self.servers[place];
        let Some(lane) = server.lane.filter(|_| server.up && !server.busy) else { return };
        let Some(batch) = self.registry.next(lane, self.now) else { return };
        let (subscribes, names) = match &batch {
            Batch::Subscribe(names) => (true, names),
            Batch::Unsubscribe(names) => (false, names),
        };
        let topics: VecDeque<usize> =
            names.iter().map(|name| self.topics.iter().position(|topic| topic == name).unwrap()).collect();
        assert!((1..=MAX).contains(&topics.len()), "{batch:?}");
        assert_eq!(topics.iter().collect::<BTreeSet<_>>().len(), topics.len(), "named twice: {batch:?}");
        for topic in &topics {
            let here = self.owner(&self.known, *topic) == Some(place);
            if subscribes {
                assert!(here && self.references[*topic] > 0, "nobody needs {topic} here");
            } else if here {
                assert_eq!(self.references[*topic], 0, "{topic} is given up though it is needed");
                let over = self.released[*topic].is_none_or(|since| since + LINGER <= self.now);
                assert!(over, "{topic} is given up before its linger is over");
                self.confirmed.remove(topic);
            }
        }
        self.servers[place].busy = true;
        self.servers[place].left = Some((subscribes, topics));
    }

    /// One topic of the command, or its end.
    fn carry(&mut self, place: usize) {
        let Some((subscribes, mut topics)) = self.servers[place].left.take() else { return };
        let Some(topic) = topics.pop_front() else {
            self.servers[place].said.push_back(Said::Idle);
            return;
        };
        let owned = self.owner(&self.truth, topic) == Some(place);
        let server = &mut self.servers[place];
        server.left = Some((subscribes, topics));
        if subscribes && owned {
            server.has.insert(topic);
            server.said.push_back(Said::On(topic));
        } else {
            // What is elsewhere is refused, which the link takes as an end.
            server.has.remove(&topic);
            server.said.push_back(Said::Off(topic));
        }
    }

    fn hear(&mut self, place: usize) {
        let Some(lane) = self.servers[place].lane else { return };
        match self.servers[place].said.pop_front() {
            None => {}
            Some(Said::Idle) => self.servers[place].busy = false,
            Some(Said::On(topic)) => {
                self.registry.subscribed(lane, &[self.topics[topic]]);
                if self.owner(&self.known, topic) == Some(place) {
                    self.confirmed.insert(topic);
                    self.fresh.remove(&topic);
                    self.calls.iter_mut().for_each(|call| _ = call.pending.remove(&topic));
                }
            }
            Some(Said::Off(topic)) => {
                self.registry.unsubscribed(lane, &[self.topics[topic]]);
                if self.owner(&self.known, topic) == Some(place) {
                    self.ended(topic);
                }
            }
        }
    }

    fn serve(&mut self, place: usize) {
        self.command(place);
        (0..=MAX).for_each(|_| self.carry(place));
        while !self.servers[place].said.is_empty() {
            self.hear(place);
        }
    }

    fn connect(&mut self, place: usize) {
        let server = &mut self.servers[place];
        if let Some(lane) = server.lane
            && !std::mem::replace(&mut server.up, true)
        {
            self.registry.connected(lane);
            self.here(place).iter().for_each(|topic| _ = self.fresh.remove(topic));
        }
    }

    fn disconnect(&mut self, place: usize) {
        let Some(lane) = self.servers[place].lane else { return };
        self.servers[place].break_off();
        self.registry.disconnected(lane);
        self.here(place).into_iter().for_each(|topic| self.ended(topic));
    }

    fn shift(&mut self, part: usize, to: Option<usize>) {
        let from = std::mem::replace(&mut self.truth[part], to);
        let Some(from) = from.filter(|_| from != to) else { return };
        let here = (0..TOPICS).filter(|topic| self.part(*topic) == part).collect::<Vec<_>>();
        let server = &mut self.servers[from];
        for topic in here {
            if server.has.remove(&topic) {
                server.said.push_back(Said::Off(topic));
            }
        }
    }

    fn learn(&mut self) {
        let before: Vec<_> = (0..TOPICS).map(|topic| self.lane(topic)).collect();
        self.known = self.truth;
        for (place, server) in self.servers.iter_mut().enumerate() {
            if !self.known[..if self.sharded { PARTS } else { 1 }].contains(&Some(place)) {
                *server = Server::default();
            } else if server.lane.is_none() {
                server.lane = Some(self.next_lane);
                self.next_lane += 1;
            }
        }
        let lane = |slot: usize| self.servers[self.known[slot % PARTS]?].lane;
        let slots = if self.sharded { usize::from(slot::SLOTS) } else { 1 };
        self.registry.place((0..slots).map(lane).collect());
        for (topic, before) in before.into_iter().enumerate() {
            if self.lane(topic) != before {
                self.ended(topic);
                self.fresh.remove(&topic);
            }
        }
    }

    /// A subscription is no more, and not because nobody needed it.
    fn ended(&mut self, topic: usize) {
        self.confirmed.remove(&topic);
        self.released[topic] = None;
    }

    fn lane(&self, topic: usize) -> Option<Lane> {
        self.servers[self.owner(&self.known, topic)?].lane
    }

    fn check(&mut self) {
        for call in &mut self.calls {
            if call.wait.try_recv().is_ok() {
                assert!(call.pending.is_empty(), "a call hears that {:?} are on", call.pending);
            }
        }
        self.calls.retain(|call| !call.wait.is_terminated());
        // As the link sees it: then the reader hears `Lost`, and relies on everything from there on.
        let all_heard = self.servers.iter().all(|server| server.said.is_empty());
        let parts = if self.sharded { PARTS } else { 1 };
        let up = self.known[..parts].iter().all(|server| server.is_some_and(|server| self.servers[server].up));
        if all_heard && up && self.registry.owed() == 0 {
            for topic in (0..TOPICS).filter(|topic| self.references[*topic] > 0 && !self.fresh.contains(topic)) {
                assert!(self.is_live(topic), "nothing is owed, and {topic} is deaf");
            }
        }
    }

    /// Until there is nothing left to do.
    fn settle(&mut self) {
        for part in 0..PARTS {
            self.truth[part].get_or_insert(0);
        }
        self.learn();
        (0..SERVERS).for_each(|server| self.connect(server));
        for _ in 0..100 {
            (0..SERVERS).for_each(|server| self.serve(server));
            self.check();
        }
    }

    fn end(mut self) {
        self.settle();
        assert_eq!(self.registry.owed(), 0);
        assert!(self.calls.is_empty(), "{} calls wait for ever", self.calls.len());
        let needed = (0..TOPICS).filter(|topic| self.references[*topic] > 0);
        needed.for_each(|topic| assert!(self.is_live(topic), "{topic} is needed and off"));
        assert_eq!(self.registry.take_gave_up(), self.given_up, "a call gave up: its reader must hear Lost");
        for topic in 0..TOPICS {
            self.release(&vec![topic; self.references[topic]]);
        }
        // What was released while a command was under way lingers once more.
        for _ in 0..3 {
            self.now += LINGER;
            self.settle();
        }
        let has: Vec<_> = self.servers.iter().flat_map(|server| &server.has).collect();
        assert!(has.is_empty(), "on though nobody needs them: {has:?}");
        assert_eq!((self.registry.len(), self.registry.owed(), self.registry.next_linger()), (0, 0, None));
    }
}

proptest! {
    // Some of what it found took several hundred.
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn nothing_that_is_needed_is_given_up_and_nothing_else_stays(sharded: bool, steps in steps()) {
        let mut world = World::new(sharded);
        world.take(Step::Learn);
        for step in steps {
            world.take(step);
        }
        world.end();
    }
}
