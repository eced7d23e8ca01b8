//! The relay of one connection: one future that owns both sockets, both directions and the tap.
//!
//! Nothing is shared, so nothing is locked; both directions are moved by the one task, and the buffers are the
//! thread's ([`super::tap::Spare`]). A direction reads only when its socket is readable and its receiver took the last
//! chunk: tokio clears a socket's readiness after a short read, so waiting costs no system call that finds nothing.
//! A plain connection that moved a full chunk lets the others of its thread have their turn.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use super::close::{Side, broken, fin, own};
use super::connection::Site;
use super::flow::{Between, Failed, Flow};
use super::open::Open;
use super::socket::Socket;
use super::tap::{Spare, Tap, with_spare};
use crate::model::Stamp;
use crate::model::transport::{End, How};

/// How long the last words of a broken connection may take to deliver before the reset travels on.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// When authtap stops, a connection is looked at this often: a request or an end that is on its way is still let in.
const LEAVING: Duration = Duration::from_millis(100);

/// The relay of one connection. Resolves when both directions have ended, each in its own way.
pub(super) struct Relay<C, U> {
    client: C,
    upstream: U,
    /// From the client, and from the upstream.
    flows: [Flow; 2],
    tap: Tap,
    first_end: Option<Box<End>>,
    broken: Option<Broken>,
    idle: Idle,
    open: Arc<Open>,
    /// authtap stops: it ends as soon as no exchange is open.
    leaving: bool,
}

/// A side whose connection is gone.
#[derive(Debug, Clone, Copy)]
struct Broken {
    side: Side,
    /// What it sent before may still be read: it was a write that failed.
    readable: bool,
}

/// The idle timeout: re-armed only when it fires, so that traffic costs it nothing.
struct Idle {
    timer: Pin<Box<Sleep>>,
    limit: Duration,
    /// The moment that the timer's deadline was counted from.
    armed: Stamp,
    last: Stamp,
    registered: bool,
}

impl<C: Socket, U: Socket> Relay<C, U> {
    pub(super) fn new(client: C, upstream: U, tap: Tap, site: &Site) -> Self {
        let now = tap.now();
        let idle = site.idle_timeout;
        Self {
            client,
            upstream,
            flows: [Flow::default(), Flow::default()],
            tap,
            first_end: None,
            broken: None,
            idle: Idle {
                timer: Box::pin(tokio::time::sleep(idle)),
                limit: idle,
                armed: now,
                last: now,
                registered: false,
            },
            open: Arc::clone(&site.open),
            leaving: false,
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>, spare: &mut Spare) -> Poll<()> {
        let mut moved = None;
        for side in [Side::Client, Side::Upstream] {
            if self.broken.is_none()
                && let Some(failed) = self.move_one(cx, side, spare, &mut moved)
            {
                self.fail(side, failed);
            }
        }
        let over = match self.broken {
            Some(broken) => self.last_words(cx, broken, spare, &mut moved).is_ready(),
            None => self.flows.iter().all(Flow::is_done),
        };
        if let Some(at) = moved {
            self.idle.last = at;
        }
        if !over {
            if !self.leaving && self.broken.is_none() && self.open.is_stopping() {
                self.leaving = true;
                self.idle.shorten(LEAVING, self.tap.now());
            }
            ready!(self.poll_idle(cx, moved.is_some()));
        }
        if self.broken.is_some() {
            self.client.arm_reset();
            self.upstream.arm_reset();
        }
        if let Some(end) = self.first_end.take() {
            let at = self.tap.now();
            self.tap.closed(at, *end, &mut spare.pool);
        }
        Poll::Ready(())
    }

    /// Ready when the connection has no more time, and its end is noted.
    fn poll_idle(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        loop {
            ready!(self.idle.poll(cx, moved));
            if self.broken.is_some() {
                return Poll::Ready(());
            }
            if !self.leaving {
                let detail = format!("idle for {} s", self.idle.limit.as_secs_f64());
                self.note(own(How::Timeout, detail));
                return Poll::Ready(());
            }
            if self.flows.iter().all(Flow::is_empty) && self.tap.between_messages() {
                // Nothing waits to be written, so neither does this; for TLS it is the close_notify.
                let (client, upstream) = (Pin::new(&mut self.client), Pin::new(&mut self.upstream));
                drop((client.poll_shutdown(cx), upstream.poll_shutdown(cx)));
                self.note(own(How::Fin, "authtap stopped while no exchange was open".to_owned()));
                return Poll::Ready(());
            }
            self.idle.again();
        }
    }

    /// Moves one direction; a failure is returned, an end of its sender noted.
    fn move_one(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
        spare: &mut Spare,
        moved: &mut Option<Stamp>,
    ) -> Option<Failed> {
        let flow = &mut self.flows[side.index()];
        if flow.is_done() {
            return None;
        }
        let tap = &mut self.tap;
        let (outcome, ended) = match side {
            Side::Client => {
                let sockets = (&mut self.client, &mut self.upstream);
                let mut between = Between::new(side, sockets, tap, spare, moved);
                (flow.poll(cx, &mut between), between.fin)
            }
            Side::Upstream => {
                let sockets = (&mut self.upstream, &mut self.client);
                let mut between = Between::new(side, sockets, tap, spare, moved);
                (flow.poll(cx, &mut between), between.fin)
            }
        };
        if let Some(clean) = ended {
            self.note(fin(side, clean));
        }
        match outcome {
            Poll::Ready(Err(failed)) => Some(failed),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// A socket failed. The one that failed is at fault, whichever direction noticed.
    fn fail(&mut self, reading: Side, failed: Failed) {
        let (side, readable, error) = match failed {
            Failed::Read(error) => (reading, false, error),
            Failed::Write(error) => (reading.other(), true, error),
        };
        self.note(broken(side, &error));
        self.broken = Some(Broken { side, readable });
        self.idle.shorten(LAST_WORDS, self.tap.now());
    }

    /// Delivers what the broken side still had to say.
    fn last_words(
        &mut self,
        cx: &mut Context<'_>,
        Broken { side, readable }: Broken,
        spare: &mut Spare,
        moved: &mut Option<Stamp>,
    ) -> Poll<()> {
        let flow = &mut self.flows[side.index()];
        let tap = &mut self.tap;
        match side {
            Side::Client => {
                let sockets = (&mut self.client, &mut self.upstream);
                let mut between = Between::new(side, sockets, tap, spare, moved);
                flow.poll_last_words(cx, readable, &mut between)
            }
            Side::Upstream => {
                let sockets = (&mut self.upstream, &mut self.client);
                let mut between = Between::new(side, sockets, tap, spare, moved);
                flow.poll_last_words(cx, readable, &mut between)
            }
        }
    }

    /// The first end is the end; a reset after an orderly end is told with it.
    fn note(&mut self, end: End) {
        match &mut self.first_end {
            None => self.first_end = Some(Box::new(end)),
            Some(first) if end.how != How::Fin => {
                let then = format!("then {:?} by {:?}", end.how, end.by).to_ascii_lowercase();
                first.detail = Some(match first.detail.take() {
                    Some(before) => format!("{before}; {then}"),
                    None => then,
                });
            }
            Some(_) => {}
        }
    }
}

impl Idle {
    /// Ready when nothing moved for the limit. The timer itself is asked only when it may have something to say.
    fn poll(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        if moved && self.registered && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.registered = true;
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.last <= self.armed {
                return Poll::Ready(());
            }
            let next = self.timer.deadline() + self.last.since(self.armed);
            self.armed = self.last;
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }

    /// From now on only this long, whether bytes move or not.
    fn shorten(&mut self, limit: Duration, now: Stamp) {
        let now_instant = self.timer.deadline() - self.limit + now.since(self.armed);
        self.timer.as_mut().reset(now_instant + limit);
        self.limit = limit;
        self.armed = Stamp(i64::MAX);
        self.registered = false;
    }

    /// Once more as long.
    fn again(&mut self) {
        let next = self.timer.deadline() + self.limit;
        self.timer.as_mut().reset(next);
    }
}

impl<C: Socket, U: Socket> Future for Relay<C, U> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        with_spare(|spare| this.advance(cx, spare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::follow::Follow;
    use tokio::net::TcpStream;

    /// The memory of an idle connection: 3,000 of them are a small site's ordinary day.
    #[test]
    fn a_plain_relay_is_small_besides_its_framing() {
        let size = size_of::<Relay<TcpStream, TcpStream>>() - size_of::<Follow>();
        assert!(size <= 512, "{size}");
        assert!(size_of::<Follow>() <= 1024, "{}", size_of::<Follow>());
    }
}
