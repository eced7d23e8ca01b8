//! A site that is made up: its captures' events, and what IIS and HTTP.sys would have logged.

use std::fmt::Write as _;
use std::net::SocketAddr;

use authtap::model::auth::{AuthField, Ntlm, NtlmAuthenticate, NtlmChallenge, NtlmNegotiate, Scheme, Token};
use authtap::model::event::{ConnectionClose, ConnectionOpen, Event, Exchange, Times, What};
use authtap::model::finding::{Basis, Evidence, Finding, Severity};
use authtap::model::http::{Header, Request, Response};
use authtap::model::transport::{Addresses, By, End, How};
use authtap::model::{ConnectionId, Stamp, TapId};
use authtap::report::join::{Captures, Joined};
use authtap::report::view::{Builder, View};

/// 2026-11-22T12:00:00Z.
pub(super) const NOON: i64 = 1_795_348_800_000_000;
pub(super) const AUTHTAP: [u8; 4] = [192, 0, 2, 10];
pub(super) const IIS: [u8; 4] = [192, 0, 2, 80];
pub(super) const FIELDS: &str = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip \
                                 cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken";

pub(super) type Code = (u16, u16, u32);
pub(super) const BARE: Code = (401, 2, 5);
pub(super) const CHALLENGED: Code = (401, 1, 2_148_074_254);
pub(super) const DENIED: Code = (401, 1, 2_148_074_252);
pub(super) const FORBIDDEN: Code = (401, 3, 5);

/// What IIS would log of one request.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) end: i64,
    pub(super) path: String,
    pub(super) agent: String,
    pub(super) user: String,
    pub(super) code: Code,
    pub(super) from: SocketAddr,
}

impl Row {
    /// As a line under [`FIELDS`], by a clock that is so many seconds ahead.
    pub(super) fn line(&self, ahead: i64) -> String {
        let (status, substatus, win32) = self.code;
        format!(
            "{} {} GET {} - 443 {} {} {} - {status} {substatus} {win32} 2",
            when(self.end, ahead),
            SocketAddr::from((IIS, 443)).ip(),
            self.path,
            self.user,
            self.from.ip(),
            self.agent.replace(' ', "+"),
        )
    }
}

/// `date time` of a moment by a clock that is so many seconds ahead.
pub(super) fn when(micros: i64, ahead: i64) -> String {
    Stamp(micros + ahead * 1_000_000).to_string()[..19].replace('T', " ")
}

/// A log of these lines.
pub(super) fn log(lines: impl IntoIterator<Item = String>) -> String {
    let mut text =
        format!("#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Fields: {FIELDS}\n");
    for line in lines {
        writeln!(text, "{line}").unwrap();
    }
    text
}

/// The site.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) events: Vec<Event>,
    pub(super) rows: Vec<Row>,
}

impl Site {
    pub(super) fn tap() -> TapId {
        TapId("tap-one-1".to_owned())
    }

    fn add(&mut self, micros: i64, what: What) {
        self.events.push(Event { seq: self.events.len() as u64 + 1, at: Stamp(micros), what });
    }

    /// The port that IIS sees of a connection.
    pub(super) fn port(connection: u64) -> SocketAddr {
        SocketAddr::from((AUTHTAP, 50_000 + u16::try_from(connection).unwrap()))
    }

    pub(super) fn open(&mut self, millis: i64, connection: u64) {
        let addresses = Addresses {
            client: ([198, 51, 100, 7], 40_000).into(),
            upstream: Some((IIS, 443).into()),
            upstream_local: Some(Self::port(connection)),
        };
        let connection = ConnectionId(connection);
        let open = ConnectionOpen { connection, addresses, tls: None, upstream_tls: None, begun_before: false };
        self.add(NOON + millis * 1_000, What::ConnectionOpen(Box::new(open)));
    }

    pub(super) fn close(&mut self, millis: i64, connection: u64) {
        let close = ConnectionClose {
            connection: ConnectionId(connection),
            end: End { by: By::Upstream, how: How::Fin, errno: None, detail: None },
            mid_handshake: false,
            client_bytes: 0,
            upstream_bytes: 0,
            exchanges: 3,
            duration: std::time::Duration::from_secs(1),
        };
        self.add(NOON + millis * 1_000, What::ConnectionClose(Box::new(close)));
    }

    /// One exchange, and what IIS logs for it.
    pub(super) fn exchange(
        &mut self,
        millis: i64,
        place: (u64, u32),
        request: (&str, &str),
        token: Option<Ntlm>,
        code: Code,
    ) {
        let (path, agent) = request;
        let end = NOON + millis * 1_000;
        let challenge = matches!(token, Some(Ntlm::Negotiate(_))) && code.0 == 401;
        let user = match &token {
            Some(Ntlm::Authenticate(m)) if code.1 != 1 => format!("EXAMPLE\\{}", m.user),
            _ => "-".to_owned(),
        };
        let answered = match (code.0, challenge) {
            (401, true) => vec![ntlm(Token::Ntlm(Box::new(Ntlm::Challenge(NtlmChallenge::default()))))],
            (401, false) => vec![ntlm(Token::None)],
            _ => Vec::new(),
        };
        let exchange = Exchange {
            reset: None,
            connection: ConnectionId(place.0),
            exchange: place.1,
            request: Request {
                method: "GET".to_owned(),
                target: format!("{path}?a=<1 byte>"),
                version: "HTTP/1.1".to_owned(),
                headers: vec![Header { name: "user-agent".to_owned(), value: agent.to_owned() }],
                ..Request::default()
            },
            request_body: 0,
            response: Some(Response { status: code.0, ..Response::default() }),
            response_body: 0,
            interim: Vec::new(),
            authorization: token.map(|token| ntlm(Token::Ntlm(Box::new(token)))),
            challenges: answered,
            times: Times {
                request: Stamp(end - 2_000),
                request_head: Stamp(end - 2_000),
                response_head: Some(Stamp(end)),
                end: Some(Stamp(end)),
                ..Times::default()
            },
            leg: None,
            end_seq: None,
        };
        self.add(end, What::Exchange(Box::new(exchange)));
        let (path, agent) = (path.to_owned(), agent.to_owned());
        self.rows.push(Row { end, path, agent, user, code, from: Self::port(place.0) });
    }

    /// An NTLM logon on a connection of its own, 20 ms from leg to leg, and the finding that a refusal raises.
    pub(super) fn logon(&mut self, millis: i64, connection: u64, request: (&str, &str), last: Code) {
        self.open(millis - 5, connection);
        self.exchange(millis, (connection, 1), request, None, BARE);
        let negotiate = Ntlm::Negotiate(NtlmNegotiate::default());
        self.exchange(millis + 20, (connection, 2), request, Some(negotiate), CHALLENGED);
        let user = format!("user{connection}");
        let authenticate = NtlmAuthenticate { domain: "EXAMPLE".to_owned(), user, ..NtlmAuthenticate::default() };
        let authenticate = Ntlm::Authenticate(authenticate);
        self.exchange(millis + 40, (connection, 3), request, Some(authenticate), last);
        if last.0 == 401 {
            self.finding(millis + 40, "credentials-rejected", (connection, Some(3)), Basis::Inferred);
        }
        self.close(millis + 60, connection);
    }

    pub(super) fn finding(&mut self, millis: i64, slug: &str, place: (u64, Option<u32>), basis: Basis) {
        let at = Stamp(NOON + millis * 1_000);
        let finding = Finding {
            slug: slug.to_owned(),
            severity: Severity::High,
            basis,
            title: format!("The title of {slug}"),
            summary: format!("The server refused EXAMPLE\\user{0} on connection {0}.", place.0),
            scheme: Some("ntlm".to_owned()),
            root: None,
            connections: vec![ConnectionId(place.0)],
            evidence: vec![Evidence {
                primary: true,
                connection: Some(ConnectionId(place.0)),
                exchange: place.1,
                message: Some("response".to_owned()),
                at: Some(at),
                frame: None,
                says: "401 with bare schemes".to_owned(),
            }],
            fix: "Look it up.".to_owned(),
        };
        self.add(at.0, What::Finding(Box::new(finding)));
    }

    /// The site's own log, by a clock that is so many seconds ahead.
    pub(super) fn log(&self, ahead: i64) -> String {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| row.end);
        log(rows.iter().map(|row| row.line(ahead)))
    }

    /// Joined with logs: name and contents.
    pub(super) fn joined(&self, logs: &[(&str, &[u8])]) -> Joined {
        let mut captures = Captures::default();
        for event in &self.events {
            captures.take(&Self::tap(), event);
        }
        let mut reading = captures.logs();
        for (name, text) in logs {
            reading.file(name, |source| {
                // Pieces that end anywhere, as reading a file gives them.
                for piece in text.chunks(1_000) {
                    source.read(piece);
                }
            });
        }
        reading.join()
    }

    /// The report, as the command makes it.
    pub(super) fn report(&self, logs: &[(&str, &[u8])]) -> View {
        let mut joined = self.joined(logs);
        let mut builder = Builder::default();
        for event in &self.events {
            let mut event = event.clone();
            if let What::Finding(finding) = &mut event.what
                && let Some(corrected) = joined.correct(&Self::tap(), event.seq, finding)
            {
                **finding = corrected;
            }
            builder.take(&Self::tap(), &event);
        }
        View { iis_log: Some(joined.facts()), ..builder.view() }
    }

    /// A quarter of an hour of logons, some refused, at odd moments and from different programs.
    pub(super) fn busy() -> Self {
        let mut site = Self::default();
        for n in 0..20_u64 {
            let millis = i64::try_from(n * n * 1_717 + n * 331).unwrap();
            let agent = format!("Agent/{} (Windows NT 10.0)", n % 3);
            let last = if n % 4 == 3 { DENIED } else { (200, 0, 0) };
            site.logon(millis, n + 1, (&format!("/app/{}", n % 5), &agent), last);
        }
        site
    }
}

fn ntlm(token: Token) -> AuthField {
    AuthField {
        scheme: Scheme::Ntlm,
        scheme_as_sent: "NTLM".to_owned(),
        token,
        token_bytes: 0,
        params: Vec::new(),
        faults: Vec::new(),
    }
}
