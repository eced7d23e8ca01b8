//! A scripted client: one connection, and the steps of a logon as separate calls, so that a story decides their order.

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;

pub use super::ntlm::respond::Login;

use super::http::{Head, Wire, bad};
use super::ntlm::message::Negotiate;
use super::ntlm::read;
use super::spnego;

/// How a client carries its NTLM messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// `NTLM`, as the message is.
    Ntlm,
    /// `Negotiate`, as the message is: Windows does so when NTLM is all it has (MS-SPNG section 3.1.5.2).
    NegotiateRaw,
    /// `Negotiate`, inside SPNEGO, NTLM the only mechanism.
    NegotiateSpnego,
}

impl Carriage {
    const fn scheme(self) -> &'static str {
        match self {
            Self::Ntlm => "NTLM",
            Self::NegotiateRaw | Self::NegotiateSpnego => "Negotiate",
        }
    }
}

/// A client with one keep-alive connection.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    host: String,
    /// `X-Forwarded-For`, as a hop before this connection would have written it.
    pub forwarded_for: Option<String>,
    /// `User-Agent`.
    pub agent: Option<String>,
    /// How its NTLM messages travel.
    pub carriage: Carriage,
    /// Its first message.
    pub negotiate: Negotiate,
    challenge: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The fields, in order, as sent.
    pub fields: Vec<(String, String)>,
    /// The body as it stood on the wire.
    pub body: Vec<u8>,
}

impl Reply {
    /// The values of a field, in order; case of the name does not count.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects. `Host` is the address; NTLM as Windows speaks it.
    pub async fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            wire: Wire::new(stream),
            host: to.to_string(),
            forwarded_for: None,
            agent: None,
            carriage: Carriage::Ntlm,
            negotiate: Negotiate::default(),
            challenge: None,
        })
    }

    /// With `X-Forwarded-For` and `User-Agent` of its own.
    #[must_use]
    pub fn seen_as(mut self, forwarded_for: &str, agent: &str) -> Self {
        self.forwarded_for = Some(forwarded_for.to_owned());
        self.agent = Some(agent.to_owned());
        self
    }

    /// With another carriage than `NTLM`.
    #[must_use]
    pub const fn carried(mut self, carriage: Carriage) -> Self {
        self.carriage = carriage;
        self
    }

    /// The address of its own end.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.wire.stream().local_addr()
    }

    /// Sends a request and reads its answer.
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut head = Head::new(format!("{method} {path} HTTP/1.1")).with("Host", &self.host);
        if let Some(agent) = &self.agent {
            head = head.with("User-Agent", agent);
        }
        if let Some(address) = &self.forwarded_for {
            head = head.with("X-Forwarded-For", address);
        }
        if let Some(authorization) = authorization {
            head = head.with("Authorization", authorization);
        }
        if method == "POST" || !body.is_empty() {
            head = head.with("Content-Length", body.len().to_string());
        }
        self.wire.write(&[head.encode().as_slice(), body].concat()).await?;
        let head = loop {
            let head = self.wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if head.status() >= 200 {
                break head;
            }
        };
        let body = self.wire.response_body(&head, method).await?;
        Ok(Reply { status: head.status(), fields: head.fields, body })
    }

    /// A GET without credentials.
    pub async fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.request("GET", path, None, b"").await
    }

    /// A POST without credentials.
    pub async fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Reply> {
        self.request("POST", path, None, body).await
    }

    /// A GET with Basic credentials (RFC 7617).
    pub async fn basic(&mut self, path: &str, login: &Login) -> io::Result<Reply> {
        let pair = format!("{}:{}", login.name(), login.password.expose());
        let credentials = format!("Basic {}", STANDARD.encode(pair));
        self.request("GET", path, Some(&credentials), b"").await
    }

    /// The first leg: a GET with a Type 1. The challenge of the answer is kept for [`type3`](Self::type3).
    pub async fn type1(&mut self, path: &str) -> io::Result<Reply> {
        let message = self.negotiate.encode();
        let token = match self.carriage {
            Carriage::NegotiateSpnego => spnego::init(&[spnego::NTLM], Some(&message)),
            Carriage::Ntlm | Carriage::NegotiateRaw => message,
        };
        let reply = self.token("GET", path, &token, b"").await?;
        self.challenge = reply.all("WWW-Authenticate").find_map(challenge_in);
        Ok(reply)
    }

    /// The last leg: a GET with the Type 3 that answers the kept challenge, wherever that came from.
    pub async fn type3(&mut self, path: &str, login: &Login) -> io::Result<Reply> {
        self.type3_with("GET", path, login, b"").await
    }

    /// The last leg of an upload: the body goes with the Type 3 only.
    pub async fn type3_with(&mut self, method: &str, path: &str, login: &Login, body: &[u8]) -> io::Result<Reply> {
        let challenge = self.challenge.take().ok_or_else(|| bad("no challenge came to answer"))?;
        let message =
            login.answer(&self.negotiate.encode(), &challenge).ok_or_else(|| bad("what came is no challenge"))?;
        let token = match self.carriage {
            Carriage::NegotiateSpnego => spnego::resp(None, None, Some(&message), None),
            Carriage::Ntlm | Carriage::NegotiateRaw => message,
        };
        self.token(method, path, &token, body).await
    }

    /// The whole of it, as a browser does: a bare GET, and the two legs when it is refused. Gives each answer.
    pub async fn logon(&mut self, path: &str, login: &Login) -> io::Result<Vec<Reply>> {
        let mut replies = vec![self.get(path).await?];
        if replies.iter().any(|reply| reply.status == 401) {
            replies.push(self.type1(path).await?);
            replies.push(self.type3(path, login).await?);
        }
        Ok(replies)
    }

    /// Whether a challenge waits for its answer.
    pub const fn is_challenged(&self) -> bool {
        self.challenge.is_some()
    }

    /// Waits for the server to end the connection, and tells whether it did so with a FIN (else, a RST).
    pub async fn ended(mut self) -> bool {
        loop {
            match self.wire.fill().await {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Ends the connection with a FIN, and waits for the other side's.
    pub async fn close(self) -> io::Result<()> {
        self.wire.finish().await
    }

    async fn token(&mut self, method: &str, path: &str, token: &[u8], body: &[u8]) -> io::Result<Reply> {
        let authorization = format!("{} {}", self.carriage.scheme(), STANDARD.encode(token));
        self.request(method, path, Some(&authorization), body).await
    }
}

/// The Type 2 in a `WWW-Authenticate` value, raw or wrapped.
fn challenge_in(value: &str) -> Option<Vec<u8>> {
    let (_, token) = value.split_once(' ')?;
    let token = STANDARD.decode(token).ok()?;
    if read::kind(&token) == Some(2) {
        return Some(token);
    }
    spnego::read(&token)?.token.filter(|inner| read::kind(inner) == Some(2))
}
