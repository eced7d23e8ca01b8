//! TLS: what the server shows, and what ending it at authtap would change.

use crate::check::Line;
use crate::check::facts::Facts;
use crate::model::transport::Certificate;

pub(super) fn session(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "tls";
    let tls = facts.reach.tls.as_ref()?;
    let said = |what: &Option<String>| what.clone().unwrap_or_else(|| "unknown".to_owned());
    Some(Line::ok(CHECK, format!("{} with {}", said(&tls.version), said(&tls.cipher))))
}

pub(super) fn http_version(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "http-version";
    if let Some(Ok(answer)) = &facts.first
        && answer.old
    {
        return Some(Line::problem(
            CHECK,
            format!("GET {} is answered in HTTP/1.0 {}: a connection ends with each answer", facts.path, answer.by()),
            "NTLM needs a connection that lasts. IIS answers in HTTP/1.1: let --upstream be IIS itself, or make the hop \
             between speak HTTP/1.1.",
        ));
    }
    Some(match facts.alpn.as_ref() {
        None => match &facts.first {
            Some(Ok(_)) => Line::ok(CHECK, "HTTP/1.1; without TLS no browser asks for HTTP/2"),
            _ => return None,
        },
        Some(Ok(Some(chosen))) if chosen == "h2" && facts.insertion.mirrors_alpn => Line::ok(
            CHECK,
            "the server chooses HTTP/2 when it is offered, and authtap lets clients have it; NTLM and Negotiate need \
             HTTP/1.1",
        ),
        Some(Ok(Some(chosen))) if chosen == "h2" => Line::warning(
            CHECK,
            "the server chooses HTTP/2 when it is offered; through authtap clients get HTTP/1.1 only, which NTLM and \
             Negotiate need anyway",
            "Know that failures which HTTP/2 causes do not happen while authtap stands there.",
        ),
        Some(Ok(_)) => Line::ok(CHECK, "HTTP/1.1, also when HTTP/2 is offered: nothing changes"),
        Some(Err(why)) => Line::warning(
            CHECK,
            format!("whether the server speaks HTTP/2 is not known: {why}"),
            "Ask again; a connection that offered HTTP/1.1 alone was accepted.",
        ),
    })
}

pub(super) fn certificate(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "certificate";
    let tls = facts.reach.tls.as_ref()?;
    let shown = tls.certificate.as_ref()?;
    let about = format!(
        "{}, valid until {}, for {}, SHA-256 {}…",
        shown.subject,
        shown.not_after,
        if shown.names.is_empty() { "no name".to_owned() } else { shown.names.join(", ") },
        short(&shown.sha256)
    );
    let Some(why) = &tls.verification else { return Some(Line::ok(CHECK, format!("it verifies: {about}"))) };
    let says = format!("it does not verify ({why}): {about}");
    let no_name = why.contains("not valid for name") && facts.insertion.public.is_none();
    Some(if facts.insertion.lenient {
        Line::warning(
            CHECK,
            says,
            "With --upstream-verify record authtap forwards all the same; see that this is meant.",
        )
    } else if no_name {
        Line::warning(
            CHECK,
            says,
            format!(
                "authtap asks for the name that each client asks for, and not for {}: give it here with --public.",
                facts.server.host
            ),
        )
    } else {
        Line::problem(
            CHECK,
            says,
            "With this authtap would answer each client 502. Give the roots with --upstream-ca, or forward all the same \
             with --upstream-verify record.",
        )
    })
}

pub(super) fn extended_protection(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "extended-protection";
    const POLICY: &str = "IIS Manager: site > Authentication > Windows Authentication > Advanced Settings > Extended \
                          Protection";
    let theirs = facts.reach.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
    Some(match (&facts.insertion.certificate, theirs) {
        (None, None) if facts.server.tls => return None,
        (None, None) => {
            Line::ok(CHECK, "no TLS on either side: logons are bound to no certificate, with or without authtap")
        }
        (Some(ours), Some(theirs)) if ours.end_point == theirs.end_point => Line::ok(
            CHECK,
            format!(
                "authtap would show the server's own certificate (SHA-256 {}…): nothing changes",
                short(&ours.sha256)
            ),
        ),
        (Some(ours), Some(theirs)) => Line::problem(
            CHECK,
            format!(
                "authtap would show {}, and the server's is {}: if the site checks Extended Protection, it will refuse \
                 every Windows logon that comes through authtap",
                named(ours),
                named(theirs)
            ),
            format!(
                "Give the server's own certificate with --tls-cert and --tls-key, or see that it is off ({POLICY})."
            ),
        ),
        (Some(ours), None) if !facts.server.tls => Line::warning(
            CHECK,
            format!(
                "authtap would show {}, and the server has no TLS: clients bind their logons to a certificate that the \
                 server does not know",
                named(ours)
            ),
            format!("See that Extended Protection is off or allows a proxy ({POLICY}), or let the server speak TLS."),
        ),
        (Some(_), None) => return None,
        (None, Some(theirs)) => Line::warning(
            CHECK,
            format!(
                "authtap would take TLS away: clients would speak plain HTTP with it, and the server shows {}; where \
                 Extended Protection is required, logons without a binding are refused",
                named(theirs)
            ),
            format!(
                "Give --tls-cert and --tls-key with the server's own certificate, or see that it is off ({POLICY})."
            ),
        ),
    })
}

pub(super) fn client_certificate(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "client-certificate";
    let tls = facts.reach.tls.as_ref()?;
    if tls.client_certificate_requested {
        return Some(Line::problem(
            CHECK,
            "the server asks for a client certificate in the handshake, and authtap cannot pass one on",
            "Clients that log on by certificate will fail. Forward TCP without ending TLS for this site, or watch \
             another one (`netsh http show sslcert` tells for which binding it is negotiated).",
        ));
    }
    if facts.reach.error.is_some() {
        return None;
    }
    Some(Line::ok(
        CHECK,
        "none is asked for in the handshake; IIS may still ask later, for single paths, which a check cannot see",
    ))
}

fn named(certificate: &Certificate) -> String {
    format!("{} (SHA-256 {}…)", certificate.subject, short(&certificate.sha256))
}

fn short(hex: &str) -> &str {
    hex.get(..16).unwrap_or(hex)
}
