//! What the site offers, and whether a logon could come whole.

use crate::check::Line;
use crate::check::facts::{Answer, Facts, Kept};
use crate::model::auth::{AuthField, Scheme, Token};
use crate::model::page::PageAuthor;

pub(super) fn answer(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "answer";
    if facts.reach.speaks_the_other {
        return None;
    }
    let answer = match facts.first.as_ref()? {
        Ok(answer) => answer,
        Err(ended) => {
            return Some(Line::problem(
                CHECK,
                format!("GET {} has no answer: {ended}", facts.path),
                "See that the port is one of HTTP and that nothing between ends the connection; with a wrong name in \
                 `Host` some servers do so too (--public).",
            ));
        }
    };
    let says = format!("GET {} is answered {} {}{}", facts.path, answer.status, answer.by(), page(answer));
    Some(match answer.status {
        401 => Line::ok(CHECK, says),
        200..=299 => Line::warning(
            CHECK,
            format!("{says}, without a logon: of this path nothing can be told about logons"),
            "Name a protected one with --path.",
        ),
        300..=399 => Line::warning(
            CHECK,
            format!("{says}, and leads to {}", answer.location.as_deref().unwrap_or("nowhere")),
            "Name a path that asks for a logon with --path, and the name clients use with --public.",
        ),
        400 if answer.invalid_hostname => Line::problem(
            CHECK,
            format!("{says}: no binding has the name {}", facts.host),
            "Give the name that clients use with --public; authtap passes their `Host` on unchanged.",
        ),
        403 => Line::warning(
            CHECK,
            says,
            "See the substatus in IIS's log: an address restriction would meet authtap's address instead of the \
             clients', and 403.7 wants a client certificate, which cannot pass authtap.",
        ),
        404 => {
            Line::warning(CHECK, says, "Name a path of the site with --path, and the name clients use with --public.")
        }
        500..=599 => Line::problem(
            CHECK,
            says,
            "The site does not work now. A 503 of HTTP.sys means that its application pool is stopped.",
        ),
        _ => Line::warning(CHECK, says, "Name a path that asks for a logon with --path."),
    })
}

fn page(answer: &Answer) -> String {
    let author = match answer.page.author {
        PageAuthor::HttpSys => "HTTP.sys's own page",
        PageAuthor::IisCustom => "IIS's custom error page",
        PageAuthor::IisDetailed => "IIS's detailed error page",
        _ => return String::new(),
    };
    match answer.page.detail.as_ref().and_then(|d| Some((d.status?, d.substatus?))) {
        Some((status, substatus)) => format!(" ({author}, {status}.{substatus})"),
        None => format!(" ({author})"),
    }
}

/// The answer that challenges.
fn refusal(facts: &Facts) -> Option<&Answer> {
    facts.first.as_ref()?.as_ref().ok().filter(|answer| answer.status == 401 && !facts.reach.speaks_the_other)
}

pub(super) fn schemes(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "schemes";
    let refusal = refusal(facts)?;
    if refusal.offers.is_empty() {
        return Some(Line::problem(
            CHECK,
            "the 401 has no `WWW-Authenticate`: no client can log on",
            "Enable an authentication for the site (IIS Manager: site > Authentication), or find the hop or application \
             that takes the field out: `authtap explain challenge-missing`.",
        ));
    }
    let names: Vec<&str> = refusal.offers.iter().map(name).collect();
    Some(Line::ok(CHECK, format!("{}, in this order", names.join(", "))))
}

fn name(offer: &AuthField) -> &str {
    if offer.scheme_as_sent.is_empty() { offer.scheme.name() } else { &offer.scheme_as_sent }
}

pub(super) fn after_401(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "connection-after-401";
    const FIX: &str = "IIS keeps the connection. Look for a hop between that speaks HTTP/1.0 or closes after errors \
                       (`Via` and `Server` may name it), and for keep-alive being off at the site (IIS Manager: site > \
                       HTTP Response Headers > Set Common Headers).";
    Some(match facts.after_401.as_ref()? {
        Kept::Yes => Line::ok(CHECK, "it stays open: the next request on it was answered"),
        Kept::Announced => Line::warning(
            CHECK,
            format!("the 401 announces its end (`Connection: close`){}", hop(refusal(facts)?)),
            FIX,
        ),
        Kept::No(ended) => {
            Line::warning(CHECK, format!("it does not outlive the 401: {ended}{}", hop(refusal(facts)?)), FIX)
        }
    })
}

pub(super) fn after_challenge(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "connection-after-challenge";
    const FIX: &str = "An NTLM logon cannot come whole like this: `authtap explain connection-closed-mid-handshake`.";
    let challenge = facts.challenge.as_ref()?.as_ref().ok()?;
    Some(match facts.after_challenge.as_ref()? {
        Kept::Yes => Line::ok(CHECK, "it stays open for the AUTHENTICATE: the next request on it was answered"),
        Kept::Announced => Line::problem(
            CHECK,
            format!("the CHALLENGE itself announces the end (`Connection: close`){}", hop(challenge)),
            FIX,
        ),
        Kept::No(ended) => {
            Line::problem(CHECK, format!("it does not outlive the CHALLENGE: {ended}{}", hop(challenge)), FIX)
        }
    })
}

fn hop(answer: &Answer) -> String {
    answer.via.as_ref().map(|via| format!("; a hop names itself in `Via: {via}`")).unwrap_or_default()
}

pub(super) fn challenge(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "challenge";
    let answer = match facts.challenge.as_ref()? {
        Ok(answer) => answer,
        Err(ended) => {
            return Some(Line::problem(
                CHECK,
                format!("an NTLM NEGOTIATE on a fresh connection has no answer: {ended}"),
                "Look for what ends the connection: `authtap explain connection-closed-mid-handshake`.",
            ));
        }
    };
    if let Some(challenge) = answer.ntlm() {
        let info = challenge.target_info.as_ref();
        let node = info.and_then(|i| i.dns_computer_name.as_ref().or(i.nb_computer_name.as_ref()));
        let domain = info.and_then(|i| i.nb_domain_name.as_ref()).or(challenge.target_name.as_ref());
        let build = challenge.version.map(|v| format!(", version {}.{}.{}", v.major, v.minor, v.build));
        return Some(Line::ok(
            CHECK,
            format!(
                "an NTLM CHALLENGE comes from {} of domain {}{}",
                node.map_or("a server that does not name itself", String::as_str),
                domain.map_or("none", String::as_str),
                build.unwrap_or_default()
            ),
        ));
    }
    let ntlm = refusal(facts)?.offers.iter().any(|o| o.scheme == Scheme::Ntlm && o.token == Token::None);
    Some(if ntlm {
        Line::problem(
            CHECK,
            format!("NTLM is offered, and an NTLM NEGOTIATE is answered {} without a CHALLENGE", answer.status),
            "See whether something in front takes the credentials out, and whether a policy restricts incoming NTLM \
             (`Network security: Restrict NTLM: Incoming NTLM traffic`).",
        )
    } else {
        Line::warning(
            CHECK,
            format!(
                "an NTLM NEGOTIATE inside Negotiate is answered {} without a CHALLENGE: only Kerberos seems to be taken",
                answer.status
            ),
            "Where that is meant (provider `Negotiate:Kerberos`, or a policy that restricts NTLM) there is nothing to \
             do; clients without a ticket will fail.",
        )
    })
}

pub(super) fn persistent_auth(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "persistent-auth";
    let windows = |o: &AuthField| matches!(o.scheme, Scheme::Ntlm | Scheme::Negotiate);
    if !refusal(facts)?.offers.iter().any(windows) {
        return None;
    }
    let Some(logon) = &facts.logon else {
        return Some(Line::ok(CHECK, "not known without a logon (--user makes one)"));
    };
    let last = match &logon.last {
        Ok(last) if last.status != 401 => last,
        Ok(_) => {
            return Some(Line::problem(
                CHECK,
                format!("the logon of {} over NTLM is refused with 401", logon.user),
                "It counts as a wrong password. See user and password, and the substatus and win32 status in IIS's log \
                 (`authtap explain 401 1 2148074252`).",
            ));
        }
        Err(ended) => {
            return Some(Line::problem(
                CHECK,
                format!("the logon of {} over NTLM did not come to its end: {ended}", logon.user),
                "Look for what ends the connection: `authtap explain connection-closed-mid-handshake`.",
            ));
        }
    };
    let says = match &last.persistent_auth {
        Some(value) => format!("{} is logged on, and the answer says `Persistent-Auth: {value}`", logon.user),
        None => format!("{} is logged on, and the answer has no `Persistent-Auth`", logon.user),
    };
    Some(match &logon.next {
        Some(Ok(next)) if next.status == 401 => Line::warning(
            CHECK,
            format!("{says}; the next request on the connection is asked to log on again"),
            "Each request then costs a whole handshake: `authtap explain authentication-not-persistent`.",
        ),
        Some(Ok(_)) => Line::ok(CHECK, format!("{says}; the next request on the connection needs no logon")),
        Some(Err(ended)) => Line::warning(
            CHECK,
            format!("{says}; the next request on the connection failed: {ended}"),
            "The connection should last after a logon: look for what ends it.",
        ),
        None => Line::warning(
            CHECK,
            format!("{says}, with which the connection ends"),
            "The connection should last after a logon: look for what ends it.",
        ),
    })
}
