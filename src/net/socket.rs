//! What the relay needs of a stream, plain or TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// One side's stream.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// TLS: writes may stay in a buffer until they are flushed.
    const IS_TLS: bool;

    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;

    /// Ends our sending half without what TLS adds to it: for a peer that left without a close_notify too.
    fn poll_bare_fin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Makes dropping this a reset.
    fn arm_reset(&self) {
        if let Err(error) = self.tcp().set_zero_linger() {
            tracing::debug!(%error, "cannot set SO_LINGER; the connection ends with a FIN instead of a reset");
        }
    }
}

impl Socket for TcpStream {
    const IS_TLS: bool = false;

    fn tcp(&self) -> &TcpStream {
        self
    }

    fn poll_bare_fin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(cx)
    }
}

impl Socket for tokio_rustls::server::TlsStream<TcpStream> {
    const IS_TLS: bool = true;

    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn poll_bare_fin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().0).poll_shutdown(cx)
    }
}

impl Socket for tokio_rustls::client::TlsStream<TcpStream> {
    const IS_TLS: bool = true;

    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn poll_bare_fin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().0).poll_shutdown(cx)
    }
}
