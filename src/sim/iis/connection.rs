//! One connection: requests in, answers out, and the authentication that belongs to it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;

use super::answer;
use super::handshake::{Handshake, Step};
use super::log::{LogLine, win32};
use super::settings::{End, Settings};
use super::{Shared, lock};
use crate::model::Stamp;
use crate::sim::http::{Head, Wire};

/// Serves until one side ends the connection.
pub(super) async fn serve(stream: TcpStream, number: u64, shared: Arc<Shared>) {
    let client = stream.peer_addr().ok();
    let connection = Connection { wire: Wire::new(stream), client, number, shared, state: State::Anonymous };
    // A peer that goes away in the middle is everyday life for a server.
    let _ = connection.run().await;
}

/// What the server knows of who is at the other end. It belongs to the TCP connection, which is why a handshake that
/// is spread over two of them cannot succeed.
enum State {
    Anonymous,
    /// Between the legs. Any other request in between throws it away.
    Handshake(Handshake),
    Authenticated(String),
}

/// What a request comes to.
enum Verdict {
    /// An answer of the application, as this user.
    Welcome {
        user: String,
        /// `Persistent-Auth`, on the last answer of a handshake (MS-N2HT section 2.2).
        persistent: Option<bool>,
        /// The last token, with its scheme.
        token: Option<String>,
    },
    /// 401.1 with a token: the handshake goes on.
    Challenge { scheme: String, token: String },
    /// 401 with the bare offers.
    Refusal { substatus: u16, win32: u32 },
    /// 401.3: the user is known, and may not read this.
    Forbidden { user: String },
}

struct Connection {
    wire: Wire,
    client: Option<SocketAddr>,
    number: u64,
    shared: Arc<Shared>,
    state: State,
}

impl Connection {
    async fn run(mut self) -> io::Result<()> {
        loop {
            let head = match self.wire.head().await {
                Ok(Some(head)) => head,
                Ok(None) => return self.wire.finish().await,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let (head, page) = answer::bad_request(&self.shared.settings());
                    self.wire.write(&[head.encode(), page].concat()).await?;
                    return self.wire.finish().await;
                }
                Err(error) => return Err(error),
            };
            let body = self.wire.request_body(&head).await?;
            let settings = self.shared.settings();
            let verdict = match self.judge(&settings, head.get("Authorization")) {
                Verdict::Welcome { user, .. }
                    if settings.unreadable.as_ref().is_some_and(|path| head.word(1).starts_with(path)) =>
                {
                    Verdict::Forbidden { user }
                }
                verdict => verdict,
            };
            self.log(settings.clock.now(), &head, body.len(), &verdict);
            let challenged = matches!(verdict, Verdict::Challenge { .. });
            let (mut answer, page) = render(&settings, verdict);
            let end = settings.after_challenge.filter(|_| challenged);
            let closes = head.closes() || end == Some(End::Announced);
            if closes {
                answer = answer.with("Connection", "close");
            }
            let mut bytes = answer.encode();
            if head.word(0) != "HEAD" {
                bytes.extend(page);
            }
            self.wire.write(&bytes).await?;
            if end == Some(End::Reset) {
                self.wire.fill().await?;
                self.wire.reset();
                return Ok(());
            }
            if closes || end.is_some() {
                return self.wire.finish().await;
            }
        }
    }

    fn judge(&mut self, settings: &Settings, authorization: Option<&str>) -> Verdict {
        let Some(authorization) = authorization else {
            if let State::Authenticated(user) = &self.state {
                return Verdict::Welcome { user: user.clone(), persistent: None, token: None };
            }
            self.state = State::Anonymous;
            return Verdict::Refusal { substatus: 2, win32: win32::ACCESS_DENIED };
        };
        let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
        let before = std::mem::replace(&mut self.state, State::Anonymous);
        let offered = settings
            .offers
            .iter()
            .any(|offer| offer.split(' ').next().is_some_and(|name| name.eq_ignore_ascii_case(scheme)));
        let token = STANDARD.decode(token.trim()).ok();
        match (offered, scheme.to_ascii_lowercase().as_str()) {
            (true, "basic") => self.basic(token.as_deref()),
            (true, "ntlm" | "negotiate") => {
                let handshake = match before {
                    State::Handshake(handshake) if handshake.is_under(scheme) => handshake,
                    _ => Handshake::new(scheme),
                };
                self.leg(settings, handshake, token.as_deref())
            }
            // As if nothing had been sent: nobody here can read it.
            _ => Verdict::Refusal { substatus: 2, win32: win32::ACCESS_DENIED },
        }
    }

    fn leg(&mut self, settings: &Settings, handshake: Handshake, token: Option<&[u8]>) -> Verdict {
        let scheme = handshake.scheme().to_owned();
        let time = || self.shared.challenge_time(settings);
        let step = {
            let mut accounts = lock(&self.shared.accounts);
            handshake.step(settings, time, &mut accounts, token.unwrap_or_default())
        };
        match step {
            Step::Continue(next, token) => {
                self.state = State::Handshake(next);
                Verdict::Challenge { scheme, token: STANDARD.encode(token) }
            }
            Step::Done(user, token) => {
                if settings.persistent {
                    self.state = State::Authenticated(user.clone());
                }
                Verdict::Welcome {
                    user,
                    persistent: Some(settings.persistent),
                    token: token.map(|token| format!("{scheme} {}", STANDARD.encode(token))),
                }
            }
            Step::Refused(win32) => Verdict::Refusal { substatus: 1, win32 },
        }
    }

    /// Basic (RFC 7617) proves each request by itself and leaves nothing on the connection.
    fn basic(&self, token: Option<&[u8]>) -> Verdict {
        let text = token.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let verdict = match text.and_then(|text| text.split_once(':')) {
            Some((user, password)) => lock(&self.shared.accounts).check(user, password),
            None => Err(win32::LOGON_FAILURE),
        };
        match verdict {
            Ok(user) => Verdict::Welcome { user, persistent: None, token: None },
            Err(win32) => Verdict::Refusal { substatus: 1, win32 },
        }
    }

    fn log(&self, at: Stamp, head: &Head, body_bytes: usize, verdict: &Verdict) {
        let (user, status, substatus, win32) = match verdict {
            Verdict::Welcome { user, .. } => (Some(user.clone()), 200, 0, win32::SUCCESS),
            Verdict::Challenge { .. } => (None, 401, 1, win32::NO_CREDENTIALS),
            Verdict::Refusal { substatus, win32 } => (None, 401, *substatus, *win32),
            Verdict::Forbidden { user } => (Some(user.clone()), 401, 3, win32::ACCESS_DENIED),
        };
        lock(&self.shared.log).push(LogLine {
            at,
            connection: self.number,
            client: self.client,
            agent: head.get("User-Agent").map(str::to_owned),
            method: head.word(0).to_owned(),
            path: head.word(1).split('?').next().unwrap_or_default().to_owned(),
            user,
            forwarded_for: head.get("X-Forwarded-For").map(str::to_owned),
            body_bytes,
            status,
            substatus,
            win32,
        });
    }
}

fn render(settings: &Settings, verdict: Verdict) -> (Head, Vec<u8>) {
    match verdict {
        Verdict::Welcome { user, persistent, token } => {
            let (mut head, page) = answer::welcome(settings, &user);
            if let Some(token) = token {
                head = head.with("WWW-Authenticate", token);
            }
            if let Some(persistent) = persistent {
                head = head.with("Persistent-Auth", persistent.to_string());
            }
            (head, page)
        }
        Verdict::Challenge { scheme, token } => answer::challenge(settings, &scheme, &token),
        Verdict::Refusal { .. } | Verdict::Forbidden { .. } => answer::refusal(settings),
    }
}
