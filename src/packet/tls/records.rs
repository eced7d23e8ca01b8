//! The records of both directions, in an order in which each can be opened.

use std::ops::Range;

use super::keylog::Label;
use super::messages::{Agreed, Early};
use super::opener::{Before13, Opener, TLS13};
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, Direction, HANDSHAKE, HEADER, HEARTBEAT, Header, Next, Phase, version2,
};
use super::{KeyLog, Session, Why, why};

/// What came of trying the next record of a direction.
enum Step {
    /// It was read.
    Done,
    /// There is none, or not all of it.
    Empty,
    /// What the other side says must be read first.
    Wait,
}

/// A record as it lies in the buffer that was taken out of its direction.
struct Record<'a> {
    header: Header,
    fragment: &'a mut [u8],
}

impl Session {
    /// Reads all that can be read, beginning with the side whose bytes came.
    pub(super) fn run(&mut self, came: bool, keys: &KeyLog, plain: &mut impl FnMut(bool, &[u8])) {
        let mut now = came;
        loop {
            match self.step(now, keys, plain) {
                Step::Done => {
                    // What waited was sent before: a request in early data, before its answer.
                    if std::mem::take(&mut self.side(!now).waits) {
                        now = !now;
                    }
                }
                Step::Wait | Step::Empty if now == came => return,
                Step::Wait | Step::Empty => now = came,
            }
        }
    }

    fn step(&mut self, client: bool, keys: &KeyLog, plain: &mut impl FnMut(bool, &[u8])) -> Step {
        let side = self.side(client);
        if side.dark || side.ended {
            side.buffer.clear();
            side.at = 0;
            return Step::Empty;
        }
        let (header, length) = match side.next() {
            Next::Part => return Step::Empty,
            Next::Whole(header, length) => (header, length),
            Next::Damaged => {
                let old = version2(side.buffer.get(side.at..).unwrap_or_default());
                self.close(match (self.greeting.is_none(), old) {
                    (true, true) => Why::Version(0x0002),
                    (true, false) => Why::NotFromBeginning,
                    (false, _) => Why::Damaged,
                });
                return Step::Empty;
            }
        };
        let start = side.at;
        let mut buffer = std::mem::take(&mut side.buffer);
        let from = start + HEADER;
        let step = match buffer.get_mut(from..from + length) {
            Some(fragment) => self.record(client, Record { header, fragment }, keys, plain),
            None => Step::Empty,
        };
        let side = self.side(client);
        if !side.dark {
            side.buffer = buffer;
        }
        match step {
            Step::Done if !side.dark => side.at = from + length,
            Step::Wait => side.waits = true,
            _ => {}
        }
        step
    }

    fn record(&mut self, client: bool, record: Record<'_>, keys: &KeyLog, plain: &mut impl FnMut(bool, &[u8])) -> Step {
        let kind = record.header.kind;
        let tls13 = self.agreed.as_ref().is_some_and(|agreed| agreed.version == TLS13);
        let side = self.side(client);
        if tls13 && kind != APPLICATION_DATA {
            // The one record type that TLS 1.3 seals is application data. A ChangeCipherSpec means nothing there (RFC
            // 8446 section 5), and a ClientHello after early data is in clear text.
            let sealed = !matches!(side.phase, Phase::Plain | Phase::Refused);
            if kind == CHANGE_CIPHER_SPEC {
                return Step::Done;
            }
            if sealed && kind != ALERT {
                self.close(Why::Damaged);
                return Step::Done;
            }
            return self.clear(client, record, keys);
        }
        if tls13 && side.opener.is_none() {
            match self.unlock(client, keys) {
                Ok(()) => {}
                Err(step) => return step,
            }
        }
        if self.side(client).opener.is_none() {
            return self.clear(client, record, keys);
        }
        self.sealed(client, record, keys, plain)
    }

    /// A record in clear text.
    fn clear(&mut self, client: bool, record: Record<'_>, keys: &KeyLog) -> Step {
        let Record { header, fragment } = record;
        let first = fragment.first().copied();
        let greeted = self.greeting.is_some();
        let side = self.side(client);
        match header.kind {
            HANDSHAKE if !greeted && side.messages.is_empty() => match (client, first) {
                (true, Some(super::hello::CLIENT_HELLO)) => self.messages(client, fragment, keys),
                (false, Some(super::hello::SERVER_HELLO)) => return Step::Wait,
                _ => self.close(Why::NotFromBeginning),
            },
            HANDSHAKE => self.messages(client, fragment, keys),
            ALERT => match fragment {
                &mut [level, number] => self.alert(client, level, number),
                _ => self.close(if greeted { Why::Damaged } else { Why::NotFromBeginning }),
            },
            HEARTBEAT => {}
            _ if !greeted => self.close(Why::NotFromBeginning),
            // TLS 1.3's, which means nothing, after a HelloRetryRequest (RFC 8446 appendix D.4).
            CHANGE_CIPHER_SPEC if self.greeting.as_ref().is_some_and(|greeting| greeting.retried) => {}
            _ if self.agreed.is_none() => return Step::Wait,
            CHANGE_CIPHER_SPEC => self.change(client, keys),
            // Application data before its keys.
            _ => self.close(Why::Damaged),
        }
        Step::Done
    }

    /// A record that this side's keys open.
    fn sealed(&mut self, client: bool, record: Record<'_>, keys: &KeyLog, plain: &mut impl FnMut(bool, &[u8])) -> Step {
        let Record { header, fragment } = record;
        let Some((kind, text)) = self.opened(client, header, fragment) else { return Step::Done };
        let Some(text) = fragment.get(text) else { return Step::Done };
        match kind {
            HANDSHAKE => self.messages(client, text, keys),
            ALERT => match *text {
                [level, number] => self.alert(client, level, number),
                _ => self.close(Why::Damaged),
            },
            APPLICATION_DATA if self.why.is_some() => {
                // The other side is dark: half a conversation misleads.
                let why = self.why.unwrap_or(Why::NoSecrets);
                self.close(why);
            }
            APPLICATION_DATA => {
                self.open = true;
                if !text.is_empty() {
                    plain(client, text);
                }
            }
            CHANGE_CIPHER_SPEC if self.side(client).phase == Phase::Plain => {
                if self.agreed.is_none() {
                    self.close(Why::Damaged);
                } else {
                    self.change(client, keys);
                }
            }
            HEARTBEAT => {}
            _ => self.close(Why::Damaged),
        }
        Step::Done
    }

    /// Opens a fragment; `None` when it was passed over, or the session closed.
    fn opened(&mut self, client: bool, header: Header, fragment: &mut [u8]) -> Option<(u8, Range<usize>)> {
        let side = self.side(client);
        let opener = side.opener.as_mut()?;
        let fresh = opener.fresh();
        let length = fragment.len();
        match opener.open(header, fragment) {
            Some(found) => {
                if side.phase == Phase::Refused {
                    side.phase = Phase::Handshake;
                }
                Some(found)
            }
            None if side.phase == Phase::Refused && side.pass_over(length) => None,
            None => {
                self.close(if fresh { Why::DoNotFit } else { Why::Damaged });
                None
            }
        }
    }

    /// TLS 1.3: the first keys of a direction.
    fn unlock(&mut self, client: bool, keys: &KeyLog) -> Result<(), Step> {
        let (Some(greeting), Some(agreed)) = (&self.greeting, &self.agreed) else { return Err(Step::Wait) };
        let (phase, label) = match (client, agreed.early) {
            (false, _) => (Phase::Handshake, Label::ServerHandshake),
            (true, Early::None) => (Phase::Handshake, Label::ClientHandshake),
            (true, Early::Refused) => (Phase::Refused, Label::ClientHandshake),
            (true, Early::Accepted) => (Phase::Early, Label::ClientEarly),
            (true, Early::Offered) if self.server.dark => {
                self.darken(true, Why::NoSecrets);
                return Err(Step::Done);
            }
            (true, Early::Offered) => return Err(Step::Wait),
        };
        let random = greeting.random;
        if self.switch(client, phase, keys.find(&random, label)) { Ok(()) } else { Err(Step::Done) }
    }

    /// TLS 1.3: the keys of a secret are in force from the next record on; false when there are none.
    pub(super) fn switch(&mut self, client: bool, phase: Phase, secret: Option<&[u8]>) -> bool {
        let Some(agreed) = &self.agreed else { return false };
        let opener = match (agreed.suite, secret) {
            (None, _) => Err(Why::Suite(agreed.number)),
            (Some(_), None) => Err(Why::NoSecrets),
            (Some(suite), Some(secret)) => Opener::of_secret(suite, secret).ok_or(Why::DoNotFit),
        };
        match opener {
            Ok(opener) => {
                let side = self.side(client);
                side.opener = Some(opener);
                side.phase = phase;
                true
            }
            Err(why) => {
                self.darken(client, why);
                false
            }
        }
    }

    /// TLS up to 1.2: a ChangeCipherSpec, the keys that were agreed are in force from the next record on.
    fn change(&mut self, client: bool, keys: &KeyLog) {
        if self.next.is_none() {
            match self.derive(keys) {
                Ok((client, server)) => self.next = Some((Some(client), Some(server))),
                Err(why) => return self.darken(client, why),
            }
        }
        let next = self.next.as_mut().and_then(|(c, s)| if client { c.take() } else { s.take() });
        let side = self.side(client);
        if next.is_none() || !side.messages.is_empty() {
            return self.close(Why::Damaged);
        }
        side.opener = next;
    }

    fn derive(&self, keys: &KeyLog) -> Result<(Opener, Opener), Why> {
        let (Some(greeting), Some(agreed)) = (&self.greeting, &self.agreed) else { return Err(Why::Damaged) };
        let Agreed { version, number, suite, random, encrypted_first, .. } = agreed;
        let suite = suite.ok_or(Why::Suite(*number))?;
        let none = if self.open { Why::NoSecretsAnew } else { Why::NoSecrets };
        let master = keys.find(&greeting.random, Label::Master).ok_or(none)?;
        let before13 = Before13 {
            version: *version,
            suite,
            master,
            client_random: &greeting.random,
            server_random: random,
            encrypted_first: *encrypted_first,
        };
        before13.openers().ok_or(Why::Suite(*number))
    }

    /// Fatal ones are told. From TLS 1.3 on all are, but for two (RFC 8446 section 6).
    fn alert(&mut self, client: bool, level: u8, number: u8) {
        const CLOSE_NOTIFY: u8 = 0;
        const USER_CANCELED: u8 = 90;
        let tls13 = self.agreed.as_ref().is_some_and(|agreed| agreed.version == TLS13);
        if number == CLOSE_NOTIFY {
            self.side(client).ended = true;
        } else if level == 2 || (tls13 && number != USER_CANCELED) {
            let who = if client { "client" } else { "server" };
            self.facts.alert.get_or_insert_with(|| format!("the {who} sent the alert {}", why::alert(number)));
        }
    }
}

impl Direction {
    /// Passes over a record of early data that the server refused; false when that is more than a client sends so.
    fn pass_over(&mut self, length: usize) -> bool {
        const MOST: usize = 1024 * 1024;
        self.passed_over = self.passed_over.saturating_add(length);
        self.passed_over <= MOST
    }
}
