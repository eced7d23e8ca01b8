//! The capture file: JSON Lines, one event a line. `docs/capture.md` tells users about it.
//!
//! [`v1`] is the format itself, [`writer`] the file with its rotation, [`reader`] the way back to events.

pub mod reader;
pub mod v1;
pub mod writer;
