//! Who may do what. Pure functions.
