//! The floor of `make bench`: what it costs on this runtime to move bytes and do nothing else.
//!
//! `bare_relay LISTEN UPSTREAM`, for example `bare_relay 127.0.0.1:0 127.0.0.1:8080`. It accepts, dials, turns Nagle's algorithm
//! off on both sides and copies both ways until both have ended. It is a yardstick, not a proxy: it has no limits and no timeouts.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program talks to its terminal")]

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::{TcpListener, TcpStream};

fn main() -> ExitCode {
    let addresses: Vec<_> = std::env::args().skip(1).map(|arg| arg.parse::<SocketAddr>()).collect();
    let [Ok(listen), Ok(upstream)] = addresses[..] else {
        eprintln!("usage: bare_relay LISTEN UPSTREAM (each ADDRESS:PORT)");
        return ExitCode::from(2);
    };
    // The same runtime as authtap's: one worker a core, or TOKIO_WORKER_THREADS.
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve(listen, upstream)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare_relay: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("bare_relay listens on {}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = relay(client, upstream).await {
                // A client that resets its connection is how a load generator ends; only a failed dial is worth a word.
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    eprintln!("bare_relay: {upstream}: {error}");
                }
            }
        });
    }
}

async fn relay(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
