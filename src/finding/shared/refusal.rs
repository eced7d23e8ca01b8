//! What a refusal's page tells: IIS's own substatus and error code, where a detailed page holds them.

use crate::iis::code::{self, Win32};
use crate::model::page::{PageAuthor, PageDetail};
use crate::track::turn::Turn;

/// What a detailed page says of the response that carried it.
#[derive(Debug, Clone, Copy)]
pub(in crate::finding) struct Refusal<'a> {
    status: u16,
    substatus: u16,
    detail: &'a PageDetail,
}

impl<'a> Refusal<'a> {
    /// Of an exchange that has ended; `None` when its page is none of IIS's detailed ones, or tells no substatus.
    pub(in crate::finding) fn of(turn: &'a Turn) -> Option<Self> {
        let response = turn.response()?;
        let detail = response.page.as_ref()?.detail.as_deref()?;
        // A page that speaks of another status is quoted by somebody.
        let same = detail.status.is_none_or(|s| s == response.status);
        let substatus = detail.substatus.filter(|_| same)?;
        Some(Self { status: response.status, substatus, detail })
    }

    /// `(401, 3)`.
    pub(in crate::finding) const fn pair(&self) -> (u16, u16) {
        (self.status, self.substatus)
    }

    /// `401.3`.
    pub(in crate::finding) fn name(&self) -> String {
        format!("{}.{}", self.status, self.substatus)
    }

    /// The error code of the page, where its table knows it.
    pub(in crate::finding) fn code(&self) -> Option<&'static Win32> {
        self.detail.hresult.and_then(code::win32)
    }

    /// The name that the page gives of whom was logged on.
    pub(in crate::finding) fn logon_user(&self) -> Option<&'a str> {
        self.detail.logon_user.as_deref().filter(|_| self.detail.logged_on == Some(true))
    }

    /// Its error code is this one.
    pub(in crate::finding) fn is_code(&self, wanted: u32) -> bool {
        self.detail.hresult == Some(wanted)
    }

    /// `IIS's page says 401.1, 0x8009030C SEC_E_LOGON_DENIED`.
    pub(in crate::finding) fn says(&self) -> String {
        let code = match (self.code(), self.detail.hresult) {
            (Some(row), _) => format!(", {} {}", row.hex(), row.name),
            (None, Some(code)) => format!(", 0x{code:08X}"),
            (None, None) => String::new(),
        };
        format!("IIS's detailed page says {}{code}", self.name())
    }
}

/// Whether a 401 after whole credentials may be about the credentials: no page says that it is something else.
pub(in crate::finding) fn may_be_credentials(turn: &Turn) -> bool {
    Refusal::of(turn).is_none_or(|r| matches!(r.pair(), (401, 0..=2)))
}

/// Who wrote a refusal's body, in words; `None` when nobody knows.
pub(in crate::finding) fn author(turn: &Turn) -> Option<&'static str> {
    Some(match turn.response()?.page.as_ref()?.author {
        PageAuthor::HttpSys => "HTTP.sys wrote its body",
        PageAuthor::IisCustom => "its body is IIS's custom error page",
        PageAuthor::IisDetailed => "its body is IIS's detailed error page",
        PageAuthor::Application => "the application or another server wrote its body",
        PageAuthor::Nobody => "it has no body",
        PageAuthor::Unread => return None,
    })
}
