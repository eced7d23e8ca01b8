//! What a report says: events in, a [`View`](view::View) out, and functions from a view to text.
//!
//! Pure: nothing here prints, reads a clock or knows a file.

pub mod decode;
pub mod explain;
pub mod join;
pub mod packets;
pub mod terminal;
pub mod text;
pub mod v1;
pub mod view;

mod pairing;
mod roots;
mod seen;
