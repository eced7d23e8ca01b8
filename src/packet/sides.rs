//! Which connections stand before a hop and which behind it: an engine for each side, and one diagnosis of all.

use crate::finding::{Engine, Settings};
use crate::model::Stamp;
use crate::model::event::Event;
use crate::wire::observation::Observation;

/// All sides of a capture.
#[derive(Debug)]
pub struct Sides {
    engine: Engine,
    events: Vec<Event>,
}

impl Sides {
    /// Nothing seen yet.
    pub fn new(settings: Settings) -> Self {
        Self { engine: Engine::new(settings), events: Vec::new() }
    }

    /// Takes in an observation; events that are final already go to `out`.
    pub fn observe(&mut self, observation: Observation, _out: &mut impl FnMut(Event)) {
        self.engine.observe(observation, &mut self.events);
    }

    /// The end: everything that was held back goes to `out`, the findings last.
    pub fn finish(mut self, at: Stamp, out: &mut impl FnMut(Event)) {
        self.engine.finish(at, &mut self.events);
        self.events.drain(..).for_each(out);
    }
}
