//! authtap
