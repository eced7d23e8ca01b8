//! The handshake machine of one connection.
//!
//! The rows are in [`table`]; this file only looks them up. What no row covers is an [`OutOfSequence`] fact: a peer
//! that does the unexpected is what authtap is here to show, never an error.

pub mod table;

pub use table::{Event, Meaning, State};

use table::{RECOVERY, ROWS};

/// An event that the table does not foresee in this state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfSequence {
    /// The state it came in.
    pub state: State,
    /// What came.
    pub got: Event,
    /// What could have come.
    pub expected: Vec<Event>,
}

/// What one event did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// What it means.
    pub meaning: Meaning,
    /// Set when no row covered the event.
    pub out_of_sequence: Option<OutOfSequence>,
}

/// Looks up what `event` does in `state`.
pub fn step(state: State, event: Event) -> Transition {
    if let Some(row) = ROWS.iter().find(|r| r.state == state && r.event == event) {
        return Transition { from: state, to: row.next, meaning: row.meaning, out_of_sequence: None };
    }
    let expected = ROWS.iter().filter(|r| r.state == state).map(|r| r.event).collect();
    let to = RECOVERY.iter().find(|(e, _)| *e == event).map_or(state, |(_, s)| *s);
    Transition {
        from: state,
        to,
        meaning: Meaning::OutOfSequence,
        out_of_sequence: Some(OutOfSequence { state, got: event, expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that gets stuck after one odd message would miss every later handshake of that connection.
    #[test]
    fn every_event_in_every_state_leads_somewhere_and_back() {
        for state in State::ALL {
            for event in Event::ALL {
                let t = step(state, event);
                assert_eq!(t.from, state);
                assert_eq!(t.out_of_sequence.is_some(), t.meaning == Meaning::OutOfSequence);
                if event.is_answer() {
                    assert!(!t.to.in_flight(), "{state:?} {event:?} leaves a request in flight");
                } else {
                    assert!(t.to.in_flight(), "{state:?} {event:?} forgets the request");
                }
            }
        }
    }

    /// Two rows for one pair: the second would be dead, and the docs would lie.
    #[test]
    fn rows_are_unique_and_states_reachable() {
        for (i, a) in ROWS.iter().enumerate() {
            assert!(ROWS.iter().skip(i + 1).all(|b| (a.state, a.event) != (b.state, b.event)), "{a:?}");
        }
        for state in State::ALL {
            assert!(state == State::Anonymous || ROWS.iter().any(|r| r.next == state), "{state:?}");
        }
    }

    /// Two 401s are how a healthy NTLM logon looks: it must pass without a fact out of sequence.
    #[test]
    fn a_healthy_ntlm_logon_is_in_sequence() {
        let mut state = State::Anonymous;
        let mut meanings = Vec::new();
        for event in [
            Event::Bare,
            Event::Refused,
            Event::Negotiate,
            Event::Challenge,
            Event::Authenticate,
            Event::Accepted,
            Event::Bare,
            Event::Accepted,
        ] {
            let t = step(state, event);
            assert_eq!(t.out_of_sequence, None);
            state = t.to;
            meanings.push(t.meaning);
        }
        assert_eq!(state, State::Authenticated);
        assert!(meanings.contains(&Meaning::Offer) && meanings.contains(&Meaning::Logon));
    }

    /// An AUTHENTICATE on a connection that was never challenged is the product's core case.
    #[test]
    fn an_authenticate_without_a_challenge_is_out_of_sequence() {
        let t = step(State::Anonymous, Event::Authenticate);
        assert_eq!(t.to, State::Authenticating);
        assert_eq!(t.out_of_sequence.map(|o| o.got), Some(Event::Authenticate));
    }
}
