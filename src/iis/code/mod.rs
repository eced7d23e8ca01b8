//! Codes by which IIS and Windows say why, each with what it tells at a web server and what to do.
//!
//! The rows are in `src/iis/data/*.tsv`, one row a code, with a source for each. A row is a fact about Windows, so it says
//! how it is known: see [`Confidence`].

mod lookup;
mod suggest;
mod table;

pub use lookup::{Answer, lookup};
pub use suggest::suggest;
pub use table::{all, httperr, kerberos, substatus, triple, win32};

/// How a row's statement is known. In the data files by its first letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// `S`: read in a specification or a vendor's document.
    Specified,
    /// `C`: read in code, or decoded from real samples.
    Decoded,
    /// `O`: one real observation.
    Observed,
    /// `M`: from experience, not verified; to be shown as such.
    Unverified,
}

impl Confidence {
    fn of(letter: &str) -> Option<Self> {
        match letter {
            "S" => Some(Self::Specified),
            "C" => Some(Self::Decoded),
            "O" => Some(Self::Observed),
            "M" => Some(Self::Unverified),
            _ => None,
        }
    }

    /// What to write beside the statement; `None` when it needs no such word.
    pub const fn caveat(self) -> Option<&'static str> {
        match self {
            Self::Specified | Self::Decoded => None,
            Self::Observed => Some("seen once"),
            Self::Unverified => Some("not verified"),
        }
    }

    /// `specified`, `decoded`, `observed`, `unverified`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Specified => "specified",
            Self::Decoded => "decoded",
            Self::Observed => "observed",
            Self::Unverified => "unverified",
        }
    }
}

/// What is said of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// What the code means.
    pub means: &'static str,
    /// What it tells in front of a web server that authenticates.
    pub here: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// How code, name and [`means`](Self::means) are known.
    pub confidence: Confidence,
    /// How [`here`](Self::here) and [`advice`](Self::advice) are known.
    pub here_confidence: Confidence,
    /// The documents that it comes from.
    pub source: &'static str,
}

/// A status with its substatus, such as 401.2.
#[derive(Debug, PartialEq, Eq)]
pub struct Substatus {
    /// sc-status.
    pub status: u16,
    /// sc-substatus.
    pub substatus: u16,
    /// Its short name.
    pub name: &'static str,
    /// What is said of it.
    pub text: Text,
}

/// Where a 32-bit code is from (MS-ERREF sections 2.1 to 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// A Win32 error.
    Win32,
    /// A Win32 error in the form of an HRESULT.
    HResult,
    /// An HRESULT of the security packages.
    Sspi,
    /// An HRESULT about certificates.
    Certificate,
    /// An NTSTATUS.
    NtStatus,
}

/// A code of sc-win32-status, of a detailed page, or of the Security log.
#[derive(Debug, PartialEq, Eq)]
pub struct Win32 {
    /// As IIS logs it, unsigned.
    pub code: u32,
    /// The symbolic name.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: Vec<&'static str>,
    /// Where it is from.
    pub family: Family,
    /// What is said of it.
    pub text: Text,
}

/// A Kerberos error code (RFC 4120 section 7.5.9).
#[derive(Debug, PartialEq, Eq)]
pub struct Kerberos {
    /// error-code of KRB-ERROR.
    pub code: i32,
    /// The name.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: Vec<&'static str>,
    /// Whether the web server itself says it, rather than the KDC.
    pub at_server: bool,
    /// What is said of it.
    pub text: Text,
}

/// A reason of the HTTPERR log.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpErr {
    /// s-reason.
    pub reason: &'static str,
    /// The status that usually goes with it.
    pub status: Option<u16>,
    /// What is said of it.
    pub text: Text,
}

/// Status, substatus and win32 status together, as one reads them off the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Triple {
    /// sc-status.
    pub status: u16,
    /// sc-substatus.
    pub substatus: u16,
    /// sc-win32-status.
    pub win32: u32,
    /// Its short name.
    pub name: &'static str,
    /// What is said of it.
    pub text: Text,
}

/// Any row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// `triples.tsv`.
    Triple(&'static Triple),
    /// `substatus.tsv`.
    Substatus(&'static Substatus),
    /// `win32.tsv`.
    Win32(&'static Win32),
    /// `kerberos.tsv`.
    Kerberos(&'static Kerberos),
    /// `httperr.tsv`.
    HttpErr(&'static HttpErr),
}

impl Row {
    /// The key by which `explain` finds it: `401 1 2148074248`, `401.1`, `0x80090308`, `41`, `FieldLength`.
    pub fn key(&self) -> String {
        match self {
            Self::Triple(r) => format!("{} {} {}", r.status, r.substatus, r.win32),
            Self::Substatus(r) => format!("{}.{}", r.status, r.substatus),
            Self::Win32(r) => r.hex(),
            Self::Kerberos(r) => r.code.to_string(),
            Self::HttpErr(r) => r.reason.to_owned(),
        }
    }

    /// The name: symbolic where there is one.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Triple(r) => r.name,
            Self::Substatus(r) => r.name,
            Self::Win32(r) => r.name,
            Self::Kerberos(r) => r.name,
            Self::HttpErr(r) => r.reason,
        }
    }

    /// What is said of it.
    pub const fn text(&self) -> &'static Text {
        match self {
            Self::Triple(r) => &r.text,
            Self::Substatus(r) => &r.text,
            Self::Win32(r) => &r.text,
            Self::Kerberos(r) => &r.text,
            Self::HttpErr(r) => &r.text,
        }
    }

    /// `triple`, `substatus`, `win32`, `kerberos`, `httperr`: the list it is on.
    pub const fn list(&self) -> &'static str {
        match self {
            Self::Triple(_) => "triple",
            Self::Substatus(_) => "substatus",
            Self::Win32(_) => "win32",
            Self::Kerberos(_) => "kerberos",
            Self::HttpErr(_) => "httperr",
        }
    }

    /// Names that the row answers to beside its key, symbolic ones only.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let (first, others): (Option<&'static str>, &'static [&'static str]) = match self {
            Self::Win32(r) => (Some(r.name), &r.aliases),
            Self::Kerberos(r) => (Some(r.name), &r.aliases),
            Self::HttpErr(r) => (Some(r.reason), &[]),
            Self::Triple(_) | Self::Substatus(_) => (None, &[]),
        };
        first.into_iter().chain(others.iter().copied())
    }
}

impl Win32 {
    /// `0x80090308`; small ones without leading zeros, `0x52E`.
    pub fn hex(&self) -> String {
        format!("0x{:X}", self.code)
    }

    /// The form that is negative in languages without unsigned numbers.
    pub const fn signed(&self) -> i32 {
        self.code.cast_signed()
    }
}
