//! A load balancer: an HTTP/1.1 reverse proxy that reads each request and chooses an upstream connection for it.
//!
//! With a pool, two requests of one client go over different upstream connections, and two clients' over the same:
//! harmless for HTTP, deadly for NTLM. The pool's order is fixed, so that a story goes the same way each time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::http::{Head, Wire};
use super::task::Running;

/// How it chooses an upstream connection for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// As it should be: each client connection has an upstream connection of its own.
    Pinned,
    /// The defect: this many connections, shared by all clients, taken in turn. With 3, the two requests of an NTLM
    /// handshake never meet on one connection, whether one client logs on or two do in alternation.
    InTurn(usize),
    /// The defect: of the idle ones the one that was used last, or else a new one, as most pools do. A client that
    /// is alone logs on well, and the next client inherits its connection.
    LastUsed,
}

/// A running balancer; dropping it ends it.
#[derive(Debug)]
pub struct Balancer {
    running: Running,
}

impl Balancer {
    /// Starts one on loopback in front of `upstream`. Upstream connections are made when they are first needed.
    pub async fn start(upstream: SocketAddr, policy: Policy) -> io::Result<Self> {
        let pool = Arc::new(Pool::new(upstream, policy));
        let running = Running::start(move |stream, _| {
            let pool = Arc::clone(&pool);
            async move {
                // What ends one client's connection is of no interest to the others.
                let _ = serve(stream, pool).await;
            }
        })
        .await?;
        Ok(Self { running })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Ends it, and waits until its sockets are closed.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// An upstream connection's place; empty until it is needed, and again after the connection ended.
type Slot = Arc<Mutex<Option<Wire>>>;

#[derive(Debug)]
struct Pool {
    upstream: SocketAddr,
    policy: Policy,
    state: std::sync::Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Slot>,
    next: usize,
    /// Places at rest, the one used last at the end.
    idle: Vec<Slot>,
}

impl Pool {
    fn new(upstream: SocketAddr, policy: Policy) -> Self {
        let slots = match policy {
            Policy::InTurn(count) => (0..count.max(1)).map(|_| Slot::default()).collect(),
            Policy::LastUsed | Policy::Pinned => Vec::new(),
        };
        Self { upstream, policy, state: std::sync::Mutex::new(State { slots, ..State::default() }) }
    }

    /// The place for the next request of a client whose own is `pinned`.
    async fn take(&self, pinned: &Slot) -> OwnedMutexGuard<Option<Wire>> {
        let slot = {
            let mut state = self.lock();
            match self.policy {
                Policy::Pinned => Arc::clone(pinned),
                Policy::InTurn(_) => {
                    let at = state.next;
                    state.next = (at + 1) % state.slots.len();
                    Arc::clone(&state.slots[at])
                }
                Policy::LastUsed => state.idle.pop().unwrap_or_default(),
            }
        };
        slot.lock_owned().await
    }

    fn give_back(&self, slot: OwnedMutexGuard<Option<Wire>>) {
        if self.policy == Policy::LastUsed && slot.is_some() {
            let place = Arc::clone(OwnedMutexGuard::mutex(&slot));
            drop(slot);
            self.lock().idle.push(place);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        super::iis::lock(&self.state)
    }
}

async fn serve(stream: TcpStream, pool: Arc<Pool>) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    let mut client = Wire::new(stream);
    let pinned = Slot::default();
    while let Some(mut head) = client.head().await? {
        let body = client.request_body(&head).await?;
        // `Connection` is about this hop only (RFC 9110 section 7.6.1).
        let client_ends = head.closes();
        head.remove("Connection");
        // A client's address that an outer hop told stays; else the peer's is added.
        if head.get("X-Forwarded-For").is_none() {
            head = head.with("X-Forwarded-For", peer.ip().to_string());
        }
        let mut slot = pool.take(&pinned).await;
        let forwarded = forward(&mut slot, pool.upstream, &head, &body).await;
        let (mut answer, answer_body) = forwarded.unwrap_or_else(|_| {
            *slot = None;
            bad_gateway()
        });
        let ends = answer.closes();
        if ends {
            *slot = None;
        }
        if pool.policy != Policy::Pinned {
            answer.remove("Connection");
        }
        // Before the client can see the answer: its next request must find the pool as this one leaves it.
        pool.give_back(slot);
        client.write(&[answer.encode(), answer_body].concat()).await?;
        if client_ends || (ends && pool.policy == Policy::Pinned) {
            break;
        }
    }
    client.finish().await
}

async fn forward(
    slot: &mut Option<Wire>,
    upstream: SocketAddr,
    head: &Head,
    body: &[u8],
) -> io::Result<(Head, Vec<u8>)> {
    if slot.is_none() {
        let stream = TcpStream::connect(upstream).await?;
        stream.set_nodelay(true)?;
        *slot = Some(Wire::new(stream));
    }
    let wire = slot.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    wire.write(&[head.encode().as_slice(), body].concat()).await?;
    let answer = loop {
        let answer = wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if answer.status() >= 200 {
            break answer;
        }
    };
    let body = wire.response_body(&answer, head.word(0)).await?;
    Ok((answer, body))
}

fn bad_gateway() -> (Head, Vec<u8>) {
    let page = b"The balancer found no server.\n".to_vec();
    let head = Head::new("HTTP/1.1 502 Bad Gateway")
        .with("Server", "simulated-balancer")
        .with("Content-Length", page.len().to_string());
    (head, page)
}
