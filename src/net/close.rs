//! Who ended a connection, and how: nothing here maps a reset to success.

use std::io;

use crate::model::transport::{By, End, How};

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Towards the client.
    Client,
    /// Towards IIS.
    Upstream,
}

impl Side {
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Upstream => 1,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }

    pub(super) const fn by(self) -> By {
        match self {
            Self::Client => By::Client,
            Self::Upstream => By::Upstream,
        }
    }
}

/// An orderly end of a side.
pub(super) fn fin(side: Side, clean: bool) -> End {
    End {
        by: side.by(),
        how: How::Fin,
        errno: None,
        detail: (!clean).then(|| "TCP FIN without a TLS close_notify".to_owned()),
    }
}

/// A failed read from a side, or a failed write to it: the side's own doing.
pub(super) fn broken(side: Side, error: &io::Error) -> End {
    let (how, detail) = if let Some(tls) = tls_error(error) {
        match tls {
            rustls::Error::AlertReceived(alert) => (How::TlsAlert, Some(format!("TLS alert {alert:?}"))),
            other => (How::Error, Some(format!("TLS: {other}"))),
        }
    } else if is_reset(error) {
        (How::Reset, None)
    } else {
        (How::Error, Some(error.to_string()))
    };
    End { by: side.by(), how, errno: error.raw_os_error(), detail }
}

/// A side that answered a write with a reset it had sent before, when no error says so any more.
pub(super) fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

/// rustls' own error inside an I/O error.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

/// authtap's own end of a connection.
pub(super) fn own(how: How, detail: String) -> End {
    End { by: By::Tap, how, errno: None, detail: Some(detail) }
}
