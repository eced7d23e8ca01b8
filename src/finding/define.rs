//! The macro that defines a finding.

/// Identity and page of a finding: the doc lines are the page.
///
/// Expands to `pub(super) static META` in the finding's file.
macro_rules! finding {
    (
        $(#[doc = $page:literal])+
        slug: $slug:literal,
        title: $title:literal,
        severity: $severity:ident,
        basis: $basis:ident,
        schemes: [$($scheme:literal),* $(,)?],
        cause: $cause:ident,
        consequence_of: [$($root:literal),* $(,)?],
        $(yields_to: [$($stronger:literal),* $(,)?],)?
        $(denies_pairing: $denies:literal,)?
        since: $since:literal $(,)?
    ) => {
        /// Identity and page.
        pub(in crate::finding) static META: $crate::finding::Meta = $crate::finding::Meta {
            slug: $slug,
            title: $title,
            severity: $crate::model::finding::Severity::$severity,
            basis: $crate::model::finding::Basis::$basis,
            schemes: &[$($scheme),*],
            cause: $crate::finding::Cause::$cause,
            consequence_of: &[$($root),*],
            yields_to: &[$($($stronger),*)?],
            denies_pairing: false $(|| $denies)?,
            since: $since,
            page: concat!($($page, "\n"),+),
        };
    };
}

/// The list of all findings: declares each file as a module and registers it, so that neither can be forgotten.
macro_rules! catalogue {
    ($($path:literal => $module:ident),+ $(,)?) => {
        $(
            #[path = $path]
            mod $module;
        )+

        /// All findings' identities, in the catalogue's order.
        pub static ALL: &[&$crate::finding::Meta] = &[$(&$module::META),+];

        /// One fresh detector for each finding.
        pub(in crate::finding) fn detectors() -> Vec<(&'static $crate::finding::Meta, Box<dyn $crate::finding::Detect>)> {
            vec![$((&$module::META, Box::new($module::Detector::default()) as Box<dyn $crate::finding::Detect>)),+]
        }
    };
}
