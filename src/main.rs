//! authtap
fn main() {}
