//! Which server serves what, as last seen: one for everything, or one for each slot of a cluster.

use std::sync::Arc;

use crate::redis::{server::Server, slot::SLOTS};

/// No server, in [`Map::owners`].
const NOBODY: u16 = u16::MAX;

/// Never changed once it is seen: a change is a new map.
#[derive(Clone, Default)]
pub(in crate::redis) struct Map {
    pub(in crate::redis) servers: Vec<Arc<Server>>,
    /// The place in `servers` by slot. Without slots (no cluster) the one server, if there is one, serves everything.
    owners: Option<Box<[u16]>>,
}

impl Map {
    /// One server for everything.
    pub(super) fn one(server: Arc<Server>) -> Self {
        Self { servers: vec![server], owners: None }
    }

    /// A cluster of which nothing is known yet.
    pub(super) fn slots() -> Self {
        Self { servers: Vec::new(), owners: Some(vec![NOBODY; usize::from(SLOTS)].into()) }
    }

    /// Gives slots, both ends included, to a server.
    pub(super) fn assign(&mut self, first: u16, last: u16, server: &Arc<Server>) {
        let place = self.servers.iter().position(|known| known.name == server.name).unwrap_or_else(|| {
            self.servers.push(server.clone());
            self.servers.len() - 1
        });
        let place = u16::try_from(place).unwrap_or(NOBODY);
        for slot in first..=last.min(SLOTS - 1) {
            if let Some(owner) = self.owners.as_mut().and_then(|owners| owners.get_mut(usize::from(slot))) {
                *owner = place;
            }
        }
    }

    /// Forgets servers without a slot, and brings the rest in order, so that maps can be compared.
    pub(super) fn tidy(&mut self) {
        let Some(owners) = self.owners.as_mut() else { return };
        let mut used = vec![false; self.servers.len()];
        for owner in owners.iter() {
            if let Some(used) = used.get_mut(usize::from(*owner)) {
                *used = true;
            }
        }
        let mut order: Vec<usize> = (0..used.len()).filter(|place| used[*place]).collect();
        order.sort_unstable_by(|a, b| self.servers[*a].name.cmp(&self.servers[*b].name));
        let mut places = vec![NOBODY; used.len()];
        for (new, old) in (0u16..).zip(&order) {
            places[*old] = new;
        }
        for owner in owners.iter_mut() {
            *owner = places.get(usize::from(*owner)).copied().unwrap_or(NOBODY);
        }
        self.servers = order.into_iter().map(|place| self.servers[place].clone()).collect();
    }

    /// The server of a slot; without slots, the one there is.
    pub(in crate::redis) fn server(&self, slot: u16) -> Option<&Arc<Server>> {
        match &self.owners {
            None => self.servers.first(),
            Some(owners) => self.servers.get(usize::from(*owners.get(usize::from(slot))?)),
        }
    }

    /// The server of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Server>> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// By slot, the place of its server in [`Map::servers`]; of length 1 where there are no slots.
    pub(in crate::redis) fn places(&self) -> Vec<Option<usize>> {
        let known = |place: usize| (place < self.servers.len()).then_some(place);
        match &self.owners {
            None => vec![known(0)],
            Some(owners) => owners.iter().map(|owner| known(usize::from(*owner))).collect(),
        }
    }

    /// Whether everything has a server.
    pub(in crate::redis) fn is_whole(&self) -> bool {
        match &self.owners {
            None => !self.servers.is_empty(),
            Some(owners) => owners.iter().all(|owner| *owner != NOBODY),
        }
    }

    /// Whether it says the same, of the very same servers.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.owners == other.owners
            && self.servers.len() == other.servers.len()
            && self.servers.iter().zip(&other.servers).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::RedisConfig;

    fn server(port: u16) -> Arc<Server> {
        let client = redis::Client::open(("127.0.0.1", port)).unwrap();
        let config = RedisConfig::new("redis://localhost");
        Arc::new(Server::new(format!("127.0.0.1:{port}"), &client, &config, false).unwrap())
    }

    fn owner(map: &Map, slot: u16) -> Option<&str> {
        map.server(slot).map(|server| server.name.as_str())
    }

    #[test]
    fn slots_have_owners_and_servers_without_slots_are_forgotten() {
        let (a, b, c) = (server(1), server(2), server(3));
        let mut map = Map::slots();
        assert_eq!(owner(&map, 0), None);
        map.assign(0, 99, &a);
        map.assign(100, 199, &b);
        map.assign(200, u16::MAX, &c);
        assert!(map.is_whole());
        assert_eq!((owner(&map, 99), owner(&map, 100)), (Some("127.0.0.1:1"), Some("127.0.0.1:2")));
        let before = map.clone();
        map.assign(0, 99, &c);
        map.tidy();
        assert_eq!(map.servers.len(), 2);
        assert_eq!((owner(&map, 0), owner(&map, 150)), (Some("127.0.0.1:3"), Some("127.0.0.1:2")));
        assert!(!map.is_same(&before) && before.is_same(&before.clone()));
        assert_eq!(map.places().len(), usize::from(SLOTS));
        assert!(map.server(SLOTS).is_none());
    }

    #[test]
    fn a_slot_without_a_server_makes_it_less_than_whole() {
        let mut map = Map::slots();
        map.assign(0, SLOTS - 2, &server(1));
        map.tidy();
        assert!(!map.is_whole());
        assert_eq!(map.places()[usize::from(SLOTS) - 1], None);
        assert!(Map::one(server(1)).is_whole() && !Map::default().is_whole());
        assert_eq!(Map::one(server(1)).places(), [Some(0)]);
        assert_eq!(Map::default().places(), [None]);
    }
}
