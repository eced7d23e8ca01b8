//! A simulated IIS, a load balancer and scripted clients on raw sockets, for `demo` and for tests.
//!
//! - [`iis`] answers as IIS does: authentication belongs to the TCP connection, NTLMv2 responses are really verified,
//!   and it keeps the log that IIS would keep.
//! - [`balancer`] stands before it and pools connections (the defect), or pins them (the cure).
//! - [`client`] speaks the steps of a logon one by one; [`scenario`] puts steps together into stories.
//! - [`ntlm`] and [`spnego`] are the only encoders of tokens in this package. They share nothing with
//!   [`crate::token`], which reads tokens: each is a judge of the other.
//!
//! Everything listens on loopback, on a port that the kernel chooses, and ends when its handle is dropped. Nothing
//! here waits for time to pass: an order of events is made by waiting for the event before.

pub mod balancer;
pub mod client;
mod http;
pub mod iis;
pub mod ntlm;
pub mod scenario;
pub mod spnego;
mod task;
