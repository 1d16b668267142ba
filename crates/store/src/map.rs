//! Maps and sets with ids as keys: a batch of messages looks some twenty times into one for each of them.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

/// A map whose order of iteration is the same in every run, so that one seed decides everything. For keys that servers
/// make, not clients: whoever may choose the keys could make them collide.
pub type Map<K, V> = HashMap<K, V, FixedState>;
/// The same as a set.
pub type Set<K> = HashSet<K, FixedState>;
