//! See the page below.

use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::page::PageAuthor;
use crate::track::connection::Connection;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// authtap runs on the server's own machine. IIS sees each request come from its own address, and answers clients
    /// elsewhere with error pages that are meant for the administrator in front of the machine.
    ///
    /// ## What authtap saw
    /// A connection to the server whose two ends have the same address, a client on another machine, and an answer with
    /// IIS's detailed error page. At start authtap also says, as a self-check, that the upstream's address is one of its
    /// own machine; that alone is no finding.
    ///
    /// ## Why it breaks
    /// `errorMode="DetailedLocalOnly"`, the default, shows detailed pages to local requests and custom ones to all others.
    /// How IIS tells a local request is not documented; that both addresses are equal is the likeliest rule, and the page
    /// that was seen fits it. The detailed page holds the physical path, the module, the handler and the error code: it
    /// now leaves the machine. Whatever else looks at the client's address (address restrictions, per-address limits, the
    /// log's `c-ip`) sees the machine itself, too.
    ///
    /// ## Fix
    /// - Set the error mode while authtap stands there: *site > Error Pages > Edit Feature Settings > Custom error pages* (`appcmd set config "SITE" /section:httpErrors /errorMode:Custom`). It is the site's own setting, put it back after.
    /// - Or run authtap on another machine, between the load balancer and IIS.
    /// - Or leave it for the hour, if nobody minds those pages: their substatus makes authtap's own findings surer.
    ///
    /// ## Not this when
    /// The site shows detailed pages to everybody (`errorMode="Detailed"`): they then look the same without authtap. Or
    /// the client is on the server's machine as well.
    ///
    /// ## References
    /// - IIS configuration reference, `system.webServer/httpErrors`, attribute `errorMode`
    slug: "proxy-on-server-host",
    title: "authtap runs on the server's own machine, and IIS's detailed error pages leave it",
    severity: Medium,
    basis: Observed,
    schemes: [],
    cause: Authtap,
    consequence_of: [],
    since: "0.1.0",
}

/// Waits for the first detailed page that leaves the machine.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: bool,
}

impl Detect for Detector {
    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if self.told {
            return;
        }
        let Some(page) = turn.response().and_then(|r| r.page.as_ref()) else { return };
        let connection = view.site.connection(turn.exchange.connection);
        if page.author != PageAuthor::IisDetailed || !connection.is_some_and(Connection::seems_local) {
            return;
        }
        self.told = true;
        let path = page.detail.as_ref().is_some_and(|d| d.shows_physical_path);
        let draft = Draft::new(
            Basis::Observed,
            format!(
                "authtap dials IIS from IIS's own machine, and IIS answered {} of the client at {} with its detailed error \
                 page{}, which by default only local requests get.",
                turn.request_line(),
                turn.peer,
                if path { ", which shows the physical path" } else { "" }
            ),
            Place::response(turn).says(format!("{} with IIS's detailed error page: {}", turn.status(), page.sign)),
        );
        let open = "both ends of the connection to the server have the same address, and the client has another one";
        out.raise(turn.at(), draft.and(Place::request(turn).says(open)));
    }
}
