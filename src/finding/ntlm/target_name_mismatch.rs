//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::may_be_credentials;
use crate::finding::shared::scope::{host_of_spn, key, name_of, one_host, without_port};
use crate::finding::shared::ticket::{ap_req, krb_error};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The client asked its domain for a service on one host, and sent the request to another: the service principal name
    /// in its message is not the one of `Host`. The server refused it.
    ///
    /// ## What authtap saw
    /// An NTLM logon whose MsvAvTargetName, or a Kerberos AP-REQ whose ticket's *sname*, names another host than `Host`,
    /// without port and case, and a short name counting as its long one; and a 401. The difference is certain. Whether it is
    /// the reason is not: browsers ask for a ticket in the canonical name when the name typed is an alias, and that works
    /// wherever the canonical name's account runs the site. For NTLM it is only `suspected` unless the same user was
    /// accepted before, and is then told under the refused logon.
    ///
    /// ## Why it breaks
    /// - Kerberos: the ticket is sealed with the key of the account that bears the named SPN. When the site runs as another one, it cannot open it.
    /// - NTLM: a site behind a proxy with Extended Protection (`flags` with *Proxy*) compares the name with its list of SPNs and refuses others. Without that, nobody looks.
    /// - A hop that rewrites `Host` makes the difference by itself: the client never saw the inner name.
    ///
    /// ## Fix
    /// - An alias: `setspn -S HTTP/ALIAS ACCOUNT` for the account of the application pool, and the alias as an A record; or let the canonical name's account be the one that runs the site (`setspn -Q HTTP/CANONICAL`).
    /// - A hop that rewrites `Host`: keep it (nginx `proxy_set_header Host $host`, Apache `ProxyPreserveHost On`, ARR *preserveHostHeader* (`appcmd set config /section:system.webServer/proxy /preserveHostHeader:true /commit:apphost`), YARP `RequestHeaderOriginalHost`, Azure Application Gateway *Override with new host name: No*).
    /// - Extended Protection with a list: add the public name, `HTTP/PUBLIC-NAME`, to the site's `extendedProtection` element (*Configuration Editor > system.webServer/security/authentication/windowsAuthentication > extendedProtection*).
    /// - A client with a fixed SPN (a .NET `CustomTargetNameMap`, Chrome's and Edge's `DisableAuthNegotiateCnameLookup`): correct it.
    ///
    /// Afterwards both names are one, or the logon is accepted all the same.
    ///
    /// ## Not this when
    /// A logon with the same two names was accepted in this watch, the names differ in port, case or length only, or the
    /// client says that its SPN comes from an untrusted source (MsvAvFlags 0x4). A KRB-ERROR about clock or expiry has
    /// another reason.
    ///
    /// ## References
    /// - MS-NLMP section 2.2.2.1 (MsvAvTargetName, MsvAvFlags); RFC 4120 section 5.3
    /// - IIS configuration reference: *extendedProtection*, *spn*
    slug: "target-name-mismatch",
    title: "The client asked for a service on another host than the one it talks to",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos"],
    cause: Directory,
    consequence_of: ["kerberos-wrong-key"],
    yields_to: ["access-denied-after-logon"],
    since: "0.1.0",
}

/// The SPN comes from an untrusted source (MS-NLMP section 2.2.2.1, MsvAvFlags).
const UNTRUSTED_SPN: u32 = 4;

/// What became of one pair of names.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    accepted: bool,
    refused: u64,
}

/// Looks at each SPN that a client used.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    pairs: Memory<u64, Pair>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.pairs.len()
    }

    fn forgotten(&self) -> u64 {
        self.pairs.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        if accepted && let Some((names, ..)) = names(turn) {
            self.pairs.entry(names, turn.at(), view, Pair::default).accepted = true;
        }
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let may_be = turn.answer == Event::Refused
            && match turn.request {
                Event::Authenticate => turn.came_whole(),
                Event::Token => may_be_the_name(turn),
                _ => false,
            };
        if !may_be || !may_be_credentials(turn) {
            return;
        }
        let Some((names, spn, asked, host)) = names(turn) else { return };
        let pair = self.pairs.entry(names, turn.at(), view, Pair::default);
        pair.refused += 1;
        let count = pair.refused;
        if !pair.accepted && count.is_power_of_two() {
            out.raise(turn.at(), draft(turn, view, spn, asked, host, count));
        }
    }
}

/// Two names that differ: their key, the SPN, its host, and the host in `Host`.
fn names(turn: &Turn) -> Option<(u64, &str, &str, &str)> {
    if !matches!(turn.request, Event::Authenticate | Event::Token) {
        return None;
    }
    let (spn, host) = (spn_of(turn)?, name_of(turn)?);
    let asked = host_of_spn(spn).filter(|asked| !one_host(asked, host))?;
    let names = key((host.to_ascii_lowercase(), asked.to_ascii_lowercase(), turn.request == Event::Token));
    Some((names, spn, asked, host))
}

fn draft(turn: &Turn, view: &View<'_>, spn: &str, asked: &str, host: &str, count: u64) -> Draft {
    let e = &turn.exchange;
    let kerberos = turn.request == Event::Token;
    let known_user = turn.user.as_ref().is_some_and(|u| view.site.was_accepted(u));
    let suspected = !kerberos && !known_user;
    let who = rewritten_by(turn, view, asked).unwrap_or_else(|| {
        if kerberos {
            "the client resolved an alias, or was given that name; the ticket opens only where that name's account \
             runs the site"
                .to_owned()
        } else {
            "the client resolved an alias, or was given that name".to_owned()
        }
    });
    let what = if kerberos { "a ticket" } else { "NTLM" };
    let but = match (suspected, kerberos) {
        (true, _) => "; it matters only where Extended Protection checks names, and may as well be a wrong password",
        (_, true) => "; a key that does not fit for another reason looks the same",
        _ => "; the same user was accepted before, so Extended Protection may check names here",
    };
    let again = if count > 1 { format!(" ({count} such refusals)") } else { String::new() };
    let says = format!("{what} for {spn}, sent to Host {host}");
    let place = if suspected {
        // A mere suspicion explains nothing: it is told under the refused logon, and claims no exchange of it.
        Place::new(e.connection, None, "AUTHENTICATE", e.times.request_head)
    } else {
        Place::request(turn)
    };
    let basis = if suspected { Basis::Suspected } else { Basis::Observed };
    let draft = Draft::new(
        basis,
        format!(
            "The client {} used {what} for {spn} in a request to {host} on connection {}, and was \
             refused{again}: {who}{but}.",
            turn.party, e.connection
        ),
        place.says(says),
    )
    .scheme(turn.scheme);
    if suspected {
        draft.because("credentials-rejected")
    } else {
        draft.and(Place::response(turn).says("401: the server refused it"))
    }
}

/// The SPN of a turn's message.
fn spn_of(turn: &Turn) -> Option<&str> {
    if let Some(message) = turn.authenticate() {
        let info = message.target_info.as_ref()?;
        return info.target_name.as_deref().filter(|_| info.av_flags.unwrap_or_default() & UNTRUSTED_SPN == 0);
    }
    ap_req(turn)?.sname.as_deref()
}

/// A refused ticket may have the wrong name: no KRB-ERROR says that it is something else (RFC 4120 section 7.5.9:
/// BAD_INTEGRITY, NOT_US, BADMATCH, MODIFIED).
fn may_be_the_name(turn: &Turn) -> bool {
    krb_error(turn).is_none_or(|error| error.error_code.is_none_or(|code| matches!(code, 31 | 35 | 36 | 41)))
}

/// Who changed `Host`, where something still tells the name that was asked for.
fn rewritten_by(turn: &Turn, view: &View<'_>, asked: &str) -> Option<String> {
    for field in ["x-forwarded-host", "x-original-host"] {
        let name = turn.header(field).and_then(|v| v.split(',').next());
        if name.is_some_and(|name| one_host(without_port(name), asked)) {
            return Some(format!("a hop in front changed Host, for `{field}` still has the name that was asked for"));
        }
    }
    let sni = view.site.connection(turn.exchange.connection)?.tls()?.sni.as_deref()?;
    one_host(sni, asked).then(|| "its TLS asked for that name too: Host alone is another one".to_owned())
}
