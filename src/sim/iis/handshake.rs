//! The server's side of a handshake: raw NTLM under either scheme, or NTLM inside SPNEGO under `Negotiate`.

use super::accounts::Accounts;
use super::log::win32;
use super::settings::Settings;
use crate::model::FileTime;
use crate::sim::ntlm::av::{AvPairs, id};
use crate::sim::ntlm::crypto::{Signer, sign};
use crate::sim::ntlm::message::{Challenge, SERVER_VERSION};
use crate::sim::ntlm::{flags, read};
use crate::sim::spnego::{self, NegState};

/// A handshake under way.
pub(super) struct Handshake {
    scheme: String,
    /// mechTypes of the client's NegTokenInit, once there was one.
    mech_list: Option<Vec<u8>>,
    pending: Option<Pending>,
}

/// A challenge that waits for its answer.
struct Pending {
    server_challenge: [u8; 8],
    type1: Vec<u8>,
    type2: Vec<u8>,
}

/// What a token comes to.
pub(super) enum Step {
    /// Another leg must follow; this token goes to the client.
    Continue(Handshake, Vec<u8>),
    /// The user is known; with the last token, where the wrapping asks for one.
    Done(String, Option<Vec<u8>>),
    /// Refused, with this win32 status. The handshake is over.
    Refused(u32),
}

impl Handshake {
    pub(super) fn new(scheme: &str) -> Self {
        Self { scheme: scheme.to_owned(), mech_list: None, pending: None }
    }

    /// The scheme, as the client wrote it.
    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(super) fn is_under(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    pub(super) fn step(
        mut self,
        settings: &Settings,
        time: impl Fn() -> FileTime,
        accounts: &mut Accounts,
        token: &[u8],
    ) -> Step {
        if read::kind(token).is_some() {
            return self.ntlm(settings, &time, accounts, token, None);
        }
        if !self.is_under("Negotiate") {
            return Step::Refused(win32::INVALID_TOKEN);
        }
        let Some(wrapped) = spnego::read(token) else {
            return Step::Refused(win32::INVALID_TOKEN);
        };
        if let Some(mechs) = wrapped.mech_list {
            if !wrapped.ntlm_listed {
                return Step::Refused(win32::INVALID_TOKEN);
            }
            self.pending = None;
            self.mech_list = Some(mechs);
            if !wrapped.ntlm_first {
                // The optimistic token is for another mechanism: choose NTLM and ask for its first message.
                let choice = spnego::resp(Some(NegState::RequestMic), Some(spnego::NTLM), None, None);
                return Step::Continue(self, choice);
            }
        } else if self.mech_list.is_none() {
            return Step::Refused(win32::INVALID_TOKEN);
        }
        let inner = wrapped.token.unwrap_or_default();
        self.ntlm(settings, &time, accounts, &inner, Some(wrapped.mic))
    }

    /// `mic` is there when SPNEGO is around the message, and holds the mechListMIC if that was sent.
    #[expect(clippy::option_option, reason = "wrapped or not, and with or without a mechListMIC")]
    fn ntlm(
        mut self,
        settings: &Settings,
        time: &impl Fn() -> FileTime,
        accounts: &mut Accounts,
        message: &[u8],
        mic: Option<Option<Vec<u8>>>,
    ) -> Step {
        match (read::kind(message), self.pending.take()) {
            (Some(1), _) => {
                let Some(pending) = Pending::new(settings, time(), message) else {
                    return Step::Refused(win32::INVALID_TOKEN);
                };
                let token = match mic {
                    None => pending.type2.clone(),
                    Some(_) => {
                        spnego::resp(Some(NegState::AcceptIncomplete), Some(spnego::NTLM), Some(&pending.type2), None)
                    }
                };
                self.pending = Some(pending);
                Step::Continue(self, token)
            }
            (Some(3), Some(pending)) => self.finish(accounts, &pending, message, mic),
            // Above all: a Type 3 on a connection that has given no challenge.
            _ => Step::Refused(win32::INVALID_TOKEN),
        }
    }

    #[expect(clippy::option_option, reason = "as in `ntlm`")]
    fn finish(&self, accounts: &mut Accounts, pending: &Pending, message: &[u8], mic: Option<Option<Vec<u8>>>) -> Step {
        let Some(answer) = read::Authenticate::read(message) else {
            return Step::Refused(win32::INVALID_TOKEN);
        };
        let proven = accounts.prove(&answer, &pending.server_challenge, &pending.type1, &pending.type2);
        let (user, key) = match proven {
            Ok(proven) => proven,
            Err(win32) => return Step::Refused(win32),
        };
        let Some(mic) = mic else {
            return Step::Done(user, None);
        };
        let mechs = self.mech_list.as_deref().unwrap_or_default();
        let signed = |from| sign(key.expose(), from, answer.flags, mechs);
        let own = match mic {
            Some(sent) if sent != signed(Signer::Client) => {
                return Step::Refused(win32::MESSAGE_ALTERED);
            }
            Some(_) => Some(signed(Signer::Server)),
            None => None,
        };
        let last = spnego::resp(Some(NegState::AcceptCompleted), None, None, own.as_deref());
        Step::Done(user, Some(last))
    }
}

impl Pending {
    /// The challenge to a Type 1; `None` when the client speaks neither UNICODE nor OEM (MS-NLMP section 2.2.2.5).
    fn new(settings: &Settings, time: FileTime, type1: &[u8]) -> Option<Self> {
        let offered = read::negotiate_flags(type1)?;
        if offered & (flags::UNICODE | flags::OEM) == 0 {
            return None;
        }
        let mut chosen = offered & flags::CLIENT;
        if chosen & flags::UNICODE != 0 {
            chosen &= !flags::OEM;
        }
        chosen |= flags::REQUEST_TARGET | flags::TARGET_TYPE_DOMAIN | flags::TARGET_INFO;
        let server_challenge = rand::random();
        let host = format!("{}.{}", settings.node.to_lowercase(), settings.dns_domain);
        let type2 = Challenge {
            flags: chosen,
            server_challenge,
            target_name: settings.domain.clone(),
            target_info: Some(
                AvPairs::default()
                    .text(id::NB_DOMAIN_NAME, &settings.domain)
                    .text(id::NB_COMPUTER_NAME, &settings.node)
                    .text(id::DNS_DOMAIN_NAME, &settings.dns_domain)
                    .text(id::DNS_COMPUTER_NAME, &host)
                    .text(id::DNS_TREE_NAME, &settings.dns_domain)
                    .timestamp(time),
            ),
            version: (chosen & flags::VERSION != 0).then_some(SERVER_VERSION),
        }
        .encode();
        Some(Self { server_challenge, type1: type1.to_vec(), type2 })
    }
}
