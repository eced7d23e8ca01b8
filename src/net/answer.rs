//! authtap's own answers: the upstream cannot be reached, or there is no room. They say that they are authtap's.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::model::transport::End;

/// A client that has not begun to ask by then is answered all the same.
const WAIT_FOR_REQUEST: Duration = Duration::from_secs(10);
/// How long the client may take to read the answer and to leave.
const LINGER: Duration = Duration::from_secs(5);

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The upstream cannot be reached.
    BadGateway,
    /// authtap itself has no room.
    Unavailable,
}

impl Status {
    const fn code(self) -> u16 {
        match self {
            Self::BadGateway => 502,
            Self::Unavailable => 503,
        }
    }

    const fn line(self) -> &'static str {
        match self {
            Self::BadGateway => "502 Bad Gateway",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer of our own.
pub(super) struct Answer {
    pub(super) status: Status,
    /// RFC 9209 section 2.3, "Proxy Error Types".
    pub(super) error: &'static str,
    pub(super) why: String,
}

impl Answer {
    /// What the connection's end says of it.
    pub(super) fn detail(&self, given: bool) -> String {
        if given {
            End::answered(self.status.code(), self.error, &self.why)
        } else {
            format!("{}; the client left before authtap could say so", self.why)
        }
    }

    /// Head and body.
    fn bytes(&self) -> Vec<u8> {
        let body = format!(
            "{}\n\nThis answer comes from authtap, the diagnostic proxy in front of this site, and not from the site \
             itself.\n{}\n",
            self.status.line(),
            self.why
        );
        // sf-string (RFC 8941 section 3.3.3, "Strings"): printable ASCII, with quote and backslash escaped.
        let details: String = self
            .why
            .chars()
            .filter(|c| matches!(c, ' '..='~'))
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        format!(
            "HTTP/1.1 {}\r\nProxy-Status: authtap; error={}; details=\"{details}\"\r\nContent-Type: text/plain; \
             charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
            self.status.line(),
            self.error,
            body.len()
        )
        .into_bytes()
    }

    /// Gives it once the client has begun to ask, and sees to it that the client can read it: a socket that is closed
    /// with unread bytes in it sends a reset, and the client would lose the answer.
    ///
    /// False when the client left before it asked anything.
    pub(super) async fn give(&self, mut client: impl AsyncRead + AsyncWrite + Unpin) -> bool {
        let mut sink = vec![0; 4096];
        if let Ok(Ok(0) | Err(_)) = timeout(WAIT_FOR_REQUEST, client.read(&mut sink)).await {
            return false;
        }
        let told = async {
            client.write_all(&self.bytes()).await?;
            client.shutdown().await?;
            while client.read(&mut sink).await? > 0 {}
            std::io::Result::Ok(())
        };
        match timeout(LINGER, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "the client left before it had authtap's answer");
            }
            Err(_) => tracing::debug!("the client did not leave after authtap's answer"),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Status};

    /// A quote in an error's words must not break the field that names the error.
    #[test]
    fn the_words_are_escaped() {
        let answer = Answer { status: Status::BadGateway, error: "dns_error", why: "a \"b\" \\ ü\r\nx".to_owned() };
        let text = String::from_utf8(answer.bytes()).unwrap();
        assert!(text.contains("Proxy-Status: authtap; error=dns_error; details=\"a \\\"b\\\" \\\\ x\"\r\n"), "{text}");
    }
}
