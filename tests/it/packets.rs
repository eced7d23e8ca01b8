//! `authtap report` on packet captures, as a user runs it.

mod command;
pub(crate) mod made;
mod partial;
