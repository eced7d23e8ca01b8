//! The tables that a field's index points into (RFC 7541 section 2.3).

use std::collections::VecDeque;

/// What an entry costs besides its bytes (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;

/// The static table (RFC 7541 Appendix A); its first entry has the index 1.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// A field that was sent before: name and value in one piece. It may hold a secret, so it cannot be shown.
struct Entry {
    bytes: Box<[u8]>,
    name: usize,
}

impl Entry {
    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at_checked(self.name).unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.bytes.len().saturating_add(OVERHEAD)
    }
}

/// The dynamic table (RFC 7541 section 2.3.2), newest first.
#[derive(Default)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
}

impl Table {
    /// Name and value of an index of either table.
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let at = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(at) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        self.entries.get(at.checked_sub(STATIC.len())?).map(Entry::parts)
    }

    /// A new entry; the oldest go, so that all are within `most`. One that is larger empties the table
    /// (RFC 7541 section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], most: usize) {
        let length = name.len().saturating_add(value.len());
        let size = length.saturating_add(OVERHEAD);
        self.shrink(most.saturating_sub(size));
        if size > most {
            return;
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        self.entries.push_front(Entry { bytes: bytes.into_boxed_slice(), name: name.len() });
        self.size = self.size.saturating_add(size);
    }

    /// The oldest entries go until the others are within `most`.
    pub(super) fn shrink(&mut self, most: usize) {
        while self.size > most {
            let Some(oldest) = self.entries.pop_back() else {
                break;
            };
            self.size = self.size.saturating_sub(oldest.size());
        }
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }
}
