//! Handshake messages: what they make known, and which keys they put into force.

use super::derive::expand;
use super::hello::{
    CERTIFICATE, CERTIFICATE_REQUEST, CLIENT_HELLO, ClientHello, ENCRYPTED_EXTENSIONS, END_OF_EARLY_DATA, Encrypted,
    FINISHED, KEY_UPDATE, SERVER_HELLO, ServerHello, first_certificate,
};
use super::keylog::{Key, Label};
use super::opener::{TLS10, TLS12, TLS13};
use super::read::Cursor;
use super::record::{MESSAGE, Phase};
use super::suite::{self, Suite};
use super::{KeyLog, Session, Why, why};
use zeroize::Zeroizing;

/// What a ClientHello leaves to be remembered.
pub(super) struct Greeting {
    pub(super) random: [u8; 32],
    early_data: bool,
    /// The server asked for another hello.
    pub(super) retried: bool,
}

/// What a ServerHello agrees on.
pub(super) struct Agreed {
    pub(super) version: u16,
    pub(super) number: u16,
    pub(super) suite: Option<Suite>,
    pub(super) random: [u8; 32],
    pub(super) encrypted_first: bool,
    pub(super) early: Early,
    /// TLS 1.3: the traffic secrets after key updates, the client's and the server's.
    updated: [Option<Key>; 2],
}

/// What becomes of data before the handshake is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    /// There is none.
    None,
    /// The server has not yet said.
    Offered,
    /// It is part of what the client sends.
    Accepted,
    /// The client sends it again.
    Refused,
}

impl Session {
    /// More of a side's handshake messages.
    pub(super) fn messages(&mut self, client: bool, bytes: &[u8], keys: &KeyLog) {
        let mut held = std::mem::take(&mut self.side(client).messages);
        let whole = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        let mut rest = Cursor(whole);
        loop {
            let before = rest;
            let (Some(kind), Some(body)) = (rest.number(1), rest.vector(3)) else {
                rest = before;
                break;
            };
            let phase = self.side(client).phase;
            if self.message(client, u8::try_from(kind).unwrap_or_default(), body.0, keys).is_none() {
                self.close(Why::Damaged);
            }
            let side = self.side(client);
            if side.dark {
                return;
            }
            // Keys change between records (RFC 8446 section 5.1).
            if side.phase != phase && !rest.is_empty() {
                return self.close(Why::Damaged);
            }
        }
        let promised = Cursor(rest.0.get(1..).unwrap_or_default()).number(3).unwrap_or_default();
        if promised > MESSAGE {
            return self.close(Why::Damaged);
        }
        // What was held already is kept as it is: a message in many small records is not copied for each.
        let (left, all) = (rest.0.len(), whole.len());
        self.side(client).messages = if left == all && !held.is_empty() { held } else { rest.0.to_vec() };
    }

    /// One message; `None` when it cannot be what it says.
    fn message(&mut self, client: bool, kind: u8, body: &[u8], keys: &KeyLog) -> Option<()> {
        let tls13 = self.agreed.as_ref().is_some_and(|agreed| agreed.version == TLS13);
        match (kind, client) {
            (CLIENT_HELLO, true) => self.client_hello(&ClientHello::read(body)?),
            (SERVER_HELLO, false) => self.server_hello(&ServerHello::read(body)?)?,
            (ENCRYPTED_EXTENSIONS, false) if tls13 => self.encrypted(Encrypted::read(body)?),
            (CERTIFICATE, false) => {
                if let Some(der) = first_certificate(body, tls13) {
                    self.facts.certificate = (self.certificate)(der);
                }
            }
            (CERTIFICATE_REQUEST, false) => self.facts.client_certificate_requested = true,
            (END_OF_EARLY_DATA, true) if self.client.phase == Phase::Early => {
                self.traffic(client, Phase::Handshake, Label::ClientHandshake, keys);
            }
            (FINISHED, _) if !tls13 => self.open |= self.why.is_none(),
            (FINISHED, _) => {
                let label = if client { Label::ClientTraffic } else { Label::ServerTraffic };
                self.traffic(client, Phase::Traffic, label, keys);
                self.open |= self.why.is_none();
            }
            (KEY_UPDATE, _) if self.side(client).phase == Phase::Traffic => self.update(client, keys)?,
            _ => {}
        }
        Some(())
    }

    fn client_hello(&mut self, hello: &ClientHello) {
        // After a HelloRetryRequest, which may be read before it, the second hello agrees with the first.
        let retried = self.greeting.as_ref().is_some_and(|greeting| greeting.retried);
        let anew = self.open && !retried;
        if hello.server_name.is_some() || !anew {
            self.facts.sni.clone_from(&hello.server_name);
        }
        if !hello.alpn.is_empty() || !anew {
            self.facts.alpn_offered.clone_from(&hello.alpn);
        }
        if retried {
            return;
        }
        self.greeting = Some(Greeting { random: hello.random, early_data: hello.early_data, retried: false });
        self.agreed = None;
        self.next = None;
    }

    fn server_hello(&mut self, hello: &ServerHello) -> Option<()> {
        let greeting = self.greeting.as_mut()?;
        if hello.retry {
            greeting.retried = true;
            return Some(());
        }
        if self.agreed.is_some() {
            return None;
        }
        self.facts.version = Some(why::version(hello.version));
        let name = suite::name(hello.suite).map_or_else(|| format!("0x{:04x}", hello.suite), ToOwned::to_owned);
        self.facts.cipher = Some(name);
        if !(TLS10..=TLS13).contains(&hello.version) {
            self.close(Why::Version(hello.version));
            return Some(());
        }
        if hello.version <= TLS12 {
            self.facts.alpn_chosen.clone_from(&hello.alpn);
        }
        let early = match (greeting.early_data, greeting.retried) {
            (false, _) => Early::None,
            (true, false) => Early::Offered,
            (true, true) => Early::Refused,
        };
        self.agreed = Some(Agreed {
            version: hello.version,
            number: hello.suite,
            suite: Suite::numbered(hello.suite).filter(|suite| suite.tls13 == (hello.version == TLS13)),
            random: hello.random,
            encrypted_first: hello.encrypt_then_mac,
            early,
            updated: [None, None],
        });
        Some(())
    }

    fn encrypted(&mut self, encrypted: Encrypted) {
        self.facts.alpn_chosen = encrypted.alpn;
        if let Some(agreed) = &mut self.agreed
            && agreed.early == Early::Offered
        {
            agreed.early = if encrypted.early_data { Early::Accepted } else { Early::Refused };
        }
    }

    /// TLS 1.3: the next keys of a side, by a secret of the key log.
    fn traffic(&mut self, client: bool, phase: Phase, label: Label, keys: &KeyLog) {
        if let Some(random) = self.greeting.as_ref().map(|greeting| greeting.random) {
            self.switch(client, phase, keys.find(&random, label));
        }
    }

    /// A key update (RFC 8446 section 7.2, "Updating Traffic Secrets").
    fn update(&mut self, client: bool, keys: &KeyLog) -> Option<()> {
        let label = if client { Label::ClientTraffic } else { Label::ServerTraffic };
        let random = self.greeting.as_ref()?.random;
        let agreed = self.agreed.as_mut()?;
        let suite = agreed.suite?;
        let secret = agreed.updated.get_mut(usize::from(!client))?;
        let mut next: Key = Zeroizing::new(vec![0; suite.hash.length()].into_boxed_slice());
        let current = secret.as_ref().map(|secret| &***secret).or_else(|| keys.find(&random, label))?;
        expand(suite.hash, current, "traffic upd", &mut next)?;
        *secret = Some(next.clone());
        self.switch(client, Phase::Traffic, Some(&next));
        Some(())
    }
}
