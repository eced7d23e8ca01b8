//! What a pool of upstream connections does to authentication that belongs to a connection.

use std::net::SocketAddr;

use super::actor::Actor;
use super::{Outcome, Scenario, Story};
use crate::sim::balancer::{Balancer, Policy};
use crate::sim::iis::settings::Settings;

/// Alice and bob log on at the same time, with the right passwords, and both are refused. Each AUTHENTICATE comes on
/// another connection than its CHALLENGE: alice's where no challenge is pending, bob's where alice's is.
pub const SPLIT: Scenario = Scenario {
    name: "split-handshake",
    title: "alice and bob log on at the same time through a pooling balancer",
    findings: &["handshake-split-across-connections"],
    server: Settings::default,
    run: split,
};

/// Alice logs on through the pool; carol asks without credentials, and is answered as alice.
pub const SHARED: Scenario = Scenario {
    name: "shared-connection",
    title: "carol, without credentials, is served as alice",
    findings: &["authenticated-connection-shared"],
    server: Settings::default,
    run: shared,
};

/// Alice's and bob's legs alternate on a single connection: bob's NEGOTIATE throws alice's challenge away.
pub const INTERLEAVED: Scenario = Scenario {
    name: "interleaved",
    title: "two handshakes alternate on one connection",
    findings: &["handshake-interleaved"],
    server: Settings::default,
    run: interleaved,
};

/// Carol's bare request comes between alice's CHALLENGE and AUTHENTICATE on one connection.
pub const ANONYMOUS_BETWEEN: Scenario = Scenario {
    name: "anonymous-between",
    title: "another client's request comes into the middle of a handshake",
    findings: &["handshake-interleaved"],
    server: Settings::default,
    run: anonymous_between,
};

fn split(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        // Three connections in turn: 1 and 2 take the bare requests, 3 and 1 challenge alice and bob, and the
        // answers then go to 2 and 3.
        let balancer = Balancer::start(to, Policy::InTurn(3)).await?;
        let mut alice = Actor::at(balancer.address(), "alice", "192.0.2.21").await?;
        let mut bob = Actor::at(balancer.address(), "bob", "192.0.2.22").await?;
        alice.asks("/", &mut told).await?;
        bob.asks("/", &mut told).await?;
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

fn shared(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let balancer = Balancer::start(to, Policy::LastUsed).await?;
        let mut alice = Actor::at(balancer.address(), "alice", "192.0.2.21").await?;
        let mut carol = Actor::at(balancer.address(), "carol", "192.0.2.23").await?;
        alice.logs_on("/payslip", &mut told).await?;
        carol.asks("/payslip", &mut told).await?;
        alice.leaves(&mut told).await?;
        carol.leaves(&mut told).await?;
        balancer.stop().await;
        Ok(told)
    })
}

fn interleaved(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let balancer = Balancer::start(to, Policy::InTurn(1)).await?;
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

fn anonymous_between(to: SocketAddr) -> Story {
    Box::pin(async move {
        let mut told = Outcome::default();
        let balancer = Balancer::start(to, Policy::InTurn(1)).await?;
        let mut alice = Actor::at(balancer.address(), "alice", "192.0.2.21").await?;
        let mut carol = Actor::at(balancer.address(), "carol", "192.0.2.23").await?;
        alice.begins("/", &mut told).await?;
        carol.asks("/news", &mut told).await?;
        alice.answers("/", &mut told).await?;
        alice.leaves(&mut told).await?;
        carol.leaves(&mut told).await?;
        balancer.stop().await;
        Ok(told)
    })
}
