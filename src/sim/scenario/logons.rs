//! Logons that stay on one connection, well and badly.

use std::net::SocketAddr;

use super::actor::Actor;
use super::{Outcome, Scenario, Story};
use crate::sim::balancer::{Balancer, Policy};
use crate::sim::client::Carriage;
use crate::sim::iis::settings::Settings;

/// Alice logs on as she should, asks again, and uploads something.
pub const HEALTHY: Scenario = Scenario {
    name: "healthy",
    title: "alice logs on, and stays logged on",
    findings: &[],
    server: Settings::default,
    run: healthy,
};

/// The same under `Negotiate`, raw and inside SPNEGO.
pub const HEALTHY_NEGOTIATE: Scenario = Scenario {
    name: "healthy-negotiate",
    title: "NTLM under Negotiate, raw and inside SPNEGO",
    findings: &[],
    server: Settings::default,
    run: healthy_negotiate,
};

/// Two clients at once through a balancer that pins.
pub const HEALTHY_PINNED: Scenario = Scenario {
    name: "healthy-pinned",
    title: "alice and bob log on at the same time through a balancer that pins",
    findings: &[],
    server: Settings::default,
    run: healthy_pinned,
};

/// Bob's password is wrong; nothing else is.
pub const WRONG_PASSWORD: Scenario = Scenario {
    name: "wrong-password",
    title: "bob mistypes his password",
    findings: &["credentials-rejected"],
    server: Settings::default,
    run: wrong_password,
};

/// Bob's password is wrong five times in a row, and the account is locked.
pub const LOCKOUT: Scenario = Scenario {
    name: "lockout",
    title: "a saved wrong password is tried again and again",
    findings: &["credentials-rejected", "lockout-risk"],
    server: || Settings { lockout_after: Some(5), ..Settings::default() },
    run: lockout,
};

/// Bob logs on where alice is logged on.
pub const IDENTITY_CHANGED: Scenario = Scenario {
    name: "identity-changed",
    title: "a second user logs on over the connection of the first",
    findings: &["identity-changed-on-connection"],
    server: Settings::default,
    run: identity_changed,
};

/// The server forgets alice after each request.
pub const NOT_PERSISTENT: Scenario = Scenario {
    name: "not-persistent",
    title: "each request needs a logon of its own",
    findings: &["authentication-not-persistent"],
    server: || Settings { persistent: false, ..Settings::default() },
    run: not_persistent,
};

fn healthy(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut alice = Actor::direct(to, "alice").await?;
        alice.logs_on("/", &mut told).await?;
        alice.asks("/reports", &mut told).await?;
        let reply = alice.client.post("/upload", b"some words").await?;
        told.statuses.push(reply.status);
        told.say(format!("alice uploads ten bytes without credentials: {}", reply.status));
        alice.leaves(&mut told).await?;
        Ok(told)
    })
}

fn healthy_negotiate(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        for carriage in [Carriage::NegotiateRaw, Carriage::NegotiateSpnego] {
            let mut alice = Actor::direct(to, "alice").await?.carried(carriage);
            alice.logs_on("/", &mut told).await?;
            alice.asks("/reports", &mut told).await?;
            alice.leaves(&mut told).await?;
        }
        Ok(told)
    })
}

fn healthy_pinned(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let balancer = Balancer::start(to, Policy::Pinned).await?;
        let mut alice = Actor::at(balancer.address(), "alice", "192.0.2.21").await?;
        let mut bob = Actor::at(balancer.address(), "bob", "192.0.2.22").await?;
        alice.begins("/", &mut told).await?;
        bob.begins("/", &mut told).await?;
        alice.answers("/", &mut told).await?;
        bob.answers("/", &mut told).await?;
        alice.leaves(&mut told).await?;
        bob.leaves(&mut told).await?;
        balancer.stop().await;
        Ok(told)
    })
}

fn wrong_password(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut bob = Actor::direct(to, "bob").await?.with_password("Passwort1-test");
        bob.logs_on("/", &mut told).await?;
        bob.leaves(&mut told).await?;
        Ok(told)
    })
}

fn lockout(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut bob = Actor::direct(to, "bob").await?.with_password("Passwort1-test");
        for _ in 0..5 {
            bob.begins("/mail", &mut told).await?;
            bob.answers("/mail", &mut told).await?;
        }
        bob.leaves(&mut told).await?;
        let mut bob = Actor::direct(to, "bob").await?;
        told.say("bob now types the right password, and it does not help");
        bob.begins("/", &mut told).await?;
        bob.answers("/", &mut told).await?;
        bob.leaves(&mut told).await?;
        Ok(told)
    })
}

fn identity_changed(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut actor = Actor::direct(to, "alice").await?;
        actor.logs_on("/", &mut told).await?;
        told.say("the same connection is then used for bob");
        actor.becomes("bob");
        actor.begins("/", &mut told).await?;
        actor.answers("/", &mut told).await?;
        actor.asks("/", &mut told).await?;
        actor.leaves(&mut told).await?;
        Ok(told)
    })
}

fn not_persistent(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let mut alice = Actor::direct(to, "alice").await?;
        for path in ["/", "/reports", "/reports/2"] {
            alice.logs_on(path, &mut told).await?;
        }
        alice.leaves(&mut told).await?;
        Ok(told)
    })
}
