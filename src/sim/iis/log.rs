//! What IIS's log would say.

use std::fmt;
use std::net::SocketAddr;

use crate::model::Stamp;

/// sc-win32-status values that the simulated IIS gives (MS-ERREF sections 2.1.1 and 2.2).
pub mod win32 {
    /// ERROR_SUCCESS.
    pub const SUCCESS: u32 = 0;
    /// ERROR_ACCESS_DENIED: with 401.2, the normal first leg.
    pub const ACCESS_DENIED: u32 = 5;
    /// ERROR_LOGON_FAILURE: Basic's unknown user or wrong password.
    pub const LOGON_FAILURE: u32 = 1326;
    /// ERROR_ACCOUNT_LOCKED_OUT.
    pub const ACCOUNT_LOCKED_OUT: u32 = 1909;
    /// SEC_E_INVALID_TOKEN: a Type 3 where no challenge is pending, or bytes that are no token.
    pub const INVALID_TOKEN: u32 = 0x8009_0308;
    /// SEC_E_LOGON_DENIED: the proof does not fit.
    pub const LOGON_DENIED: u32 = 0x8009_030C;
    /// SEC_E_NO_CREDENTIALS: with 401.1, the normal leg from Type 1 to Type 2.
    pub const NO_CREDENTIALS: u32 = 0x8009_030E;
    /// SEC_E_MESSAGE_ALTERED: the MIC does not fit.
    pub const MESSAGE_ALTERED: u32 = 0x8009_030F;
}

/// One request, as the W3C log has it, and the connection, which the W3C log does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the request was done, by the server's clock.
    pub at: Stamp,
    /// The connection, from 1 in the order of accepting.
    pub connection: u64,
    /// c-ip, and the port, which the W3C log does not have.
    pub client: Option<SocketAddr>,
    /// cs(User-Agent).
    pub agent: Option<String>,
    /// cs-method.
    pub method: String,
    /// cs-uri-stem.
    pub path: String,
    /// cs-username of an authenticated request, `EXAMPLE\alice`.
    pub user: Option<String>,
    /// `X-Forwarded-For` as it came.
    pub forwarded_for: Option<String>,
    /// Bytes of the request's body on the wire.
    pub body_bytes: usize,
    /// sc-status.
    pub status: u16,
    /// sc-substatus.
    pub substatus: u16,
    /// sc-win32-status.
    pub win32: u32,
}

impl LogLine {
    /// Status, substatus and win32 status, as one reads them off the log.
    pub const fn code(&self) -> (u16, u16, u32) {
        (self.status, self.substatus, self.win32)
    }
}

/// `#Fields` as IIS has it unless it is changed (iis-docs, "logFile").
pub const FIELDS: &str = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) \
                          cs(Referer) sc-status sc-substatus sc-win32-status time-taken";

/// The log as IIS would have written it, by a clock that is `ahead` microseconds ahead of the server's.
pub fn w3c(lines: &[LogLine], server: SocketAddr, ahead: i64) -> String {
    use fmt::Write as _;
    let mut text =
        format!("#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Fields: {FIELDS}\n");
    for line in lines {
        let at = Stamp(line.at.0.saturating_add(ahead)).to_string();
        let at = at.get(..19).unwrap_or_default().replace('T', " ");
        let client = line.client.map_or_else(|| "-".to_owned(), |client| client.ip().to_string());
        let agent = line.agent.as_deref().unwrap_or("-").replace(' ', "+");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{at} {} {} {} - {} {} {client} {agent} - {} {} {} 0",
            server.ip(),
            line.method,
            line.path,
            server.port(),
            line.user.as_deref().unwrap_or("-"),
            line.status,
            line.substatus,
            line.win32,
        );
    }
    text
}

impl fmt::Display for LogLine {
    /// `GET / EXAMPLE\alice 401 1 2148074252`, in the W3C log's order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {}",
            self.method,
            self.path,
            self.user.as_deref().unwrap_or("-"),
            self.status,
            self.substatus,
            self.win32
        )
    }
}
