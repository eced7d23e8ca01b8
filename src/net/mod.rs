//! The relay and its surroundings.
