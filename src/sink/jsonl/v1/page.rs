//! What the body of a refusal tells. The body itself is never here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mirror::{Basis, PageAuthor};
use super::text::{self, Unfit};
use crate::model::page;

/// Who wrote the body of a refusal, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    /// Which layer wrote it.
    pub author: PageAuthor,
    /// How sure that is.
    pub basis: Basis,
    /// The sign that decided, in words.
    #[serde(default)]
    pub sign: String,
    /// Words of it that speak of a server behind this one which refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_end: Option<String>,
    /// Known words on it that say what was wrong with the request, such as `Request Too Long`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// What a detailed error page of IIS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<PageDetail>>,
}

/// What a detailed error page of IIS says. What is not on the page, or behind the first 8 KiB of it, is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PageDetail {
    /// The status of the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The substatus: the `2` of `401.2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substatus: Option<u16>,
    /// Error Code, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hresult: Option<String>,
    /// The build of Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<u32>,
    /// Version of IIS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iis_version: Option<String>,
    /// Module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// Handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Logon Method, in the page's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logon_method: Option<String>,
    /// Logon User, in the page's language where it is not a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logon_user: Option<String>,
    /// Whether somebody was logged on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logged_on: Option<bool>,
    /// The page shows the requested URL.
    pub shows_url: bool,
    /// The page shows the physical path.
    pub shows_physical_path: bool,
}

impl From<&page::Page> for Page {
    fn from(x: &page::Page) -> Self {
        Self {
            author: x.author.into(),
            basis: x.basis.into(),
            sign: x.sign.clone().into_owned(),
            back_end: x.back_end.clone().map(std::borrow::Cow::into_owned),
            says: x.says.as_deref().map(str::to_owned),
            detail: x.detail.as_deref().map(|d| Box::new(d.into())),
        }
    }
}

impl TryFrom<Page> for page::Page {
    type Error = Unfit;

    fn try_from(x: Page) -> Result<Self, Unfit> {
        Ok(Self {
            author: x.author.into(),
            basis: x.basis.into(),
            sign: x.sign.into(),
            back_end: x.back_end.map(Into::into),
            says: x.says.map(Into::into),
            detail: x.detail.map(|d| (*d).try_into().map(Box::new)).transpose()?,
        })
    }
}

impl From<&page::PageDetail> for PageDetail {
    fn from(x: &page::PageDetail) -> Self {
        Self {
            status: x.status,
            substatus: x.substatus,
            hresult: x.hresult.map(text::hex32),
            build: x.build,
            iis_version: x.iis_version.clone(),
            module: x.module.clone(),
            notification: x.notification.clone(),
            handler: x.handler.clone(),
            logon_method: x.logon_method.clone(),
            logon_user: x.logon_user.clone(),
            logged_on: x.logged_on,
            shows_url: x.shows_url,
            shows_physical_path: x.shows_physical_path,
        }
    }
}

impl TryFrom<PageDetail> for page::PageDetail {
    type Error = Unfit;

    fn try_from(x: PageDetail) -> Result<Self, Unfit> {
        Ok(Self {
            status: x.status,
            substatus: x.substatus,
            hresult: x.hresult.map(|code| text::to_u32("page.detail.hresult", &code)).transpose()?,
            build: x.build,
            iis_version: x.iis_version,
            module: x.module,
            notification: x.notification,
            handler: x.handler,
            logon_method: x.logon_method,
            logon_user: x.logon_user,
            logged_on: x.logged_on,
            shows_url: x.shows_url,
            shows_physical_path: x.shows_physical_path,
        })
    }
}
