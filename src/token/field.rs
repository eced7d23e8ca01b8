//! The grammar of challenges and credentials (RFC 9110 sections 11.2 to 11.6, and 5.6 for lists and strings).
//!
//! The grammar is ambiguous: after a comma, `NTLM` may be a scheme or the beginning of a parameter, and `realm=` may be
//! a token68. What decides here: a word followed by `=` and a value is a parameter of the challenge before it.

use super::fault::Faults;
use super::scheme;
use crate::model::auth::Scheme;

/// A piece of the value and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Their offset in the field value.
    pub(super) offset: usize,
}

/// One challenge or one set of credentials, not decoded yet. No `Debug`: credentials are in it.
pub(super) struct Auth<'a> {
    pub(super) scheme: Scheme,
    pub(super) scheme_as_sent: String,
    pub(super) token68: Option<Text<'a>>,
    pub(super) params: Vec<(String, String)>,
    pub(super) faults: Faults,
}

impl Auth<'_> {
    fn named(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).into_owned();
        Self {
            scheme: Scheme::of(&name),
            scheme_as_sent: name,
            token68: None,
            params: Vec::new(),
            faults: Faults::default(),
        }
    }

    fn push(&mut self, name: String, value: String, at: usize) {
        if self.params.len() >= PARAMS_LIMIT {
            let expected = format!("at most {PARAMS_LIMIT}");
            self.faults.add(at, "parameter", expected, "one more, not kept");
            return;
        }
        if self.params.iter().take(SEEN_LIMIT).any(|(n, _)| *n == name) {
            self.faults.add(at, "parameter", "each name once", "one a second time");
        }
        self.params.push((name, value));
    }
}

/// Looking for doubled names stops here, so that many parameters do not cost their square.
const SEEN_LIMIT: usize = 64;

/// Real challenges have ten parameters; each costs more memory than it has bytes, so hostile ones are bounded.
const PARAMS_LIMIT: usize = 256;

/// The same for challenges in one field value.
const CHALLENGES_LIMIT: usize = 64;

/// As many bytes as a vector register or two.
const BLOCK: usize = 32;

/// All challenges of one field value. Never empty for a value that is not blank.
pub(super) fn challenges(value: &[u8]) -> Vec<Auth<'_>> {
    let mut lexer = Lexer { value, at: 0 };
    let mut found: Vec<Auth<'_>> = Vec::new();
    // Faults before the first scheme belong to the first challenge.
    let mut early = Faults::default();
    loop {
        lexer.skip_separators();
        let at = lexer.at;
        let Some(byte) = lexer.peek() else { break };
        let name = lexer.word();
        if name.is_empty() {
            let faults = found.last_mut().map_or(&mut early, |auth| &mut auth.faults);
            faults.add(at, "challenge", "a scheme or a parameter", stray(byte));
            lexer.skip_stray();
            continue;
        }
        if let Some(current) = found.last_mut()
            && current.token68.is_none()
            && lexer.at_parameter_value()
        {
            let value = lexer.parameter_value(&mut current.faults);
            current.push(lower(name), value, at);
            lexer.separator(&mut current.faults);
            continue;
        }
        if found.len() >= CHALLENGES_LIMIT {
            if let Some(last) = found.last_mut() {
                let expected = format!("at most {CHALLENGES_LIMIT} challenges");
                last.faults.add(at, "challenge", expected, "more, not read");
            }
            break;
        }
        let mut auth = Auth::named(name);
        lexer.after_scheme(&mut auth);
        found.push(auth);
    }
    if !early.is_empty() {
        if found.is_empty() {
            found.push(Auth::named(b""));
        }
        if let Some(first) = found.first_mut() {
            early.append(std::mem::take(&mut first.faults));
            first.faults = early;
        }
    }
    found
}

/// One set of credentials. Text that is no known scheme is kept nowhere.
pub(super) fn credentials(value: &[u8]) -> Auth<'_> {
    let mut lexer = Lexer { value, at: 0 };
    lexer.skip_space();
    let start = lexer.at;
    let name = lexer.until_space_or(b',');
    let known = std::str::from_utf8(name).is_ok_and(scheme::believed);
    if !known {
        let mut auth = Auth::named(b"");
        let rest = value.get(start..).unwrap_or_default().trim_ascii_end();
        let got = format!("{} bytes, not kept", rest.len());
        auth.faults.add(start, "credentials", "a known scheme", got);
        if !rest.is_empty() {
            auth.token68 = Some(Text { bytes: rest, offset: start });
        }
        return auth;
    }
    let mut auth = Auth::named(name);
    lexer.skip_space();
    let offset = lexer.at;
    let by_params = match auth.scheme {
        Scheme::Digest => true,
        Scheme::Other(_) => lexer.clone().begins_with_parameter(),
        _ => false,
    };
    if by_params {
        lexer.credential_params(&mut auth);
        return auth;
    }
    let bytes = lexer.until_space_or(b',');
    if !bytes.is_empty() {
        auth.token68 = Some(Text { bytes, offset });
    }
    lexer.skip_space();
    if lexer.peek().is_some() {
        let more = value.len().saturating_sub(lexer.at);
        auth.faults.add(lexer.at, "credentials", "the end", format!("{more} more bytes"));
    }
    auth
}

/// Parameters alone, as `Authentication-Info` has them (RFC 7615 section 3).
pub(super) fn parameters(value: &[u8]) -> Vec<(String, String)> {
    let mut auth = Auth::named(b"");
    Lexer { value, at: 0 }.credential_params(&mut auth);
    auth.params
}

/// A position in a field value.
#[derive(Clone)]
struct Lexer<'a> {
    value: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    fn peek(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.value.get(self.at..).unwrap_or_default();
        // A token has thousands of wanted bytes: whole blocks are judged at once, without a branch for each byte.
        let (blocks, _) = rest.as_chunks::<BLOCK>();
        let whole =
            blocks.iter().take_while(|block| block.iter().fold(0, |bad, b| bad | u8::from(!wanted(*b))) == 0).count();
        let passed = whole.saturating_mul(BLOCK);
        let tail = rest.get(passed..).unwrap_or_default();
        let length = passed.saturating_add(tail.iter().position(|b| !wanted(*b)).unwrap_or(tail.len()));
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn skip_space(&mut self) {
        self.take_while(is_space);
    }

    fn skip_separators(&mut self) {
        self.take_while(|b| is_space(b) || b == b',');
    }

    fn word(&mut self) -> &'a [u8] {
        self.take_while(is_tchar)
    }

    fn until_space_or(&mut self, end: u8) -> &'a [u8] {
        // A ticket has thousands of bytes before the next space.
        let rest = self.value.get(self.at..).unwrap_or_default();
        let length = memchr::memchr3(b' ', b'\t', end, rest).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    /// Past what is neither word nor separator; a quoted string as a whole.
    fn skip_stray(&mut self) {
        if self.peek() == Some(b'"') {
            self.quoted(&mut Faults::default());
        } else {
            self.take_while(|b| !is_space(b) && !is_tchar(b) && b != b',' && b != b'"');
        }
    }

    /// Whether `=` and a value follow (a lone `=` or several are a token68's padding). Moves nothing.
    fn at_parameter_value(&self) -> bool {
        let mut ahead = self.clone();
        ahead.skip_space();
        if ahead.peek() != Some(b'=') {
            return false;
        }
        ahead.step();
        ahead.peek() != Some(b'=')
    }

    fn begins_with_parameter(mut self) -> bool {
        !self.word().is_empty() && {
            let mut after = self.clone();
            after.skip_space();
            after.step();
            after.skip_space();
            self.at_parameter_value() && !matches!(after.peek(), None | Some(b','))
        }
    }

    /// What follows a scheme: nothing, a token68, or the first parameter (which the caller's loop reads).
    fn after_scheme(&mut self, auth: &mut Auth<'a>) {
        let before = self.at;
        self.skip_space();
        let spaced = self.at > before;
        let Some(byte) = self.peek() else { return };
        if byte == b',' {
            return;
        }
        if !spaced {
            auth.faults.add(self.at, "scheme", "a space or a comma", stray(byte));
        }
        let takes_token = !matches!(auth.scheme, Scheme::Basic | Scheme::Bearer | Scheme::Digest);
        let mut ahead = self.clone();
        let offset = ahead.at;
        let bytes = ahead.until_space_or(b',');
        // `name=value` is a parameter; `c2Nob2w=` is a token.
        let inner_equals = bytes
            .iter()
            .position(|b| *b == b'=')
            .and_then(|at| bytes.get(at..))
            .is_some_and(|tail| tail.iter().any(|b| *b != b'='));
        let parameter = inner_equals || bytes.starts_with(b"=") || {
            let mut name = self.clone();
            name.word();
            let at_word_end = name.at;
            name.skip_space();
            name.peek() == Some(b'=') && (!takes_token || name.at > at_word_end)
        };
        if parameter {
            return;
        }
        // A word alone after a scheme is a token, or the next scheme when a comma was forgotten.
        if std::str::from_utf8(bytes).is_ok_and(scheme::believed) {
            auth.faults.add(offset, "challenge", "a comma", "a scheme");
            return;
        }
        *self = ahead;
        auth.token68 = Some(Text { bytes, offset });
        self.separator(&mut auth.faults);
    }

    /// After a token68 or a parameter: a comma or the end.
    fn separator(&mut self, faults: &mut Faults) {
        self.skip_space();
        if let Some(byte) = self.peek()
            && byte != b','
        {
            faults.add(self.at, "challenge", "a comma", stray(byte));
        }
    }

    /// `BWS "=" BWS ( token / quoted-string )`; the caller saw the `=`.
    fn parameter_value(&mut self, faults: &mut Faults) -> String {
        self.skip_space();
        self.step();
        self.skip_space();
        let at = self.at;
        if self.peek() == Some(b'"') {
            return self.quoted(faults);
        }
        let value = self.until_space_or(b',');
        if value.is_empty() {
            faults.add(at, "parameter", "a value", "none");
        } else if !value.iter().all(|b| is_tchar(*b)) {
            faults.add(at, "parameter", "a token or a quoted string", "other bytes");
        }
        text(value)
    }

    /// A quoted-string (RFC 9110 section 5.6.4); the caller saw the first quote.
    fn quoted(&mut self, faults: &mut Faults) -> String {
        let start = self.at;
        self.step();
        let mut value = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                faults.add(start, "quoted-string", "a closing quote", "the end");
                break;
            };
            self.step();
            match byte {
                b'"' => break,
                b'\\' => match self.peek() {
                    Some(escaped) => {
                        self.step();
                        value.push(escaped);
                    }
                    None => value.push(byte),
                },
                _ => value.push(byte),
            }
        }
        text(&value)
    }

    /// Parameters of credentials. What is no parameter is passed over with a fault and kept nowhere.
    fn credential_params(&mut self, auth: &mut Auth<'_>) {
        loop {
            self.skip_separators();
            let at = self.at;
            if self.peek().is_none() {
                return;
            }
            let name = self.word();
            if !name.is_empty() && self.at_parameter_value() {
                let value = self.parameter_value(&mut auth.faults);
                auth.push(lower(name), value, at);
                self.skip_space();
                if self.peek().is_some_and(|byte| byte != b',') {
                    auth.faults.add(self.at, "credentials", "a comma", "something else");
                }
            } else {
                auth.faults.add(at, "credentials", "a parameter", "something else, not kept");
                if name.is_empty() {
                    self.skip_stray();
                }
            }
            if self.at == at {
                self.step();
            }
        }
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// tchar (RFC 9110 section 5.6.2).
const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// UTF-8 when it is that, else Latin-1.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), ToOwned::to_owned)
}

fn stray(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("'{}'", char::from(byte)) } else { format!("byte 0x{byte:02x}") }
}
