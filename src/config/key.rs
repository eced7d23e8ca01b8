//! The key of the fingerprints, when several taps are to agree on them.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::resolve::Mistake;
use crate::model::Secret;

/// Shorter ones can be guessed.
const LEAST: usize = 16;
/// More is not read: a device may have no end.
const MOST: u64 = 64 * 1024;

/// The key that is derived from a file's content. A newline at its end does not count, so that an editor may put one
/// there. `origin` is the option or key that named the file; nothing of the content is ever in a message.
pub fn read(path: &Path, origin: &str) -> Result<Secret<[u8; 16]>, Mistake> {
    let mistake = |allowed: String| Mistake { origin: origin.to_owned(), value: path.display().to_string(), allowed };
    let mut content = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST).read_to_end(&mut content))
        .map_err(|e| mistake(format!("a readable file is wanted ({e})")))?;
    let content = content.strip_suffix(b"\n").unwrap_or(&content);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    if content.len() < LEAST {
        return Err(mistake(format!(
            "a file of at least {LEAST} bytes is wanted, for example of `openssl rand -hex 32`; it has {}",
            content.len()
        )));
    }
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(Sha256::digest(content)) {
        *to = from;
    }
    Ok(Secret::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two taps of one farm that disagree over a newline would show one client as two.
    #[test]
    fn the_content_makes_the_key_and_a_newline_does_not() {
        let dir = std::env::temp_dir().join(format!("authtap-key-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let key = |text: &str| {
            let file = dir.join("key");
            std::fs::write(&file, text).expect("a file");
            read(&file, "--fingerprint-key")
        };
        let one = key("0123456789abcdef").expect("a key");
        assert!(key("0123456789abcdef\n").expect("a key") == one && key("0123456789abcdef\r\n").expect("a key") == one);
        assert!(key("0123456789abcdeg").expect("a key") != one);
        let short = key("planted-secret\n").expect_err("too short").to_string();
        assert!(short.contains("--fingerprint-key") && short.contains("at least 16 bytes"), "{short}");
        assert!(!short.contains("planted"), "{short}");
        let missing = read(&dir.join("missing"), "--fingerprint-key").expect_err("no file").to_string();
        assert!(missing.contains("--fingerprint-key") && missing.contains("missing"), "{missing}");
        std::fs::remove_dir_all(dir).expect("tidied");
    }
}
