//! The client's half: from a Type 2 to a Type 3 (MS-NLMP section 3.1.5.1.2).

use super::av::{AvPairs, id};
use super::crypto;
use super::flags;
use super::message::{Authenticate, CLIENT_VERSION};
use super::read;
use crate::model::auth::Version;
use crate::model::{FileTime, Secret};

/// Who logs on, and how their machine goes about it.
#[derive(Debug, Clone)]
pub struct Login {
    /// Domain as the user writes it.
    pub domain: String,
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
    /// Workstation.
    pub workstation: String,
    /// Whether the Type 3 carries a MIC, as Windows' own does.
    pub mic: bool,
    /// MsvAvTargetName: the SPN that the client asked for.
    pub target_name: Option<String>,
    /// MsvAvChannelBindings; 16 zero bytes say "no channel bindings", `None` says nothing.
    pub channel_bindings: Option<[u8; 16]>,
    /// MsvAvFlags says that the SPN comes from an untrusted source.
    pub untrusted_target_name: bool,
    /// MsvAvSingleHost: the machine's id, as Windows sends it.
    pub single_host: Option<[u8; 48]>,
    /// VERSION; `None` as clients that are not Windows.
    pub version: Option<Version>,
    /// The response's time when the challenge has none.
    pub fallback_time: FileTime,
}

impl Login {
    /// `EXAMPLE\alice` with her password, on a machine that does as Windows does.
    pub fn new(domain: &str, user: &str, password: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
            workstation: format!("PC-{}", user.to_uppercase()),
            mic: true,
            target_name: None,
            channel_bindings: None,
            untrusted_target_name: false,
            single_host: None,
            version: Some(CLIENT_VERSION),
            fallback_time: FileTime(0),
        }
    }

    /// `DOMAIN\user`, as messages show it.
    pub fn name(&self) -> String {
        format!("{}\\{}", self.domain, self.user)
    }

    /// The Type 3 that answers `type2`; `None` when that is no Type 2. With random client challenge and session key.
    pub fn answer(&self, type1: &[u8], type2: &[u8]) -> Option<Vec<u8>> {
        self.answer_with(type1, type2, rand::random(), rand::random()).map(|answer| answer.message)
    }

    /// [`answer`](Self::answer) with the client's random values given, and the key that the session then has.
    pub fn answer_with(
        &self,
        type1: &[u8],
        type2: &[u8],
        client_challenge: [u8; 8],
        random_key: [u8; 16],
    ) -> Option<Answer> {
        let challenge = read::Challenge::read(type2)?;
        let key = crypto::nt_owf_v2(self.password.expose(), &self.user, &self.domain);
        let server_time = challenge.target_info.time();
        let temp =
            temp(server_time.unwrap_or(self.fallback_time), client_challenge, &self.av_pairs(challenge.target_info));
        let proof = crypto::nt_proof(&key, &challenge.server_challenge, &temp);
        let base_key = crypto::session_base_key(&key, &proof);
        let (exported, session_key) = if challenge.flags & flags::KEY_EXCH == 0 {
            (base_key, Vec::new())
        } else {
            (random_key, crypto::rc4(&base_key, &random_key))
        };
        // With a server timestamp LMv2 is not sent; the field is 24 zero bytes (MS-NLMP section 3.1.5.1.2).
        let lm_response = if server_time.is_some() {
            vec![0; 24]
        } else {
            let lm = crypto::hmac_md5(&key, &[&challenge.server_challenge, &client_challenge]);
            [lm.as_slice(), &client_challenge].concat()
        };
        let mut message = Authenticate {
            flags: challenge.flags,
            domain: self.domain.clone(),
            user: self.user.clone(),
            workstation: self.workstation.clone(),
            lm_response,
            nt_response: [proof.as_slice(), &temp].concat(),
            session_key,
            version: self.version,
            mic: self.mic.then_some([0; 16]),
        };
        if self.mic {
            message.mic = Some(crypto::mic(&exported, type1, type2, &message.encode()));
        }
        Some(Answer { message: message.encode(), exported_key: Secret::new(exported) })
    }

    fn av_pairs(&self, mut pairs: AvPairs) -> AvPairs {
        if self.mic {
            let bits = pairs.flag_bits() | 2;
            pairs = pairs.flags(bits);
        }
        if self.untrusted_target_name {
            let bits = pairs.flag_bits() | 4;
            pairs = pairs.flags(bits);
        }
        if let Some(machine) = self.single_host {
            pairs = pairs.with(id::SINGLE_HOST, machine);
        }
        if let Some(bindings) = self.channel_bindings {
            pairs = pairs.with(id::CHANNEL_BINDINGS, bindings);
        }
        if let Some(name) = &self.target_name {
            pairs = pairs.text(id::TARGET_NAME, name);
        }
        pairs
    }
}

/// A Type 3 and the key that came of it.
#[derive(Debug)]
pub struct Answer {
    /// The message's bytes.
    pub message: Vec<u8>,
    /// ExportedSessionKey.
    pub exported_key: Secret<[u8; 16]>,
}

/// The NTLMv2 response without its proof (MS-NLMP section 3.3.2, `temp`; section 2.2.2.7).
pub fn temp(time: FileTime, client_challenge: [u8; 8], pairs: &AvPairs) -> Vec<u8> {
    let mut temp = vec![1, 1, 0, 0, 0, 0, 0, 0];
    temp.extend_from_slice(&time.0.to_le_bytes());
    temp.extend_from_slice(&client_challenge);
    temp.extend_from_slice(&[0; 4]);
    temp.extend_from_slice(&pairs.encode());
    temp.extend_from_slice(&[0; 4]);
    temp
}
