//! Handshakes that end between CHALLENGE and AUTHENTICATE.

use std::net::SocketAddr;

use super::actor::Actor;
use super::{Outcome, Scenario, Story};
use crate::sim::iis::settings::{End, Settings};

/// `Connection: close` stands on the challenge itself.
pub const ANNOUNCED: Scenario = Scenario {
    name: "closed-announced",
    title: "the server announces the end of the connection together with its challenge",
    findings: &["connection-closed-mid-handshake"],
    server: || ending(End::Announced),
    run: left_alone,
};

/// A FIN follows the challenge.
pub const FIN: Scenario = Scenario {
    name: "closed-fin",
    title: "the server ends the connection after its challenge",
    findings: &["connection-closed-mid-handshake"],
    server: || ending(End::Fin),
    run: left_alone,
};

/// A RST meets the answer.
pub const RESET: Scenario = Scenario {
    name: "closed-reset",
    title: "the server resets the connection when the answer to its challenge comes",
    findings: &["connection-closed-mid-handshake"],
    server: || ending(End::Reset),
    run: reset,
};

/// The client gets its challenge, and goes away.
pub const UNANSWERED: Scenario = Scenario {
    name: "challenge-unanswered",
    title: "the client never answers the challenge",
    findings: &["challenge-unanswered"],
    server: Settings::default,
    run: unanswered,
};

fn ending(end: End) -> Settings {
    Settings { after_challenge: Some(end), ..Settings::default() }
}

fn left_alone(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut alice = Actor::direct(to, "alice").await?;
        alice.begins("/", &mut told).await?;
        alice.waits_for_the_end(&mut told).await;
        Ok(told)
    })
}

fn reset(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut alice = Actor::direct(to, "alice").await?;
        alice.begins("/", &mut told).await?;
        match alice.answers("/", &mut told).await {
            Ok(()) => {}
            Err(error) => told.say(format!("alice answers the challenge, and hears: {}", error.kind())),
        }
        Ok(told)
    })
}

fn unanswered(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut alice = Actor::direct(to, "alice").await?;
        alice.asks("/", &mut told).await?;
        alice.begins("/", &mut told).await?;
        alice.leaves(&mut told).await?;
        Ok(told)
    })
}
