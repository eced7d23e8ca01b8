//! The asking: few connections, few requests, and nobody's password unless it is given.
//!
//! Without an account these are at most five requests: one without credentials, an NTLM NEGOTIATE, one that shows
//! whether the connection outlived the CHALLENGE, and one with a large field (a NEGOTIATE is sent anew when the
//! connection was lost). An account adds three. None of them can count as a wrong password but the account's own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::facts::{Answer, Ended, Facts, Insertion, Kept, Large, Logon, Place, Reach};
use super::peer::Peer;
use crate::model::Secret;
use crate::model::auth::{Scheme, Token};
use crate::model::transport::Certificate;
use crate::net::tls::{UpstreamTls, Verify};
use crate::net::{self, Clock, Opened, Upstream};
use crate::sim::client::Login;
use crate::sim::ntlm::message::Negotiate;
use crate::token::Key;

/// The large field.
const FIELD: &str = "X-Authtap-Check";

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The server. Its certificate is judged and never refused: what a refusal would mean is for the judge to say.
    pub upstream: Upstream,
    /// How authtap would be inserted.
    pub insertion: Insertion,
    /// What to GET.
    pub path: String,
    /// Who logs on, if anybody.
    pub account: Option<Account>,
    /// Bytes of the large field; 0 for none.
    pub large: usize,
    /// How long each step may take.
    pub limit: Duration,
    /// For fingerprints; nothing of them is shown.
    pub key: Key,
}

/// Somebody who may log on.
#[derive(Debug, Clone)]
pub struct Account {
    /// `DOMAIN\user` or `user@domain`.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// Asks.
pub async fn ask(question: &Question, clock: Clock) -> Facts {
    let server = place(&question.upstream);
    let host = authority(question.insertion.public.as_ref().unwrap_or(&server));
    let facts =
        Facts { server, host, path: question.path.clone(), insertion: question.insertion.clone(), ..Facts::default() };
    let mut asking = Asking { question, clock, facts };
    asking.all().await;
    asking.facts
}

fn place(upstream: &Upstream) -> Place {
    Place { tls: upstream.tls.is_some(), host: upstream.host.clone(), port: upstream.port }
}

/// `Host` as clients write it: without the port that the scheme has anyway.
fn authority(place: &Place) -> String {
    let host = if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
    let usual = if place.tls { 443 } else { 80 };
    if place.port == usual { host } else { format!("{host}:{}", place.port) }
}

struct Asking<'a> {
    question: &'a Question,
    clock: Clock,
    facts: Facts,
}

impl Asking<'_> {
    async fn all(&mut self) {
        let Some(mut peer) = self.reach().await else { return };
        self.alpn().await;
        let first = self.get(&mut peer, &[]).await;
        self.facts.first = Some(first.clone());
        let unlike_http = match &first {
            Ok(answer) => answer.status == 400,
            Err(_) => true,
        };
        if unlike_http && self.question.upstream.tls.is_none() {
            self.facts.reach.speaks_the_other = first == Err(Ended::IsTls) || self.speaks_tls().await;
        }
        let Ok(answer) = first else { return };
        if self.facts.reach.speaks_the_other {
            return;
        }
        if answer.status == 401 {
            self.legs(peer, &answer).await;
            self.logon(&answer).await;
        }
        self.large().await;
    }

    /// The first connection. When the handshake of TLS fails, the port is asked whether it speaks plain HTTP.
    async fn reach(&mut self) -> Option<Peer> {
        let opened = self.open(&self.question.upstream.clone(), false).await;
        self.facts.reach = Reach { dialled: opened.dialled, local: opened.local, tls: opened.tls, ..Reach::default() };
        let peer = match opened.stream {
            Ok(stream) => self.peer(stream).await.map_err(|e| ("http_protocol_error", e.to_string())),
            Err(error) => Err((error.proxy_status, error.why)),
        };
        match peer {
            Ok(peer) => Some(peer),
            Err(error) => {
                if self.facts.reach.local.is_some() && self.question.upstream.tls.is_some() {
                    self.facts.reach.speaks_the_other = self.speaks_http().await;
                }
                self.facts.reach.error = Some(error);
                None
            }
        }
    }

    async fn speaks_http(&mut self) -> bool {
        let plain = Upstream { tls: None, ..self.question.upstream.clone() };
        let Ok(stream) = self.open(&plain, false).await.stream else { return false };
        let Ok(mut peer) = self.peer(stream).await else { return false };
        // Some servers of TLS answer a plain request with 400 and a page that says so.
        matches!(self.get(&mut peer, &[]).await, Ok(answer) if answer.status != 400)
    }

    async fn speaks_tls(&mut self) -> bool {
        let Ok(tls) = UpstreamTls::new(None, Verify::Record) else { return false };
        let upstream = Upstream { tls: Some(tls), ..self.question.upstream.clone() };
        let opened = self.open(&upstream, false).await;
        opened.stream.is_ok() || opened.tls.is_some_and(|tls| tls.certificate.is_some())
    }

    /// Offers HTTP/2 beside HTTP/1.1, as browsers do, and leaves.
    async fn alpn(&mut self) {
        if self.question.upstream.tls.is_none() {
            return;
        }
        let opened = self.open(&self.question.upstream.clone(), true).await;
        let chosen = opened.tls.and_then(|tls| tls.alpn_chosen);
        self.facts.alpn = Some(opened.stream.map(|_| chosen).map_err(|e| e.why));
    }

    /// From the first 401 on: NEGOTIATE, CHALLENGE, and what becomes of the connection after each.
    async fn legs(&mut self, peer: Peer, refusal: &Answer) {
        let negotiate = windows_scheme(refusal).map(|scheme| credentials(scheme, &Negotiate::default().encode()));
        let fields: Vec<(&str, &str)> = negotiate.iter().map(|n| ("Authorization", n.as_str())).collect();
        let mut open = (!refusal.closes && !refusal.endless).then_some(peer);
        if refusal.closes {
            self.facts.after_401 = Some(Kept::Announced);
        }
        let mut reply = None;
        if let Some(peer) = &mut open {
            match self.get(peer, &fields).await {
                Ok(answer) => {
                    self.facts.after_401 = Some(Kept::Yes);
                    reply = Some(Ok(answer));
                }
                Err(ended) => {
                    self.facts.after_401 = Some(Kept::No(ended));
                    open = None;
                }
            }
        }
        if negotiate.is_none() {
            return;
        }
        let reply = match reply {
            Some(reply) => reply,
            None => match self.another().await {
                Ok(mut peer) => {
                    let reply = self.get(&mut peer, &fields).await;
                    open = Some(peer);
                    reply
                }
                Err(ended) => Err(ended),
            },
        };
        if let (Ok(answer), Some(mut peer)) = (&reply, open)
            && answer.ntlm().is_some()
        {
            self.facts.after_challenge = if answer.closes {
                Some(Kept::Announced)
            } else {
                // Not a made-up AUTHENTICATE: that would be a wrong password.
                Some(match self.get(&mut peer, &[]).await {
                    Ok(_) => Kept::Yes,
                    Err(ended) => Kept::No(ended),
                })
            };
        }
        self.facts.challenge = Some(reply);
    }

    async fn logon(&mut self, refusal: &Answer) {
        let (Some(account), Some(scheme)) = (&self.question.account, windows_scheme(refusal)) else { return };
        let mut peer = match self.another().await {
            Ok(peer) => peer,
            Err(ended) => {
                self.facts.logon = Some(Logon { user: account.user.clone(), last: Err(ended), next: None });
                return;
            }
        };
        let last = self.log_on(&mut peer, account, scheme).await;
        let next = match &last {
            Ok(answer) if answer.status != 401 && !answer.closes && !answer.endless => {
                Some(self.get(&mut peer, &[]).await)
            }
            _ => None,
        };
        self.facts.logon = Some(Logon { user: account.user.clone(), last, next });
    }

    async fn log_on(&mut self, peer: &mut Peer, account: &Account, scheme: &str) -> Result<Answer, Ended> {
        let negotiate = Negotiate::default().encode();
        let challenged = self.get(peer, &[("Authorization", &credentials(scheme, &negotiate))]).await?;
        let login = self.login(account);
        let Some(answer) = challenged.challenge.as_deref().and_then(|challenge| login.answer(&negotiate, challenge))
        else {
            return Ok(challenged);
        };
        self.get(peer, &[("Authorization", &credentials(scheme, &answer))]).await
    }

    /// As Windows would do it: with the SPN, and bound to the certificate that the server showed.
    fn login(&self, account: &Account) -> Login {
        let (domain, user) = account.user.split_once('\\').unwrap_or(("", &account.user));
        let mut login = Login::new(domain, user, account.password.expose());
        "AUTHTAP".clone_into(&mut login.workstation);
        let host = self.facts.insertion.public.as_ref().map_or(&self.facts.server.host, |public| &public.host);
        login.target_name = Some(format!("HTTP/{host}"));
        login.channel_bindings = self.facts.reach.tls.as_ref().and_then(|t| t.certificate.as_ref()).and_then(binding);
        login.fallback_time = crate::model::FileTime::of(self.clock.now());
        login
    }

    async fn large(&mut self) {
        let bytes = self.question.large;
        if bytes == 0 {
            return;
        }
        let answer = match self.another().await {
            Ok(mut peer) => self.get(&mut peer, &[(FIELD, &"a".repeat(bytes))]).await,
            Err(ended) => Err(ended),
        };
        self.facts.large = Some(Large { bytes, answer });
    }

    async fn another(&mut self) -> Result<Peer, Ended> {
        let opened = self.open(&self.question.upstream.clone(), false).await;
        match opened.stream {
            Ok(stream) => self.peer(stream).await,
            Err(error) => Err(Ended::NoConnection(error.why)),
        }
    }

    async fn open(&mut self, upstream: &Upstream, http2: bool) -> Opened {
        self.facts.connections += 1;
        let name = self.question.insertion.public.as_ref().map(|public| public.host.as_str());
        net::open(upstream, name, http2, self.question.limit, self.clock.now()).await
    }

    async fn peer(&self, stream: Box<dyn net::Stream>) -> Result<Peer, Ended> {
        Peer::new(stream, self.question.limit, self.clock, self.question.key).await
    }

    async fn get(&mut self, peer: &mut Peer, more: &[(&str, &str)]) -> Result<Answer, Ended> {
        self.facts.requests += 1;
        let host = self.facts.host.clone();
        let mut fields = vec![("Host", host.as_str()), ("User-Agent", "authtap-check"), ("Accept", "*/*")];
        fields.extend_from_slice(more);
        peer.get(&self.question.path, &fields).await
    }
}

/// The scheme to say an NTLM message in: `NTLM` itself, else `Negotiate`, where Windows sends it too.
fn windows_scheme(refusal: &Answer) -> Option<&'static str> {
    let offers = |scheme: &Scheme| refusal.offers.iter().any(|o| o.scheme == *scheme && o.token == Token::None);
    if offers(&Scheme::Ntlm) {
        return Some("NTLM");
    }
    offers(&Scheme::Negotiate).then_some("Negotiate")
}

fn credentials(scheme: &str, message: &[u8]) -> String {
    format!("{scheme} {}", STANDARD.encode(message))
}

/// What MsvAvChannelBindings says of a certificate.
fn binding(certificate: &Certificate) -> Option<[u8; 16]> {
    let place = ["sha-256", "sha-384", "sha-512"].iter().position(|hash| *hash == certificate.end_point_hash)?;
    u128::from_str_radix(certificate.channel_bindings.get(place)?, 16).ok().map(u128::to_be_bytes)
}
