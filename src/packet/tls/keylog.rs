//! The secrets of a key log (RFC 9850, "The SSLKEYLOGFILE Format for TLS").

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroizing;

/// So much of a key log is read at once; a longer line is none of its lines.
const PIECE: usize = 64 * 1024;

/// So many sessions are known at most.
const MOST: usize = 200_000;

/// A secret, which is overwritten when it goes.
pub(super) type Key = Zeroizing<Box<[u8]>>;

/// Which secret of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// The master secret of TLS up to 1.2.
    Master,
    /// TLS 1.3, the client's data before the handshake is done.
    ClientEarly,
    /// TLS 1.3, the client's handshake messages.
    ClientHandshake,
    /// TLS 1.3, the server's handshake messages.
    ServerHandshake,
    /// TLS 1.3, the client's application data until its first key update.
    ClientTraffic,
    /// TLS 1.3, the server's application data until its first key update.
    ServerTraffic,
}

impl Label {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"CLIENT_RANDOM" => Self::Master,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Self::ClientEarly,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Self::ClientHandshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Self::ServerHandshake,
            b"CLIENT_TRAFFIC_SECRET_0" => Self::ClientTraffic,
            b"SERVER_TRAFFIC_SECRET_0" => Self::ServerTraffic,
            _ => return None,
        })
    }

    /// Whether a secret of this length can be one: 48 bytes of a master secret, a hash of TLS 1.3's suites.
    const fn fits(self, length: usize) -> bool {
        length == 48 || (length == 32 && !matches!(self, Self::Master))
    }
}

/// What a line is.
enum Line {
    Secret([u8; 32], Label, Key),
    /// A comment, a blank line, a secret that nothing here needs.
    Ignored,
    Bad,
}

/// Secrets by the client's random, as in `SSLKEYLOGFILE` (NSS key log format). Shows nothing of them.
#[derive(Default)]
pub struct KeyLog {
    sessions: HashMap<[u8; 32], Vec<(Label, Key)>>,
    beyond: u64,
}

impl KeyLog {
    /// Takes in the lines of a key log; gives how many lines were secrets, and how many could not be read. Of two
    /// secrets of one kind for one session the later one counts.
    pub fn read(&mut self, text: &[u8]) -> (usize, usize) {
        let (mut secrets, mut bad) = (0, 0);
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for line in text.split(|byte| is_end(*byte)) {
            match read(line) {
                Line::Secret(random, label, key) => {
                    secrets += 1;
                    self.keep(random, label, key);
                }
                Line::Ignored => {}
                Line::Bad => bad += 1,
            }
        }
        (secrets, bad)
    }

    /// Reads a key log of any length, piece by piece; the result is that of [`Self::read`].
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn read_all(&mut self, mut input: impl Read) -> io::Result<(usize, usize)> {
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        let (mut secrets, mut bad, mut held) = (0, 0, 0);
        // Within a line that is longer than a piece.
        let mut long = false;
        loop {
            let read = match input.read(piece.get_mut(held..).unwrap_or_default()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let all = piece.get(..held.saturating_add(read)).unwrap_or_default();
            // What was held ends no line.
            let new = all.get(held..).unwrap_or_default();
            let end = match new.iter().rposition(|byte| is_end(*byte)) {
                Some(last) => held.saturating_add(last).saturating_add(1),
                None if read == 0 => all.len(),
                None => 0,
            };
            let mut lines = all.get(..end).unwrap_or_default();
            if long && end > 0 {
                let rest = lines.iter().position(|byte| is_end(*byte)).unwrap_or(lines.len());
                lines = lines.get(rest..).unwrap_or_default();
                long = false;
            }
            let (some, wrong) = self.read(lines);
            (secrets, bad) = (secrets + some, bad + wrong);
            if read == 0 {
                return Ok((secrets, bad));
            }
            held = all.len().saturating_sub(end);
            piece.copy_within(end..end.saturating_add(held), 0);
            if held == PIECE {
                bad += usize::from(!long);
                (long, held) = (true, 0);
            }
        }
    }

    /// How many secrets were not kept, because they are of sessions beyond the 200,000th.
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Whether it holds no secret at all.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn keep(&mut self, random: [u8; 32], label: Label, key: Key) {
        if self.sessions.len() >= MOST && !self.sessions.contains_key(&random) {
            self.beyond += 1;
            return;
        }
        let of_session = self.sessions.entry(random).or_default();
        match of_session.iter_mut().find(|(known, _)| *known == label) {
            Some((_, known)) => *known = key,
            None => of_session.push((label, key)),
        }
    }

    pub(super) fn find(&self, random: &[u8; 32], label: Label) -> Option<&[u8]> {
        self.sessions.get(random)?.iter().find_map(|(known, key)| (*known == label).then_some(&***key))
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog({} sessions)", self.sessions.len())
    }
}

const fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn read(line: &[u8]) -> Line {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let Some(name) = fields.next() else { return Line::Ignored };
    if name.starts_with(b"#") {
        return Line::Ignored;
    }
    let (Some(random), Some(secret), None) = (fields.next(), fields.next(), fields.next()) else { return Line::Bad };
    let Some(label) = Label::named(name) else {
        // `RSA` with a premaster secret, exporters, QUIC, Encrypted Client Hello: known to others.
        let known = name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
        return if known { Line::Ignored } else { Line::Bad };
    };
    let random = unhex(random).and_then(|random| <[u8; 32]>::try_from(&**random).ok());
    match (random, unhex(secret)) {
        (Some(random), Some(key)) if label.fits(key.len()) => Line::Secret(random, label, key),
        _ => Line::Bad,
    }
}

fn unhex(text: &[u8]) -> Option<Key> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    // Filled in place: a vector that grows would leave copies behind.
    let mut key = Zeroizing::new(vec![0; pairs.len()].into_boxed_slice());
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of 32 bytes of random and a secret of so many bytes.
    fn line(label: &str, random: u8, secret: usize) -> String {
        format!("{label} {} {}", format!("{random:02x}").repeat(32), "Ab".repeat(secret))
    }

    /// A key log that is not taken in leaves the connections closed that it was made for; what else is in it must not
    /// count as damage.
    #[test]
    fn secrets_are_found_and_the_rest_is_passed_over() {
        let text = [
            "# a comment".to_owned(),
            String::new(),
            line("CLIENT_RANDOM", 1, 48),
            line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 2, 32),
            line("SERVER_TRAFFIC_SECRET_0", 2, 48),
            line("EXPORTER_SECRET", 2, 32),
            line("EARLY_EXPORTER_SECRET", 2, 32),
            format!("RSA {} {}", "0".repeat(16), "1".repeat(96)),
            "  # another".to_owned(),
        ];
        for end in ["\n", "\r\n"] {
            let mut keys = KeyLog::default();
            assert_eq!(keys.read(format!("\u{feff}{}", text.join(end)).as_bytes()), (3, 0));
            assert_eq!(keys.find(&[1; 32], Label::Master), Some(&[0xab; 48][..]));
            assert_eq!(keys.find(&[2; 32], Label::ClientHandshake), Some(&[0xab; 32][..]));
            assert_eq!(keys.find(&[2; 32], Label::ServerTraffic), Some(&[0xab; 48][..]));
            assert_eq!(keys.find(&[2; 32], Label::ClientTraffic), None);
        }
    }

    /// An operator is told how many lines of the file are of no use, and a half-written last line stops nothing.
    #[test]
    fn bad_lines_are_counted() {
        let mut keys = KeyLog::default();
        let whole = line("CLIENT_RANDOM", 1, 48);
        let bad = [
            line("CLIENT_RANDOM", 2, 47),
            line("CLIENT_RANDOM", 2, 32),
            line("CLIENT_TRAFFIC_SECRET_0", 2, 20),
            line("client_random", 2, 48),
            whole.replacen("01", "0g", 1),
            whole.replacen("01", "", 1),
            format!("{whole} more"),
            "CLIENT_RANDOM".to_owned(),
            "\u{0}\u{1}".to_owned(),
            whole.get(..100).unwrap().to_owned(),
        ];
        assert_eq!(keys.read(bad.join("\n").as_bytes()), (0, bad.len()));
        assert!(keys.is_empty());
        assert_eq!(keys.read(whole.as_bytes()), (1, 0));
        assert_eq!(format!("{keys:?}"), "KeyLog(1 sessions)");
    }

    /// The file of a busy machine must not fill the memory.
    #[test]
    fn the_number_of_sessions_is_bounded() {
        let mut keys = KeyLog::default();
        let key = || Zeroizing::new(vec![7; 48].into_boxed_slice());
        for number in 0..MOST as u64 + 5 {
            let mut random = [0; 32];
            random[..8].copy_from_slice(&number.to_be_bytes());
            keys.keep(random, Label::Master, key());
        }
        keys.keep([0; 32], Label::Master, key());
        assert_eq!((keys.sessions.len(), keys.beyond()), (MOST, 5));
    }

    /// A key log of a gigabyte, or a device that never ends a line, must not fill the memory; and where its pieces end must
    /// not lose a secret.
    #[test]
    fn a_key_log_is_read_in_pieces() {
        struct Drip<'a>(&'a [u8], usize);
        impl Read for Drip<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let most = self.1.min(out.len());
                self.0.read(&mut out[..most])
            }
        }
        let long = "x".repeat(3 * PIECE);
        let lines: Vec<String> = (1..=200).map(|n| line("CLIENT_RANDOM", n, 48)).collect();
        for end in ["\n", "\r\n"] {
            for text in [
                lines.join(end),
                format!("{long}{end}{}{end}{long}{end}{}", lines[..9].join(end), lines[9..].join(end)),
                format!("{}{end}{long}", lines.join(end)),
                format!("{long} {}{end}{}", lines[0], lines.join(end)),
                String::new(),
                long.clone(),
            ] {
                for size in [97, PIECE - 1, PIECE] {
                    let (mut whole, mut pieces) = (KeyLog::default(), KeyLog::default());
                    let expected = whole.read(text.as_bytes());
                    assert_eq!(pieces.read_all(Drip(text.as_bytes(), size)).unwrap(), expected, "{size}");
                    assert_eq!(pieces.sessions.len(), whole.sessions.len());
                }
            }
        }
    }
}
