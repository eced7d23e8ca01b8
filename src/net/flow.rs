//! One direction of a relay: read, show, write; what the other side does not take at once waits, and reading with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::close::Side;
use super::socket::Socket;
use super::tap::{Spare, Tap};
use crate::model::Stamp;

/// Bytes that one read may bring at most, whatever the sockets.
pub(super) const LARGEST_CHUNK: usize = Measure::PLAIN.chunk;

/// How much is moved at once.
struct Measure {
    /// Bytes that one read may bring.
    chunk: usize,
    /// Bytes after which the other connections of the thread have their turn.
    turn: usize,
}

impl Measure {
    /// Measured with 1 MiB answers over loopback, whose packets are as large, 64 connections: a turn of one chunk of 64 KiB
    /// costs some 490 µs an answer, of 32 KiB 545, of 16 KiB 575; draining a connection as long as it has anything 670.
    const PLAIN: Self = Self { chunk: 64 * 1024, turn: 64 * 1024 };
    /// With TLS on both sides, measured in the same way: 32 KiB without turns 940 µs, with turns 1,230; 64 KiB 1,060 and 1,260.
    /// tokio's budget of a task bounds how long the others wait.
    const TLS: Self = Self { chunk: 32 * 1024, turn: usize::MAX };

    const fn between<F: Socket, T: Socket>() -> Self {
        if F::IS_TLS || T::IS_TLS { Self::TLS } else { Self::PLAIN }
    }
}

/// The state of one direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// What the receiver has not taken yet; freed as soon as it has, so that an idle connection holds nothing.
    rest: Vec<u8>,
    /// Bytes of `rest` that are written.
    taken: usize,
    unflushed: bool,
    stage: Stage,
}

/// How far a direction is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The sender ended it, and the receiver is to be told; not `clean` when TLS ended without a close_notify.
    Ending { clean: bool },
    /// Both know.
    Done,
}

/// Why a direction cannot go on.
#[derive(Debug)]
pub(super) enum Failed {
    /// Reading from the sender failed.
    Read(io::Error),
    /// Writing to the receiver failed.
    Write(io::Error),
}

/// What a direction works with while it is polled.
pub(super) struct Between<'a, F, T> {
    pub(super) side: Side,
    pub(super) from: &'a mut F,
    pub(super) to: &'a mut T,
    pub(super) tap: &'a mut Tap,
    pub(super) spare: &'a mut Spare,
    /// When bytes last moved, if they did.
    pub(super) moved: &'a mut Option<Stamp>,
    /// The sender's FIN came in this step; whether in good order.
    pub(super) fin: Option<bool>,
}

impl<'a, F, T> Between<'a, F, T> {
    pub(super) fn new(
        side: Side,
        (from, to): (&'a mut F, &'a mut T),
        tap: &'a mut Tap,
        spare: &'a mut Spare,
        moved: &'a mut Option<Stamp>,
    ) -> Self {
        Self { side, from, to, tap, spare, moved, fin: None }
    }
}

impl Flow {
    /// Whether both sides know that it is over.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether nothing waits for the receiver.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty() && !self.unflushed
    }

    /// Moves what can be moved. Ready when the direction is over.
    pub(super) fn poll<F: Socket, T: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        between: &mut Between<'_, F, T>,
    ) -> Poll<Result<(), Failed>> {
        let mut moved = 0;
        loop {
            match self.stage {
                // A turn's worth, and there may be more: first the other connections of this thread.
                Stage::Open if moved >= Measure::between::<F, T>().turn => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Stage::Open => moved += ready!(self.poll_chunk(cx, between))?,
                Stage::Ending { clean } => {
                    ready!(self.poll_drain(cx, between))?;
                    let fin =
                        if clean { Pin::new(&mut *between.to).poll_shutdown(cx) } else { between.to.poll_bare_fin(cx) };
                    ready!(fin).map_err(Failed::Write)?;
                    self.stage = Stage::Done;
                }
                Stage::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    /// The last words of a sender whose connection is broken: what waits is delivered and, where `readable`, what it
    /// had sent before. Ready when there is nothing more to deliver, or nobody to deliver it to.
    pub(super) fn poll_last_words<F: Socket, T: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        readable: bool,
        between: &mut Between<'_, F, T>,
    ) -> Poll<()> {
        while readable && self.stage == Stage::Open {
            if ready!(self.poll_chunk(cx, between)).is_err() {
                break;
            }
        }
        ready!(self.poll_drain(cx, between)).ok();
        Poll::Ready(())
    }

    /// Delivers what waits, then reads once and delivers that: straight from the buffer as far as the receiver takes it.
    /// Tells how much that was.
    fn poll_chunk<F: Socket, T: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        between: &mut Between<'_, F, T>,
    ) -> Poll<Result<usize, Failed>> {
        ready!(self.poll_drain(cx, between))?;
        let Between { side, from, to, tap, spare, moved, fin } = between;
        let mut chunk = ReadBuf::new(&mut spare.chunk[..Measure::between::<F, T>().chunk]);
        let clean = match ready!(Pin::new(&mut **from).poll_read(cx, &mut chunk)) {
            Ok(()) => true,
            // rustls' word for a TCP FIN without a close_notify.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(e) => return Poll::Ready(Err(Failed::Read(e))),
        };
        let at = tap.now();
        **moved = Some(at);
        let bytes = chunk.filled();
        if bytes.is_empty() {
            tap.saw_end(*side, at, &mut spare.pool);
            *fin = Some(clean);
            self.stage = Stage::Ending { clean };
            return Poll::Ready(Ok(0));
        }
        tap.saw(*side, at, bytes, &mut spare.pool);
        self.unflushed = T::IS_TLS;
        let mut written = 0;
        while written < bytes.len() {
            match Pin::new(&mut **to).poll_write(cx, &bytes[written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(took_nothing())),
                Poll::Ready(Ok(n)) => written += n,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(Failed::Write(e))),
                Poll::Pending => {
                    self.rest.extend_from_slice(&bytes[written..]);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(written))
    }

    /// Writes and flushes what waits.
    fn poll_drain<F: Socket, T: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        between: &mut Between<'_, F, T>,
    ) -> Poll<Result<(), Failed>> {
        while self.taken < self.rest.len() {
            let waiting = &self.rest[self.taken..];
            match ready!(Pin::new(&mut *between.to).poll_write(cx, waiting)) {
                Ok(0) => return Poll::Ready(Err(took_nothing())),
                Ok(n) => self.taken += n,
                Err(e) => return Poll::Ready(Err(Failed::Write(e))),
            }
            *between.moved = Some(between.tap.now());
        }
        if self.taken > 0 {
            self.rest = Vec::new();
            self.taken = 0;
        }
        if self.unflushed {
            ready!(Pin::new(&mut *between.to).poll_flush(cx)).map_err(Failed::Write)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

fn took_nothing() -> Failed {
    Failed::Write(io::ErrorKind::WriteZero.into())
}
