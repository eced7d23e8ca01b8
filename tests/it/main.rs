//! All integration tests of authtap that need nothing but cargo: one binary, one link.
