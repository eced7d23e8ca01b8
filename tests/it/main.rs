//! All integration tests of authtap that need nothing but cargo: one binary, one link.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test that fails is a test that fails")]

mod architecture;
mod bounded;
mod capture;
mod cases;
mod catalogue;
mod check;
mod cli;
mod consequences;
mod documents;
mod events;
mod fuzz;
mod iis;
mod insertion;
mod logs;
mod packet_tls;
mod packets;
mod pages;
mod program;
mod relay;
mod report;
mod scenarios;
mod secrets;
mod sim;
mod tls;
mod token;
mod wire;
mod wire_http2;
