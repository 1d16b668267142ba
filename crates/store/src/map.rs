//! Maps and sets with the ids of rows as keys: a batch of messages looks some twenty times into one for each of them.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

/// A map whose order of iteration is the same in every run, so that one seed decides everything. For ids of rows that are
/// there, which servers made, or for as many as a batch has: whoever may choose many keys can make them collide.
pub type IdMap<K, V> = HashMap<K, V, FixedState>;
/// The same as a set.
pub type IdSet<K> = HashSet<K, FixedState>;
