//! What a connection did below HTTP: TLS facts, certificates, and how it ended.

use std::net::SocketAddr;

/// Facts of one side's TLS session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// `TLS1.2`, `TLS1.3`.
    pub version: Option<String>,
    /// IANA name of the cipher suite.
    pub cipher: Option<String>,
    /// Server name in the ClientHello.
    pub sni: Option<String>,
    /// What the ClientHello offered, in order.
    pub alpn_offered: Vec<String>,
    /// What was chosen.
    pub alpn_chosen: Option<String>,
    /// The certificate that the server of this side presented.
    pub certificate: Option<Certificate>,
    /// Why verification would have refused or did refuse the certificate; `None` when it passed.
    pub verification: Option<String>,
    /// The TLS alert or handshake error, when it failed.
    pub alert: Option<String>,
    /// The server asked for a client certificate.
    pub client_certificate_requested: bool,
}

/// Facts of an end-entity certificate. All of it is public.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// Distinguished name.
    pub subject: String,
    /// Distinguished name.
    pub issuer: String,
    /// DNS names and addresses of the subjectAltName.
    pub names: Vec<String>,
    /// End of validity, RFC 3339.
    pub not_after: String,
    /// Signature algorithm, by OID or known name.
    pub signature_algorithm: String,
    /// SHA-256 of the DER, lower-case hex.
    pub sha256: String,
    /// The hash of RFC 5929 section 4.1 (`tls-server-end-point`), lower-case hex.
    pub end_point: String,
    /// The hash function behind [`end_point`](Self::end_point): `sha-256`, `sha-384`, `sha-512`.
    pub end_point_hash: String,
    /// The MD5 values that NTLM's MsvAvChannelBindings may carry for it, hex: for SHA-256, SHA-384 and SHA-512.
    pub channel_bindings: Vec<String>,
}

/// Addresses of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The upstream's address and port, as dialled; `None` when no dial was tried.
    pub upstream: Option<SocketAddr>,
    /// The address and port that IIS and HTTPERR see; `None` when the dial failed.
    pub upstream_local: Option<SocketAddr>,
}

/// Who ended a connection first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// The client.
    Client,
    /// The server behind authtap.
    Upstream,
    /// authtap itself: a limit, an idle timeout, a stop.
    Tap,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum How {
    /// An orderly end: FIN, or TLS close_notify and FIN.
    Fin,
    /// A reset.
    Reset,
    /// An idle timeout, or the end of the grace period.
    Timeout,
    /// A TLS alert.
    TlsAlert,
    /// Another error; the errno tells.
    Error,
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Whose end came first.
    pub by: By,
    /// How the first end came.
    pub how: How,
    /// The operating system's error number, when there was one.
    pub errno: Option<i32>,
    /// What happened, in words, when `how` does not say all (an unreachable upstream, a refused connection).
    pub detail: Option<String>,
}

/// How the detail of an end begins that authtap itself answered.
const ANSWERED: &str = "authtap answered ";

impl End {
    /// What [`detail`](Self::detail) says when authtap answered the client itself: its status code, the error's name in
    /// `Proxy-Status` (RFC 9209), and why.
    pub fn answered(status: u16, error: &str, why: &str) -> String {
        format!("{ANSWERED}{status} ({error}): {why}")
    }

    /// The same read back from a capture; `None` when the client was not answered by authtap.
    pub fn own_answer(&self) -> Option<(u16, &str, &str)> {
        let (status, rest) = self.detail.as_deref()?.strip_prefix(ANSWERED)?.split_once(" (")?;
        let (error, why) = rest.split_once("): ")?;
        let known = |b: u8| b.is_ascii_lowercase() || b == b'_';
        (!error.is_empty() && error.bytes().all(known)).then_some(())?;
        Some((status.parse().ok()?, error, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the relay writes and the report reads are two ends of one phrase.
    #[test]
    fn an_own_answer_is_read_back() {
        let end = |detail: String| End { by: By::Upstream, how: How::Error, errno: None, detail: Some(detail) };
        let told = end(End::answered(502, "connection_refused", "cannot connect (x): refused"));
        assert_eq!(told.own_answer(), Some((502, "connection_refused", "cannot connect (x): refused")));
        assert_eq!(end("idle for 5 s".to_owned()).own_answer(), None);
        assert_eq!(end("authtap answered nobody".to_owned()).own_answer(), None);
    }
}
