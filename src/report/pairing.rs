//! Whether handshakes stayed on their connections: the positive statement that users ask for.

use crate::model::event::{Handshake, LinkProof, Outcome};

/// What is known about the pairing of challenges and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairing {
    /// Logons succeeded whole, and nothing speaks against it.
    pub verified: bool,
    /// NTLM logons whose answer is proved to answer the challenge of its own connection.
    pub paired: u64,
    /// NTLM logons on one connection whose client left nothing to compare.
    pub unproved: u64,
    /// Kerberos logons, each whole on one connection.
    pub kerberos: u64,
    /// Basic, Digest and bearer logons: each request stands alone, there is nothing to pair.
    pub single: u64,
    /// NTLM handshakes that came as far as an answer.
    pub checked: u64,
    /// Answers that are proved to answer another connection's challenge.
    pub crossed: u64,
    /// Why it is not verified: `no-logon`, `broken-handshakes`, `findings`, `gaps`. Empty when it is.
    pub because: Vec<&'static str>,
}

impl Pairing {
    pub(super) fn take(&mut self, handshake: &Handshake) {
        let crossed =
            handshake.links.iter().filter(|l| proves(l.proof) && l.challenge.0 != l.authenticate.0).count() as u64;
        self.crossed = self.crossed.saturating_add(crossed);
        let ntlm = matches!(handshake.scheme.as_str(), "ntlm" | "negotiate-ntlm");
        let answered = handshake.legs.iter().any(|l| l.message == "AUTHENTICATE") || !handshake.links.is_empty();
        if ntlm && answered {
            self.checked += 1;
        }
        if handshake.outcome != Outcome::Authenticated {
            return;
        }
        let mut connections = handshake.legs.iter().map(|l| l.connection);
        let first = connections.next();
        let whole = connections.all(|c| Some(c) == first);
        match handshake.scheme.as_str() {
            "ntlm" | "negotiate-ntlm" => {
                let linked = handshake.links.iter().any(|l| proves(l.proof) && l.challenge.0 == l.authenticate.0);
                if crossed > 0 || !whole {
                    // Neither paired nor unproved: a finding tells it.
                } else if linked {
                    self.paired += 1;
                } else {
                    self.unproved += 1;
                }
            }
            "kerberos" if whole => self.kerberos += 1,
            "kerberos" => {}
            _ => self.single += 1,
        }
    }

    pub(super) fn judge(&mut self, broken: u64, findings: bool, gaps: bool) {
        self.because.clear();
        if self.paired == 0 && self.kerberos == 0 {
            self.because.push("no-logon");
        }
        if broken > 0 || self.crossed > 0 {
            self.because.push("broken-handshakes");
        }
        if findings {
            self.because.push("findings");
        }
        if gaps {
            self.because.push("gaps");
        }
        self.verified = self.because.is_empty();
    }
}

/// Names and order fit a handshake of one connection just as well as one that was crossed.
fn proves(proof: LinkProof) -> bool {
    matches!(proof, LinkProof::Timestamp | LinkProof::ResponseTime)
}
