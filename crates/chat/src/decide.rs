//! What a batch of changes does, decided under the lock. Pure.
