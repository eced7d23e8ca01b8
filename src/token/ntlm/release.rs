//! Windows releases by VERSION (MS-NLMP section 2.2.2.10 and its product notes; builds from memory, unchecked).

use crate::model::auth::Version;

/// What a VERSION says of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Client and server editions of it: a VERSION does not tell which.
    pub name: &'static str,
    /// MS-NLMP lists this pair of version numbers. Otherwise the name goes by the build, and is only likely; programs
    /// that are not Windows send any VERSION they like in either case.
    pub sure: bool,
}

/// By major and minor version: MS-NLMP's own list.
const FAMILIES: &[((u8, u8), &str)] = &[
    ((5, 1), "Windows XP SP2"),
    ((5, 2), "Windows Server 2003"),
    ((6, 0), "Windows Vista or Server 2008"),
    ((6, 1), "Windows 7 or Server 2008 R2"),
    ((6, 2), "Windows 8 or Server 2012"),
    ((6, 3), "Windows 8.1 or Server 2012 R2"),
    ((10, 0), "Windows 10, Server 2016 or later"),
];

/// By build, within 10.0, where the family spans ten years.
const BUILDS: &[(u16, &str)] = &[
    (10240, "Windows 10 1507"),
    (10586, "Windows 10 1511"),
    (14393, "Windows 10 1607 or Server 2016"),
    (15063, "Windows 10 1703"),
    (16299, "Windows 10 1709"),
    (17134, "Windows 10 1803"),
    (17763, "Windows 10 1809 or Server 2019"),
    (18362, "Windows 10 1903"),
    (18363, "Windows 10 1909"),
    // Later releases of Windows 10 go on sending 19041.
    (19041, "Windows 10 2004 to 22H2"),
    (19042, "Windows 10 20H2"),
    (19043, "Windows 10 21H1"),
    (19044, "Windows 10 21H2"),
    (19045, "Windows 10 22H2"),
    (20348, "Windows Server 2022"),
    (22000, "Windows 11 21H2"),
    (22621, "Windows 11 22H2"),
    (22631, "Windows 11 23H2"),
    (26100, "Windows 11 24H2 or Server 2025"),
];

/// The Windows release behind a VERSION, or `None` for numbers that are nobody's (many clients send zeros).
pub fn release(version: Version) -> Option<Release> {
    let family = FAMILIES.iter().find(|((major, minor), _)| (version.major, version.minor) == (*major, *minor));
    let (_, family) = family?;
    let build = BUILDS.iter().find(|(build, _)| version.major == 10 && *build == version.build);
    Some(build.map_or(Release { name: family, sure: true }, |(_, name)| Release { name, sure: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(major: u8, minor: u8, build: u16) -> Option<(&'static str, bool)> {
        release(Version { major, minor, build }).map(|release| (release.name, release.sure))
    }

    /// "Likely Server 2019" helps to find a farm's odd node; said as a certainty it would be a wrong accusation.
    #[test]
    fn builds_are_only_likely() {
        assert_eq!(of(6, 3, 9600), Some(("Windows 8.1 or Server 2012 R2", true)));
        assert_eq!(of(10, 0, 17763), Some(("Windows 10 1809 or Server 2019", false)));
        assert_eq!(of(10, 0, 1), Some(("Windows 10, Server 2016 or later", true)));
        assert_eq!(of(6, 1, 17763), Some(("Windows 7 or Server 2008 R2", true)));
        assert_eq!(of(0, 0, 0), None);
        assert!(BUILDS.is_sorted() && FAMILIES.is_sorted());
    }
}
