//! What a change asks for.
