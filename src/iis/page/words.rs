//! Words on refusals that say what was wrong with the request. Only known ones are told: a page may hold anything.

/// A piece of a page, and what it says. The first that is found counts.
const KNOWN: &[(&str, &str)] = &[
    // HTTP.sys's own pages.
    ("Bad Request - Request Too Long", "Request Too Long"),
    ("Bad Request - Header Field Too Long", "Header Field Too Long"),
    ("Bad Request - Invalid Hostname", "Invalid Hostname"),
    ("Bad Request - Invalid Header", "Invalid Header"),
    ("Bad Request - Invalid URL", "Invalid URL"),
    ("Bad Request - Invalid Verb", "Invalid Verb"),
    ("Length Required", "Length Required"),
    // nginx.
    ("Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large"),
    // Apache.
    ("Size of a request header field exceeds server limit", "Size of a request header field exceeds server limit"),
    (
        "number of request header fields exceeds this server's limit",
        "The number of request header fields exceeds this server's limit",
    ),
    // RFC 6585 section 5, as Jetty, Tomcat, Node.js and others write it.
    ("Request Header Fields Too Large", "Request Header Fields Too Large"),
    ("Request header is too large", "Request header is too large"),
];

/// What a page says of what is known here.
pub(super) fn known(text: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(words, _)| text.contains(words)).map(|(_, says)| *says)
}
