//! The operator's settings.
