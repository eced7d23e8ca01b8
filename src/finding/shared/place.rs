//! What a path tells about the application that it belongs to.

use super::scope::AnyCase;
use super::subject;

/// The first segment of a path that has several: the application, most likely. `None` at the site's root.
pub(in crate::finding) fn application(path: &str) -> Option<&str> {
    let (first, rest) = path.strip_prefix('/')?.split_once('/')?;
    (!first.is_empty() && !rest.is_empty()).then_some(first)
}

/// A number that two paths share when they surely belong to one application: they are equal, or share their first
/// segment.
pub(in crate::finding) fn key(path: &str) -> u64 {
    application(path).map_or_else(|| subject::key((0, path)), |first| subject::key((1, AnyCase(first))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two applications that are taken for one make a lost logon of what is IIS's normal work.
    #[test]
    fn only_a_shared_first_segment_is_one_application() {
        let same_application = |a, b| key(a) == key(b);
        assert!(same_application("/a/x", "/a/y") && same_application("/x", "/x") && same_application("/A/x", "/a/y"));
        assert!(!same_application("/a/x", "/b/x") && !same_application("/x", "/y") && !same_application("/a", "/a/x"));
        assert_eq!(application("/a/x/y"), Some("a"));
        assert_eq!(application("/x"), None);
        assert_eq!(application("*"), None);
    }
}
