//! Which connections stand before a hop and which behind it: an engine for each side, and one diagnosis of all.

use crate::finding::Settings;
use crate::model::Stamp;
use crate::model::event::Event;
use crate::wire::observation::Observation;

/// All sides of a capture.
#[derive(Debug)]
pub struct Sides {}

impl Sides {
    /// Nothing seen yet.
    pub fn new(_settings: Settings) -> Self {
        Self {}
    }

    /// Takes in an observation; events that are final already go to `out`.
    pub fn observe(&mut self, _observation: Observation, _out: &mut impl FnMut(Event)) {}

    /// The end: everything that was held back goes to `out`, the findings last.
    pub fn finish(self, _at: Stamp, _out: &mut impl FnMut(Event)) {}
}
