//! The observer's thread: observations in, events to the sinks. Whatever happens here, the traffic flows on.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;

use super::clock::Clock;
use super::close::own;
use super::feed::{Feed, Lost, Message};
use super::outlet::Outlet;
use super::tap::panic_text;
use crate::finding::Engine;
use crate::model::Stamp;
use crate::model::event::{ConnectionClose, Event, Gap, GapWhat, What};
use crate::model::transport::How;
use crate::sink::Sink;
use crate::wire::observation::{Observation, Seen};

/// Observations that may wait. The queue is laid out at start: some 100 bytes a place.
pub const QUEUE: usize = 16_384;

/// While there is traffic the queue is emptied this often, instead of waking the thread for every observation: a wake
/// costs the relay a system call.
const ROUND: Duration = Duration::from_millis(5);
/// Empty rounds after which the thread goes to sleep until something comes.
const EMPTY_ROUNDS: u32 = 20;
/// Observations after which the thread looks up from the queue.
const BATCH: usize = 4096;
/// Deadlines of the engine are looked at, and sinks flushed, this often.
const TICK: Duration = Duration::from_secs(1);

/// What turns observations into events. [`Engine`] is the one; tests bring worse ones.
pub trait Analyse {
    /// Takes in one observation.
    fn observe(&mut self, observation: Observation, out: &mut Vec<Event>);
    /// Time passes without an observation.
    fn advance(&mut self, now: Stamp, out: &mut Vec<Event>);
    /// The end.
    fn finish(&mut self, at: Stamp, out: &mut Vec<Event>);
}

impl Analyse for Engine {
    fn observe(&mut self, observation: Observation, out: &mut Vec<Event>) {
        Engine::observe(self, observation, out);
    }

    fn advance(&mut self, now: Stamp, out: &mut Vec<Event>) {
        Engine::advance(self, now, out);
    }

    fn finish(&mut self, at: Stamp, out: &mut Vec<Event>) {
        Engine::finish(self, at, out);
    }
}

/// The running observer.
#[derive(Debug)]
pub struct Observer {
    feed: Feed,
    stopping: Arc<AtomicBool>,
    over: Receiver<()>,
}

/// The observer did not come to its end in time: a sink is stuck.
#[derive(Debug, thiserror::Error)]
#[error("the observer did not finish in time: a sink is stuck; the end of the capture may be missing")]
pub struct Stuck;

impl Observer {
    /// Starts the thread. `engine` makes an engine, once at start and again after a failure; `queue` is how many
    /// observations may wait ([`QUEUE`] is a good number).
    pub fn start<A: Analyse>(
        engine: impl FnMut() -> A + Send + 'static,
        sinks: Vec<Box<dyn Sink>>,
        clock: Clock,
        queue: usize,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let (done, over) = sync_channel(1);
        let feed = Feed::new(sender, clock);
        let stopping = Arc::new(AtomicBool::new(false));
        let (own_feed, stop) = (feed.clone(), Arc::clone(&stopping));
        std::thread::Builder::new().name("authtap-observer".to_owned()).spawn(move || {
            Work::new(engine, Outlet::new(sinks), own_feed, queue).run(&receiver, &stop);
            done.send(()).ok();
        })?;
        Ok(Self { feed, stopping, over })
    }

    /// Where observations go in.
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Takes in what is still queued, judges what was open, writes `stop` and flushes. Call it when the relays are
    /// done. Waits at most `patience`. Blocks: not for a thread of the runtime.
    pub fn stop(self, patience: Duration) -> Result<(), Stuck> {
        self.stopping.store(true, Ordering::Release);
        self.feed.wake();
        match self.over.recv_timeout(patience) {
            // The sender is also dropped when the thread died, which is as over as it gets.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
            Err(RecvTimeoutError::Timeout) => Err(Stuck),
        }
    }
}

struct Work<M, A> {
    make: M,
    engine: A,
    outlet: Outlet,
    feed: Feed,
    out: Vec<Event>,
    ticked: Stamp,
    /// How many observations the queue holds.
    room: usize,
    /// Connections whose end was dropped.
    lost: Vec<Lost>,
    /// Observations that may still be queued before those were lost.
    ahead: usize,
}

impl<A: Analyse, M: FnMut() -> A> Work<M, A> {
    fn new(mut make: M, outlet: Outlet, feed: Feed, room: usize) -> Self {
        let engine = make();
        let ticked = feed.now();
        Self { make, engine, outlet, feed, out: Vec::new(), ticked, room, lost: Vec::new(), ahead: 0 }
    }

    fn run(mut self, queue: &Receiver<Message>, stopping: &AtomicBool) {
        let mut empty = 0;
        loop {
            // Read before the queue: what was put there before the stop is taken in.
            let stop = stopping.load(Ordering::Acquire);
            let taken = self.take(queue);
            let drained = taken < BATCH;
            self.end_lost(taken, drained);
            if drained && stop {
                // Whatever was lost was lost before the stop, and the queue is empty.
                self.end_lost(taken, drained);
                return self.finish();
            }
            self.tick(drained);
            if taken > 0 {
                self.outlet.settle(self.ticked);
            }
            empty = if taken > 0 { 0 } else { empty + 1 };
            if !drained {
                continue;
            }
            if empty < EMPTY_ROUNDS {
                std::thread::sleep(ROUND);
                continue;
            }
            match queue.recv_timeout(TICK) {
                Ok(Message::Seen(observation)) => {
                    self.feed.taken(&observation.what);
                    self.observe(observation);
                    self.outlet.settle(self.ticked);
                    empty = 0;
                }
                Ok(Message::Wake) | Err(RecvTimeoutError::Timeout) => {}
                // Not while we hold a feed ourselves.
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    /// Takes in what is queued, up to a batch.
    fn take(&mut self, queue: &Receiver<Message>) -> usize {
        for taken in 0..BATCH {
            match queue.try_recv() {
                Ok(Message::Seen(observation)) => {
                    self.feed.taken(&observation.what);
                    self.observe(observation);
                }
                Ok(Message::Wake) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return taken,
            }
        }
        BATCH
    }

    fn observe(&mut self, observation: Observation) {
        let at = observation.at;
        self.guarded(at, |engine, out| engine.observe(observation, out));
    }

    /// Ends the connections whose own word of it was dropped, so that the engine does not keep them for ever: not before
    /// everything was taken in that they had told before.
    fn end_lost(&mut self, taken: usize, drained: bool) {
        self.ahead = if drained { 0 } else { self.ahead.saturating_sub(taken) };
        if self.ahead == 0 {
            let at = self.feed.now();
            for Lost { connection, dropped } in std::mem::take(&mut self.lost) {
                let gap = Gap { connection: Some(connection), what: GapWhat::QueueFull { dropped } };
                self.observe(Observation { at, what: Seen::Gap(gap) });
                let close = ConnectionClose {
                    connection,
                    end: own(How::Error, "its end was lost: queue full".to_owned()),
                    mid_handshake: false,
                    client_bytes: 0,
                    upstream_bytes: 0,
                    exchanges: 0,
                    duration: Duration::ZERO,
                };
                self.observe(Observation { at, what: Seen::Closed(Box::new(close)) });
            }
        }
        if self.lost.is_empty() {
            self.lost = self.feed.take_lost();
            self.ahead = self.room;
        }
    }

    /// Once a second: deadlines, when nothing is queued that may come before them, and the sinks' flush.
    fn tick(&mut self, drained: bool) {
        let now = self.feed.now();
        if now.since(self.ticked) < TICK {
            return;
        }
        self.ticked = now;
        if drained {
            self.guarded(now, |engine, out| engine.advance(now, out));
        }
        self.outlet.flush(now);
    }

    fn finish(mut self) {
        let at = self.feed.now();
        if !self.guarded(at, |engine, out| engine.finish(at, out)) {
            // The fresh engine has seen nothing, but a capture without its `stop` would look cut off.
            self.guarded(at, |engine, out| engine.finish(at, out));
        }
        self.outlet.flush(at);
    }

    /// Runs the engine and hands on what it said. When it fails, a fresh one takes over and the loss is told.
    fn guarded(&mut self, at: Stamp, run: impl FnOnce(&mut A, &mut Vec<Event>)) -> bool {
        let (engine, out) = (&mut self.engine, &mut self.out);
        let failed = catch_unwind(AssertUnwindSafe(|| run(engine, out))).err();
        if let Some(panic) = &failed {
            let why = panic_text(&**panic);
            tracing::warn!(%why, "the observer failed and starts anew; traffic is not concerned");
            self.restart(at, why);
        }
        self.outlet.write(&mut self.out);
        failed.is_none()
    }

    fn restart(&mut self, at: Stamp, why: String) {
        self.engine = (self.make)();
        // What the failed engine had said before keeps its numbers.
        self.outlet.write(&mut self.out);
        self.outlet.engine_replaced();
        let gap = Gap { connection: None, what: GapWhat::ObserverLost { why } };
        // The fresh engine must know that it has not seen what is open; it may fail on that too.
        let (engine, out) = (&mut self.engine, &mut self.out);
        let told_from = out.len();
        let observation = Observation { at, what: Seen::Gap(gap.clone()) };
        let again = catch_unwind(AssertUnwindSafe(|| engine.observe(observation, out)));
        if again.is_err() {
            self.engine = (self.make)();
        }
        let told = self.out[told_from..].iter().any(|e| matches!(&e.what, What::Gap(g) if *g == gap));
        if !told {
            self.out.push(Event { seq: 0, at, what: What::Gap(gap) });
        }
    }
}
