//! `authtap report` on packet captures, as a user runs it.

pub(crate) mod made;
mod partial;
