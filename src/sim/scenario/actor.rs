//! Somebody in a story: a client, a name, and an outcome that grows with each step.

use std::io;
use std::net::SocketAddr;

use super::Outcome;
use crate::sim::client::{Carriage, Client, Login, Reply};
use crate::sim::iis::settings::PASSWORD;

/// `User-Agent` of the scripted clients.
const AGENT: &str = "authtap-demo/1.0";

/// A person at a machine, with one connection.
#[derive(Debug)]
pub(super) struct Actor {
    who: String,
    pub(super) client: Client,
    pub(super) login: Login,
}

impl Actor {
    /// Connects to `to`. `address` is where the person sits, as `X-Forwarded-For` tells it; documentation addresses
    /// (RFC 5737). The password is right.
    pub(super) async fn at(to: SocketAddr, user: &str, address: &str) -> io::Result<Self> {
        Ok(Self {
            who: format!("{user} ({address})"),
            client: Client::connect(to).await?.seen_as(address, AGENT),
            login: Login::new("EXAMPLE", user, PASSWORD),
        })
    }

    /// Connects to `to` without anything between, so without `X-Forwarded-For`.
    pub(super) async fn direct(to: SocketAddr, user: &str) -> io::Result<Self> {
        let mut client = Client::connect(to).await?;
        client.agent = Some(AGENT.to_owned());
        Ok(Self { who: user.to_owned(), client, login: Login::new("EXAMPLE", user, PASSWORD) })
    }

    #[must_use]
    pub(super) fn with_password(mut self, password: &str) -> Self {
        self.login = Login::new(&self.login.domain, &self.login.user, password);
        self
    }

    /// Somebody else at the same connection, with the right password.
    pub(super) fn becomes(&mut self, user: &str) {
        user.clone_into(&mut self.who);
        self.login = Login::new("EXAMPLE", user, PASSWORD);
    }

    #[must_use]
    pub(super) fn carried(mut self, carriage: Carriage) -> Self {
        self.client = self.client.carried(carriage);
        self
    }

    /// A GET without credentials.
    pub(super) async fn asks(&mut self, path: &str, told: &mut Outcome) -> io::Result<()> {
        let reply = self.client.get(path).await?;
        told.step(&format!("{} asks for {path} without credentials", self.who), &reply);
        Ok(())
    }

    /// The first leg.
    pub(super) async fn begins(&mut self, path: &str, told: &mut Outcome) -> io::Result<()> {
        let reply = self.client.type1(path).await?;
        told.step(&format!("{} begins a logon (NEGOTIATE)", self.who), &reply);
        Ok(())
    }

    /// The last leg.
    pub(super) async fn answers(&mut self, path: &str, told: &mut Outcome) -> io::Result<()> {
        let reply = self.client.type3(path, &self.login).await?;
        told.step(&format!("{} answers the challenge (AUTHENTICATE)", self.who), &reply);
        Ok(())
    }

    /// A request without credentials, and both legs.
    pub(super) async fn logs_on(&mut self, path: &str, told: &mut Outcome) -> io::Result<()> {
        self.asks(path, told).await?;
        self.begins(path, told).await?;
        self.answers(path, told).await
    }

    /// A GET with Basic credentials, unasked.
    pub(super) async fn sends_basic(&mut self, path: &str, told: &mut Outcome) -> io::Result<()> {
        let reply = self.client.basic(path, &self.login).await?;
        told.step(&format!("{} sends Basic credentials", self.who), &reply);
        Ok(())
    }

    /// Waits for the server's end of the connection.
    pub(super) async fn waits_for_the_end(self, told: &mut Outcome) {
        let how = if self.client.ended().await { "ends" } else { "resets" };
        told.say(format!("{}: the server {how} the connection", self.who));
    }

    /// Ends the connection.
    pub(super) async fn leaves(self, told: &mut Outcome) -> io::Result<()> {
        told.say(format!("{} ends the connection", self.who));
        self.client.close().await
    }
}

impl Outcome {
    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn step(&mut self, what: &str, reply: &Reply) {
        self.statuses.push(reply.status);
        self.say(format!("{what}: {}", in_words(reply)));
    }
}

fn in_words(reply: &Reply) -> String {
    let offers: Vec<&str> = reply.all("WWW-Authenticate").collect();
    match reply.status {
        200 => format!("200, \"{}\"", reply.text().trim_end()),
        401 if offers.is_empty() => "401, and no word about how to authenticate".to_owned(),
        401 if offers.iter().any(|offer| {
            offer
                .split(' ')
                .nth(1)
                // A token68, which may end in padding, and not a parameter.
                .is_some_and(|rest| !rest.trim_end_matches('=').contains('='))
        }) =>
        {
            "401 with a CHALLENGE".to_owned()
        }
        401 => format!("401, refused; the server offers {}", offers.join(", ")),
        other => other.to_string(),
    }
}
