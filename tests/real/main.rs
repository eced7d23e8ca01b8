//! authtap between real servers and real clients: Apache, nginx, a Kerberos KDC, curl, requests-ntlm, requests-gssapi, pyspnego.
//!
//! Everything else in this repository is checked against our own idea of the protocols. Here programs that other people wrote have the
//! word. `docs/testing.md` draws the rig; `tests/rig/install.sh` installs it, and `make test` does that before it runs this. Where it
//! is not installed these tests fail and say so: they never skip.
//!
//! Nothing here sleeps or tries again: a program is ready when it says so, a client is done when it has ended, and the order in which
//! legs meet in a pool is made, not waited for. Every program gets a port that was free a moment ago, and ends with its test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test says what is wrong by panicking, and shows what the programs had said"
)]

mod authtap;
mod broken;
mod check;
mod clients;
mod haproxy;
mod hops;
mod ledger;
mod packets;
mod parts;
mod pcapng;
mod process;
mod recorder;
mod rig;
mod tcpdump;

mod bindings;
mod breakages;
mod breakages_accounts;
mod breakages_farms;
mod breakages_headers;
mod breakages_on_the_way;
mod breakages_pools;
mod captures;
mod http2;
mod logons;
mod moments;
mod oracle;
mod packet_files;
mod packet_streams;
mod packet_tls;
#[path = "../it/packets/made.rs"]
mod packets_made;
#[path = "../it/token/pyspnego.rs"]
mod peer;
mod rig_itself;
mod soak;
mod soak_clients;
mod splits;
mod tshark;
