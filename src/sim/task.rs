//! A listener on loopback and the task of each connection, ended together.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running server; dropping it ends its listener and all of its connections.
#[derive(Debug)]
pub(super) struct Running {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    /// Listens on 127.0.0.1, on a port that the kernel chooses, and gives each connection (numbered from 1 in the
    /// order of accepting) a task.
    pub(super) async fn start<F, T>(serve: F) -> io::Result<Self>
    where
        F: Fn(TcpStream, u64) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut number = 0;
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            number += 1;
                            // Answers are written whole, so waiting to fill a segment gains nothing.
                            let _ = stream.set_nodelay(true);
                            connections.spawn(serve(stream, number));
                        }
                        // A connection that ended before it was accepted, or no descriptor left for now.
                        Err(_) => tokio::task::yield_now().await,
                    },
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                }
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits until its sockets are closed.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        // The only error is the abort itself.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
