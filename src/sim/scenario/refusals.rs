//! Refusals before any handshake begins.

use std::net::SocketAddr;

use super::actor::Actor;
use super::{Outcome, Scenario, Story};
use crate::sim::iis::settings::Settings;

/// The 401 does not say how to authenticate.
pub const CHALLENGE_MISSING: Scenario = Scenario {
    name: "challenge-missing",
    title: "the server refuses, and does not say what it wants",
    findings: &["challenge-missing"],
    server: || Settings { hide_challenges: true, ..Settings::default() },
    run: challenge_missing,
};

/// The client has Basic only, the server Negotiate and NTLM only.
pub const NO_COMMON_SCHEME: Scenario = Scenario {
    name: "no-common-scheme",
    title: "the client speaks Basic only, the server does not",
    findings: &["no-common-scheme"],
    server: Settings::default,
    run: no_common_scheme,
};

fn challenge_missing(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut alice = Actor::direct(to, "alice").await?;
        alice.asks("/", &mut told).await?;
        alice.leaves(&mut told).await?;
        Ok(told)
    })
}

fn no_common_scheme(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut alice = Actor::direct(to, "alice").await?;
        alice.sends_basic("/", &mut told).await?;
        alice.sends_basic("/", &mut told).await?;
        alice.leaves(&mut told).await?;
        Ok(told)
    })
}
