//! Hands events to the sinks, and tells the others when one of them fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::tap::panic_text;
use crate::model::Stamp;
use crate::model::event::{Event, Gap, GapWhat, What};
use crate::sink::Sink;

/// A failing sink is spoken of on stderr at most this often.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The sinks, each with its state.
pub(super) struct Outlet {
    sinks: Vec<Guarded>,
    /// Added to the engine's numbers: they begin anew with a new engine, and a capture's must not.
    base: u64,
    /// The highest number given.
    highest: u64,
}

struct Guarded {
    sink: Box<dyn Sink>,
    dropped: u64,
    why: String,
    warned: Option<Stamp>,
}

impl Outlet {
    pub(super) fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        let sinks =
            sinks.into_iter().map(|sink| Guarded { sink, dropped: 0, why: String::new(), warned: None }).collect();
        Self { sinks, base: 0, highest: 0 }
    }

    /// A new engine takes over: its numbers go on from its predecessor's.
    pub(super) const fn engine_replaced(&mut self) {
        self.base = self.highest;
    }

    /// Writes the events to every sink, under the engine's own numbers: they tell in which order things were taken in,
    /// and an exchange is written later than that. What the shell itself has to tell has the number 0.
    pub(super) fn write(&mut self, events: &mut Vec<Event>) {
        for mut event in events.drain(..) {
            let at = event.at;
            if event.seq != 0 {
                event.seq += self.base;
                self.highest = self.highest.max(event.seq);
            }
            // What becomes of sinks is told after the event that showed it, and to the other sinks only: each of
            // these gaps concerns one more failing sink, so this ends.
            let mut news = self.write_one(&event, None);
            while let Some((of, what)) = news.pop() {
                let gap = Event { seq: 0, at, what };
                news.extend(self.write_one(&gap, Some(of)));
            }
        }
    }

    /// Nothing more is to be written for the moment.
    pub(super) fn settle(&mut self, at: Stamp) {
        self.each(at, |s| s.settle());
    }

    /// Makes durable what was written.
    pub(super) fn flush(&mut self, at: Stamp) {
        self.each(at, |s| s.flush());
    }

    fn each(&mut self, at: Stamp, run: impl Fn(&mut dyn Sink) -> Result<(), String>) {
        for index in 0..self.sinks.len() {
            let sink = &mut self.sinks[index];
            if sink.dropped > 0 {
                continue;
            }
            if let Err(why) = sink.call(&run) {
                // What was written since the last flush may be gone; how much, only the sink knows.
                let news = sink.failed(at, why);
                let gap = Event { seq: 0, at, what: news };
                self.write_one(&gap, Some(index));
            }
        }
    }

    /// Writes one event to every sink but `except`; returns which sinks stopped or went on working with it.
    fn write_one(&mut self, event: &Event, except: Option<usize>) -> Vec<(usize, What)> {
        let mut news = Vec::new();
        for (index, sink) in self.sinks.iter_mut().enumerate() {
            if Some(index) == except {
                continue;
            }
            if sink.dropped > 0 {
                // It hears first of what it missed.
                let gap = Event { seq: 0, at: event.at, what: sink.gap() };
                if let Err(why) = sink.call(|s| s.write(&gap)) {
                    sink.failed(event.at, why);
                    continue;
                }
                news.push((index, sink.gap()));
                sink.dropped = 0;
                tracing::warn!(sink = sink.sink.name(), "the sink works again");
            }
            if let Err(why) = sink.call(|s| s.write(event)) {
                news.push((index, sink.failed(event.at, why)));
            }
        }
        news
    }
}

impl Guarded {
    /// A sink may fail, also badly.
    fn call(&mut self, run: impl FnOnce(&mut dyn Sink) -> Result<(), String>) -> Result<(), String> {
        let sink = &mut *self.sink;
        catch_unwind(AssertUnwindSafe(|| run(sink)))
            .unwrap_or_else(|panic| Err(format!("failed: {}", panic_text(&*panic))))
    }

    fn failed(&mut self, at: Stamp, why: String) -> What {
        self.dropped += 1;
        self.why = why;
        if self.warned.is_none_or(|last| at.since(last) >= WARN_EVERY) {
            self.warned = Some(at);
            tracing::warn!(
                sink = self.sink.name(),
                why = %self.why,
                dropped = self.dropped,
                "a sink cannot write; traffic is not concerned"
            );
        }
        self.gap()
    }

    fn gap(&self) -> What {
        What::Gap(Gap {
            connection: None,
            what: GapWhat::SinkFailed {
                sink: self.sink.name().to_owned(),
                dropped: self.dropped,
                why: self.why.clone(),
            },
        })
    }
}
