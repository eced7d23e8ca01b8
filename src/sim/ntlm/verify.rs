//! The server's half: is this Type 3 the right answer to that Type 2? (MS-NLMP section 3.2.5.1.2)

use super::crypto;
use super::flags;
use super::read::Authenticate;
use crate::model::Secret;

/// Why a Type 3 is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The proof does not fit: another password, or another challenge.
    Denied,
    /// The proof fits, the MIC does not: one of the three messages is not the one that was sent.
    Altered,
}

/// Checks NTProofStr, and the MIC where there is one. Gives ExportedSessionKey.
pub fn verify(
    answer: &Authenticate,
    password: &Secret<String>,
    server_challenge: &[u8; 8],
    type1: &[u8],
    type2: &[u8],
) -> Result<Secret<[u8; 16]>, Refusal> {
    let key = crypto::nt_owf_v2(password.expose(), &answer.user, &answer.domain);
    let proof = crypto::nt_proof(&key, server_challenge, &answer.temp);
    if proof != answer.nt_proof {
        return Err(Refusal::Denied);
    }
    let base_key = crypto::session_base_key(&key, &proof);
    let exported = if answer.flags & flags::KEY_EXCH == 0 {
        base_key
    } else {
        let sent: [u8; 16] = answer.session_key.as_slice().try_into().map_err(|_| Refusal::Altered)?;
        crypto::rc4(&base_key, &sent).try_into().map_err(|_| Refusal::Altered)?
    };
    match answer.mic {
        Some(mic) if mic != crypto::mic(&exported, type1, type2, &answer.zeroed) => Err(Refusal::Altered),
        _ => Ok(Secret::new(exported)),
    }
}
