//! Where events go. A sink runs on the observer's thread, never on the relay's.

pub mod jsonl;
pub mod pcapng;
pub mod trace;

use crate::model::event::Event;

/// Takes events.
pub trait Sink: Send {
    /// Its name in gaps and messages.
    fn name(&self) -> &'static str;
    /// Writes one event; an error is told as a gap and never stops the traffic.
    fn write(&mut self, event: &Event) -> Result<(), String>;
    /// Nothing more is to be written for the moment: what somebody may be waiting for must not wait in a buffer.
    /// Called some hundred times a second at most, so that a busy site costs one system call for many events.
    fn settle(&mut self) -> Result<(), String> {
        Ok(())
    }
    /// Makes what was written durable as far as the sink can.
    fn flush(&mut self) -> Result<(), String>;
}
