//! What the messages of a handshake say, as far as it is of use here.

use super::read::Cursor;

/// Types of handshake messages (RFC 8446 section 4, "Handshake Protocol"; RFC 5246 section 7.4).
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const END_OF_EARLY_DATA: u8 = 5;
pub(super) const ENCRYPTED_EXTENSIONS: u8 = 8;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const FINISHED: u8 = 20;
pub(super) const KEY_UPDATE: u8 = 24;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const ENCRYPT_THEN_MAC: u16 = 22;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;

/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3, "Server Hello").
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// So many names of an ALPN list are told.
const NAMES: usize = 64;

/// The client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
    pub(super) server_name: Option<String>,
    pub(super) alpn: Vec<String>,
    /// It is followed by data.
    pub(super) early_data: bool,
}

impl ClientHello {
    /// `None` of a body that is none.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut body = Cursor(body);
        body.u16()?;
        let random = body.array()?;
        // The session's id, the cipher suites, the compression methods.
        body.vector(1)?;
        body.vector(2)?;
        body.vector(1)?;
        let mut hello = Self { random, server_name: None, alpn: Vec::new(), early_data: false };
        for (kind, mut content) in extensions(body)? {
            match kind {
                SERVER_NAME => hello.server_name = host_name(content),
                ALPN => {
                    let mut list = content.vector(2)?;
                    while !list.is_empty() && hello.alpn.len() < NAMES {
                        hello.alpn.push(String::from_utf8_lossy(list.vector(1)?.0).into_owned());
                    }
                }
                EARLY_DATA => hello.early_data = true,
                _ => {}
            }
        }
        Some(hello)
    }
}

/// The server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) version: u16,
    pub(super) random: [u8; 32],
    pub(super) suite: u16,
    /// Up to TLS 1.2; later it is in [`Encrypted`].
    pub(super) alpn: Option<String>,
    pub(super) encrypt_then_mac: bool,
    /// It is a HelloRetryRequest: the client says hello again.
    pub(super) retry: bool,
}

impl ServerHello {
    /// `None` of a body that is none.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut body = Cursor(body);
        let version = body.u16()?;
        let random = body.array()?;
        body.vector(1)?;
        let suite = body.u16()?;
        body.number(1)?;
        let retry = random == RETRY;
        let mut hello = Self { version, random, suite, alpn: None, encrypt_then_mac: false, retry };
        for (kind, mut content) in extensions(body)? {
            match kind {
                SUPPORTED_VERSIONS => hello.version = content.u16()?,
                ALPN => hello.alpn = chosen(content),
                ENCRYPT_THEN_MAC => hello.encrypt_then_mac = true,
                _ => {}
            }
        }
        Some(hello)
    }
}

/// The EncryptedExtensions of TLS 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Encrypted {
    pub(super) alpn: Option<String>,
    /// The server takes the client's early data.
    pub(super) early_data: bool,
}

impl Encrypted {
    /// `None` of a body that is none.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut encrypted = Self::default();
        for (kind, content) in extensions(Cursor(body))? {
            match kind {
                ALPN => encrypted.alpn = chosen(content),
                EARLY_DATA => encrypted.early_data = true,
                _ => {}
            }
        }
        Some(encrypted)
    }
}

/// The first certificate of a Certificate message: whose it is. (RFC 8446 section 4.4.2; RFC 5246 section 7.4.2.)
pub(super) fn first_certificate(body: &[u8], tls13: bool) -> Option<&[u8]> {
    let mut body = Cursor(body);
    if tls13 {
        body.vector(1)?;
    }
    Some(body.vector(3)?.vector(3)?.0)
}

/// Extensions by number, in a vector that may be left out where there are none.
fn extensions(mut from: Cursor<'_>) -> Option<Vec<(u16, Cursor<'_>)>> {
    let mut found = Vec::new();
    if !from.is_empty() {
        let mut list = from.vector(2)?;
        while !list.is_empty() {
            found.push((list.u16()?, list.vector(2)?));
        }
    }
    Some(found)
}

/// RFC 6066 section 3, "Server Name Indication". Names are compared without case, so they are told in small letters.
fn host_name(mut content: Cursor<'_>) -> Option<String> {
    let mut list = content.vector(2)?;
    while !list.is_empty() {
        let kind = list.number(1)?;
        let name = list.vector(2)?;
        if kind == 0 {
            // A DNS name has 253 bytes at most.
            let name = name.0.get(..253).unwrap_or(name.0);
            return Some(String::from_utf8_lossy(name).to_ascii_lowercase());
        }
    }
    None
}

/// RFC 7301 section 3.1: a server chooses exactly one.
fn chosen(mut content: Cursor<'_>) -> Option<String> {
    Some(String::from_utf8_lossy(content.vector(2)?.vector(1)?.0).into_owned())
}
