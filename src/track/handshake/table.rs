//! The transition table. `docs/handshakes.md` and its diagram are generated from it.

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum State {
    /// Nobody is logged on and nothing is pending.
    #[default]
    Anonymous,
    /// A request without credentials is in flight.
    Asking,
    /// A NEGOTIATE (Type 1) is in flight.
    Negotiating,
    /// The server sent a CHALLENGE (Type 2) and waits for its AUTHENTICATE.
    Challenged,
    /// An AUTHENTICATE (Type 3) is in flight.
    Authenticating,
    /// An AP-REQ, or credentials of a single leg (Basic, Digest, Bearer), are in flight.
    Proving,
    /// The server asked for another token.
    Continuing,
    /// The connection is logged on, and stays so.
    Authenticated,
    /// A request without credentials is in flight on a connection that is logged on.
    Riding,
}

/// What can happen. The first five are requests, the others answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// A request without `Authorization`.
    Bare,
    /// A request with NTLM's NEGOTIATE.
    Negotiate,
    /// A request with NTLM's AUTHENTICATE.
    Authenticate,
    /// A request with another token of Negotiate: an AP-REQ, or SPNEGO without NTLM.
    Token,
    /// A request with Basic, Digest, Bearer or unknown credentials.
    Credentials,
    /// 401 with NTLM's CHALLENGE.
    Challenge,
    /// 401 with another token.
    Continue,
    /// 401 with bare schemes, or none.
    Refused,
    /// Any other status, and the connection stays logged on (MS-N2HT 3.2.5, `Persistent-Auth`).
    Accepted,
    /// Any other status; the logon, if it was one, was for this request alone.
    AcceptedOnce,
    /// A status that says nothing about the logon: 400 and its like, 407, or a server error.
    Undecided,
    /// The connection ended without an answer.
    Unanswered,
}

/// What a transition means, in the words of the reports. [`Meaning::name`] is `leg` in captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meaning {
    /// A request went out; its answer will tell.
    Sent,
    /// A request passed without anybody logging on.
    AnonymousAccess,
    /// The server said which schemes it takes.
    Offer,
    /// The server challenged.
    Challenge,
    /// NTLM's NEGOTIATE got no CHALLENGE, and was refused.
    NegotiateRefused,
    /// NTLM's NEGOTIATE was answered as if nothing needed proof.
    NotChallenged,
    /// The server wants another token.
    MoreWanted,
    /// Somebody logged on, and the connection remembers.
    Logon,
    /// Somebody logged on for one request.
    LogonOnce,
    /// What was presented was refused.
    Refused,
    /// What was presented was answered by an error that is not about it.
    Undecided,
    /// A request passed on the connection's logon.
    Ride,
    /// The connection was logged on, and the server forgot it.
    Dropped,
    /// The connection ended before the answer.
    Unanswered,
    /// No row covers this.
    OutOfSequence,
}

impl Meaning {
    /// The name in captures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::AnonymousAccess => "anonymous",
            Self::Offer => "offer",
            Self::Challenge => "challenge",
            Self::NegotiateRefused => "negotiate-refused",
            Self::NotChallenged => "not-challenged",
            Self::MoreWanted => "more-wanted",
            Self::Logon => "logon",
            Self::LogonOnce => "logon-once",
            Self::Refused => "refused",
            Self::Undecided => "undecided",
            Self::Ride => "ride",
            Self::Dropped => "dropped",
            Self::Unanswered => "unanswered",
            Self::OutOfSequence => "out-of-sequence",
        }
    }
}

impl State {
    /// All, in the table's order.
    pub const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Asking,
        Self::Negotiating,
        Self::Challenged,
        Self::Authenticating,
        Self::Proving,
        Self::Continuing,
        Self::Authenticated,
        Self::Riding,
    ];

    /// Whether a request waits for its answer.
    pub const fn in_flight(self) -> bool {
        matches!(self, Self::Asking | Self::Negotiating | Self::Authenticating | Self::Proving | Self::Riding)
    }
}

impl Event {
    /// All, in the table's order.
    pub const ALL: [Self; 12] = [
        Self::Bare,
        Self::Negotiate,
        Self::Authenticate,
        Self::Token,
        Self::Credentials,
        Self::Challenge,
        Self::Continue,
        Self::Refused,
        Self::Accepted,
        Self::AcceptedOnce,
        Self::Undecided,
        Self::Unanswered,
    ];

    /// Whether it is an answer and not a request.
    pub const fn is_answer(self) -> bool {
        matches!(
            self,
            Self::Challenge
                | Self::Continue
                | Self::Refused
                | Self::Accepted
                | Self::AcceptedOnce
                | Self::Undecided
                | Self::Unanswered
        )
    }
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// In this state,
    pub state: State,
    /// when this happens,
    pub event: Event,
    /// this state follows,
    pub next: State,
    /// and this is what it means.
    pub meaning: Meaning,
}

const fn row(state: State, event: Event, next: State, meaning: Meaning) -> Row {
    Row { state, event, next, meaning }
}

use Event as E;
use Meaning as M;
use State as S;

/// What is in sequence. A pair that is not here is out of sequence.
pub const ROWS: &[Row] = &[
    row(S::Anonymous, E::Bare, S::Asking, M::Sent),
    row(S::Anonymous, E::Negotiate, S::Negotiating, M::Sent),
    row(S::Anonymous, E::Token, S::Proving, M::Sent),
    row(S::Anonymous, E::Credentials, S::Proving, M::Sent),
    row(S::Asking, E::Accepted, S::Anonymous, M::AnonymousAccess),
    row(S::Asking, E::AcceptedOnce, S::Anonymous, M::AnonymousAccess),
    row(S::Asking, E::Refused, S::Anonymous, M::Offer),
    // Nego2 puts data into its first offer (MS-N2HT 2.2.1).
    row(S::Asking, E::Continue, S::Anonymous, M::Offer),
    row(S::Asking, E::Undecided, S::Anonymous, M::AnonymousAccess),
    row(S::Asking, E::Unanswered, S::Anonymous, M::Unanswered),
    row(S::Negotiating, E::Challenge, S::Challenged, M::Challenge),
    row(S::Negotiating, E::Continue, S::Continuing, M::MoreWanted),
    row(S::Negotiating, E::Refused, S::Anonymous, M::NegotiateRefused),
    row(S::Negotiating, E::Accepted, S::Anonymous, M::NotChallenged),
    row(S::Negotiating, E::AcceptedOnce, S::Anonymous, M::NotChallenged),
    row(S::Negotiating, E::Undecided, S::Anonymous, M::Undecided),
    row(S::Negotiating, E::Unanswered, S::Anonymous, M::Unanswered),
    row(S::Challenged, E::Authenticate, S::Authenticating, M::Sent),
    row(S::Authenticating, E::Accepted, S::Authenticated, M::Logon),
    row(S::Authenticating, E::AcceptedOnce, S::Anonymous, M::LogonOnce),
    row(S::Authenticating, E::Refused, S::Anonymous, M::Refused),
    row(S::Authenticating, E::Challenge, S::Challenged, M::Challenge),
    row(S::Authenticating, E::Continue, S::Continuing, M::MoreWanted),
    // An application's own error after a logon looks the same as a server that stumbled over the message.
    row(S::Authenticating, E::Undecided, S::Anonymous, M::Undecided),
    row(S::Authenticating, E::Unanswered, S::Anonymous, M::Unanswered),
    row(S::Proving, E::Accepted, S::Authenticated, M::Logon),
    row(S::Proving, E::AcceptedOnce, S::Anonymous, M::LogonOnce),
    row(S::Proving, E::Refused, S::Anonymous, M::Refused),
    // An optimistic AP-REQ, answered by a CHALLENGE: the server chose NTLM and took the client's first token for it.
    row(S::Proving, E::Challenge, S::Challenged, M::Challenge),
    row(S::Proving, E::Continue, S::Continuing, M::MoreWanted),
    row(S::Proving, E::Undecided, S::Anonymous, M::Undecided),
    row(S::Proving, E::Unanswered, S::Anonymous, M::Unanswered),
    row(S::Continuing, E::Negotiate, S::Negotiating, M::Sent),
    row(S::Continuing, E::Authenticate, S::Authenticating, M::Sent),
    row(S::Continuing, E::Token, S::Proving, M::Sent),
    // A refusal may carry a token too (KRB-ERROR, RFC 4559): the client is free to start over.
    row(S::Continuing, E::Bare, S::Asking, M::Sent),
    row(S::Continuing, E::Credentials, S::Proving, M::Sent),
    row(S::Authenticated, E::Bare, S::Riding, M::Sent),
    // A logged-on connection may authenticate again; WinHTTP does.
    row(S::Authenticated, E::Negotiate, S::Negotiating, M::Sent),
    row(S::Authenticated, E::Token, S::Proving, M::Sent),
    row(S::Authenticated, E::Credentials, S::Proving, M::Sent),
    row(S::Riding, E::Accepted, S::Authenticated, M::Ride),
    row(S::Riding, E::AcceptedOnce, S::Authenticated, M::Ride),
    row(S::Riding, E::Refused, S::Anonymous, M::Dropped),
    row(S::Riding, E::Continue, S::Anonymous, M::Dropped),
    row(S::Riding, E::Undecided, S::Authenticated, M::Ride),
    row(S::Riding, E::Unanswered, S::Anonymous, M::Unanswered),
];

/// Where the machine goes on after an event that is out of sequence.
pub const RECOVERY: &[(Event, State)] = &[
    (E::Bare, S::Asking),
    (E::Negotiate, S::Negotiating),
    (E::Authenticate, S::Authenticating),
    (E::Token, S::Proving),
    (E::Credentials, S::Proving),
    (E::Challenge, S::Challenged),
    (E::Continue, S::Continuing),
    (E::Refused, S::Anonymous),
    (E::Accepted, S::Anonymous),
    (E::AcceptedOnce, S::Anonymous),
    (E::Undecided, S::Anonymous),
    (E::Unanswered, S::Anonymous),
];

/// `docs/handshakes.md`, generated.
pub fn page() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# The handshake machine\n\n\
         Generated from `src/track/handshake/table.rs`; `AUTHTAP_BLESS=1 cargo test` writes it anew.\n\n\
         One machine runs per connection. A pair of state and event that has no row is *out of sequence*: a fact for\n\
         the findings, after which the machine goes on as the second table says.\n\n\
         ```mermaid\nstateDiagram-v2\n    [*] --> Anonymous\n",
    );
    for r in ROWS {
        let _ = writeln!(text, "    {:?} --> {:?}: {:?}", r.state, r.next, r.event);
    }
    text.push_str("```\n\n| state | event | next | meaning |\n|---|---|---|---|\n");
    for r in ROWS {
        let _ = writeln!(text, "| {:?} | {:?} | {:?} | {} |", r.state, r.event, r.next, r.meaning.name());
    }
    text.push_str("\nAfter an event out of sequence:\n\n| event | next |\n|---|---|\n");
    for (event, state) in RECOVERY {
        let _ = writeln!(text, "| {event:?} | {state:?} |");
    }
    text
}
