//! Challenges with a flaw, and whether the client stops there.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::View;
use crate::finding::memory::Memory;
use crate::model::event::{Handshake, Outcome};
use crate::model::{HandshakeId, Stamp};
use crate::track::challenges::Verdict;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

/// A client answers a challenge by itself, within a round trip.
const A_ROUND_TRIP: Duration = Duration::from_secs(5);

/// One flawed challenge that nobody has answered.
#[derive(Debug)]
pub(in crate::finding) struct Stopped<V> {
    peer: IpAddr,
    /// Whom it was sent to.
    pub(in crate::finding) party: IpAddr,
    /// When.
    at: Stamp,
    /// What the finding makes of it.
    pub(in crate::finding) of: V,
}

/// Flawed challenges that nobody has answered, and clients that do answer such ones.
#[derive(Debug)]
pub(in crate::finding) struct Stops<V> {
    open: Memory<HandshakeId, Stopped<V>>,
    able: Memory<IpAddr, ()>,
}

impl<V> Default for Stops<V> {
    fn default() -> Self {
        Self { open: Memory::default(), able: Memory::default() }
    }
}

impl<V> Stops<V> {
    /// How much is remembered.
    pub(in crate::finding) fn len(&self) -> usize {
        self.open.len() + self.able.len()
    }

    /// How much was pushed out.
    pub(in crate::finding) const fn forgotten(&self) -> u64 {
        self.open.forgotten() + self.able.forgotten()
    }

    /// The response of `turn` carries a flawed challenge.
    pub(in crate::finding) fn flawed(&mut self, turn: &Turn, view: &View<'_>, of: impl FnOnce() -> V) {
        let Some(challenge) = &turn.challenge else { return };
        let (peer, party, at) = (turn.peer, turn.party, turn.at());
        self.open.entry(challenge.handshake, at, view, || Stopped { peer, party, at, of: of() });
    }

    /// An AUTHENTICATE that answers a flawed challenge shows that its client can.
    pub(in crate::finding) fn look(&mut self, turn: &Turn, view: &View<'_>) {
        if turn.request != Event::Authenticate || self.open.len() == 0 {
            return;
        }
        let Some(Verdict::Here(c, _) | Verdict::Earlier(c, _) | Verdict::Elsewhere(c, _)) = &turn.verdict else {
            return;
        };
        if self.open.remove(&c.handshake).is_some() {
            self.able.entry(turn.party, turn.at(), view, || ());
        }
    }

    /// The handshake was given up: what was flawed in it, if its client is not known to pass over such a flaw.
    pub(in crate::finding) fn given_up(
        &mut self,
        handshake: &Handshake,
        now: Stamp,
        view: &View<'_>,
    ) -> Option<Stopped<V>> {
        let stopped = self.open.remove(&handshake.handshake)?;
        let sure = !view.site.gaps().client_since(stopped.peer, stopped.at);
        let waited = now.since(stopped.at) >= A_ROUND_TRIP;
        let able = self.able.get(&stopped.party).is_some();
        (handshake.outcome == Outcome::Abandoned && sure && waited && !able).then_some(stopped)
    }
}
