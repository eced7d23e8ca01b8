//! Whether the server is reached, and what the place that authtap takes changes.

use crate::check::Line;
use crate::check::facts::{Facts, Place};
use crate::model::page::PageAuthor;

/// The line about names and ports, which has several sources.
const HOST: &str = "host";

pub(super) fn reachable(facts: &Facts) -> Line {
    const CHECK: &str = "reachable";
    let reach = &facts.reach;
    let (this, other) = if facts.server.tls { ("https", "http") } else { ("http", "https") };
    let address = reach.dialled.map(|a| a.to_string()).unwrap_or_default();
    if reach.speaks_the_other {
        let speaks = if facts.server.tls { "plain HTTP and not TLS" } else { "TLS and not plain HTTP" };
        return Line::problem(
            CHECK,
            format!("{address} accepts connections, but speaks {speaks}"),
            format!("Write --upstream {other}://…, or name the port that speaks {this}."),
        );
    }
    let Some((name, why)) = &reach.error else {
        return Line::ok(CHECK, format!("{address} accepts connections"));
    };
    let fix = match *name {
        "dns_error" => {
            "See that the name in --upstream is right and that this machine can resolve it, or write its address."
        }
        "connection_refused" => {
            "See that the site is started and bound to this port (IIS Manager: site > Bindings), and that the address is \
             the server's."
        }
        "connection_timeout" => {
            "A firewall between this machine and the server is the likeliest reason; --timeout lets the check wait longer."
        }
        "tls_alert_received" => {
            "The server refused the handshake. authtap speaks TLS 1.2 and 1.3 with forward secrecy only: an unmodified \
             Windows Server 2012 R2 with an RSA certificate offers nothing that fits; and a site with SNI bindings only \
             wants the right name (--public)."
        }
        "tls_protocol_error" => {
            "See that the port is one of TLS. A server that just ends the handshake may have no certificate for this \
             name (--public), or none bound to this port (`netsh http show sslcert`)."
        }
        "proxy_internal_error" => "It is this machine that could not; the reason says what it ran out of.",
        _ => "See that this machine has a way to the server's address and port.",
    };
    Line::problem(CHECK, why.clone(), fix)
}

pub(super) fn own_host(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "own-host";
    let (local, to) = (facts.reach.local?, facts.reach.dialled?);
    if local.ip().to_canonical() != to.ip().to_canonical() {
        return Some(Line::ok(CHECK, format!("the server is another machine ({} from {})", to.ip(), local.ip())));
    }
    let detailed = facts.first.as_ref().and_then(|f| f.as_ref().ok());
    let seen = if detailed.is_some_and(|a| a.page.author == PageAuthor::IisDetailed) {
        "it answered with its detailed error page, which clients would then see too"
    } else {
        "clients from anywhere may then get detailed error pages, which by default only local requests get"
    };
    Some(Line::warning(
        CHECK,
        format!(
            "authtap would dial {} from the same address: IIS may take each request for one of its own machine, and {seen}",
            to.ip()
        ),
        "Set the site's errorMode to Custom while authtap stands there (IIS Manager: site > Error Pages > Edit Feature \
         Settings), or run authtap on another machine.",
    ))
}

pub(super) fn host(facts: &Facts) -> Line {
    let Some(public) = &facts.insertion.public else { return without_public(facts) };
    let shows = &facts.insertion.certificate;
    if public.tls && shows.is_none() {
        return Line::problem(
            HOST,
            format!("clients come to https://{}, and authtap would have no certificate to show", facts.host),
            "Give --tls-cert and --tls-key: the server's own.",
        );
    }
    if !public.tls && shows.is_some() {
        return Line::problem(
            HOST,
            format!("clients come to http://{}, and authtap would speak TLS with them", facts.host),
            "Write --public https://…, or leave --tls-cert away.",
        );
    }
    if let Some(shown) = shows
        && !shown.names.is_empty()
        && !shown.names.iter().any(|name| covers(name, &public.host))
    {
        return Line::problem(
            HOST,
            format!(
                "the certificate that authtap would show is for {}, not for {}",
                shown.names.join(", "),
                public.host
            ),
            "Give the certificate that clients see today, or clients will refuse to go on.",
        );
    }
    match ports(facts, public) {
        Some(line) => line,
        None => {
            Line::ok(HOST, format!("requests name {}, as clients do; authtap passes that on unchanged", facts.host))
        }
    }
}

/// Clients were sent to a port of authtap's own.
fn ports(facts: &Facts, public: &Place) -> Option<Line> {
    let moved = public.port != facts.server.port
        && facts.insertion.listen.is_some_and(|l| l.port() == public.port)
        && !matches!(public.port, 80 | 443);
    moved.then(|| other_port(public.port, facts.server.port))
}

fn without_public(facts: &Facts) -> Line {
    match facts.insertion.listen {
        Some(listen) if listen.port() != facts.server.port && listen.port() != 0 => {
            other_port(listen.port(), facts.server.port)
        }
        Some(listen) if listen.port() != 0 => {
            Line::ok(HOST, format!("authtap would listen on the server's own port {}", listen.port()))
        }
        _ => Line::ok(
            HOST,
            format!("requests named {}; give --listen and --public to have a changed name or port judged", facts.host),
        ),
    }
}

fn other_port(ours: u16, theirs: u16) -> Line {
    Line::warning(
        HOST,
        format!(
            "clients that are sent to authtap's port {ours} name that port in `Host`, while the site is at {theirs}: a \
             binding with a host name, absolute redirects, and SPNs with a port then differ from the normal way"
        ),
        "Let authtap take over the site's port and bind the site to another one, or send only a test client; --public \
         says by which URL clients come when something in front maps the port.",
    )
}

/// Whether a name of a certificate is for this host (RFC 6125 section 6.4.3: `*` is one label).
fn covers(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    match name.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(label, parent)| !label.is_empty() && parent == rest),
        None => name == host,
    }
}
