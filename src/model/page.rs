//! What the body of a refusal tells: who wrote it, and what a detailed error page of IIS says.

use std::borrow::Cow;

use super::finding::Basis;

/// An answer's body, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Which layer wrote it.
    pub author: PageAuthor,
    /// How sure that is.
    pub basis: Basis,
    /// The sign that decided.
    pub sign: Cow<'static, str>,
    /// Words of it that speak of a server behind this one which refused, such as `ANONYMOUS LOGON`.
    pub back_end: Option<Cow<'static, str>>,
    /// Words on it that authtap knows and that say what was wrong with the request, such as `Request Too Long`.
    pub says: Option<Cow<'static, str>>,
    /// What a detailed page says; only of [`PageAuthor::IisDetailed`].
    pub detail: Option<Box<PageDetail>>,
}

/// Which layer wrote an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageAuthor {
    /// HTTP.sys, the kernel's part: IIS proper did not answer.
    HttpSys,
    /// IIS's custom error page for remote clients; the same for each substatus.
    IisCustom,
    /// IIS's detailed error page.
    IisDetailed,
    /// The application, or another server.
    Application,
    /// There is no body.
    Nobody,
    /// There is a body that was not or cannot be read.
    Unread,
}

impl PageAuthor {
    /// The name in captures and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpSys => "http.sys",
            Self::IisCustom => "iis-custom",
            Self::IisDetailed => "iis-detailed",
            Self::Application => "application",
            Self::Nobody => "none",
            Self::Unread => "unread",
        }
    }

    /// All.
    pub const ALL: [Self; 6] =
        [Self::HttpSys, Self::IisCustom, Self::IisDetailed, Self::Application, Self::Nobody, Self::Unread];

    /// The inverse of [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

/// What a detailed error page of IIS says. `None` is what was not on the page, or behind the cut of the copy.
///
/// The page also shows the URL and the physical path. That they are there is a leak worth telling; what they are is not
/// kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageDetail {
    /// The status of the page.
    pub status: Option<u16>,
    /// The substatus.
    pub substatus: Option<u16>,
    /// Error Code.
    pub hresult: Option<u32>,
    /// The last number of the page's link: documented as a message id, in practice the build of Windows.
    pub build: Option<u32>,
    /// `10.0`, `8.5`, `7.5`.
    pub iis_version: Option<String>,
    /// Module, such as `WindowsAuthenticationModule`.
    pub module: Option<String>,
    /// Notification, such as `AuthenticateRequest`.
    pub notification: Option<String>,
    /// Handler.
    pub handler: Option<String>,
    /// Logon Method, in the page's language.
    pub logon_method: Option<String>,
    /// Logon User, in the page's language where it is not a name.
    pub logon_user: Option<String>,
    /// Whether somebody was logged on; `None` where only the page's language would tell.
    pub logged_on: Option<bool>,
    /// The requested URL is shown.
    pub shows_url: bool,
    /// The physical path is shown.
    pub shows_physical_path: bool,
}
