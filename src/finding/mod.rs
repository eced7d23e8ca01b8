//! The catalogue of findings, and the engine that runs it.

use crate::model::Stamp;
use crate::model::event::Event;
use crate::wire::observation::Observation;

/// What the operator may set of tracking and findings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Key of the fingerprints of this run.
    pub key: [u8; 16],
}

/// Observations in, events out: decoding, tracking and the catalogue. Pure: the same input gives the same events.
#[derive(Debug)]
pub struct Engine {
    _settings: Settings,
}

impl Engine {
    /// A new engine that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            _settings: settings,
        }
    }

    /// Takes in one observation and appends what follows from it.
    pub fn observe(&mut self, _observation: Observation, _out: &mut Vec<Event>) {}

    /// Time passes without an observation: deadlines up to `now` fall due.
    pub fn advance(&mut self, _now: Stamp, _out: &mut Vec<Event>) {}

    /// The end: what was still open is judged, and the `stop` event is appended.
    pub fn finish(&mut self, _at: Stamp, _out: &mut Vec<Event>) {}
}
