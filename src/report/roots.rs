//! Findings in order, and consequences under their roots.

use super::view::Group;
use crate::finding::catalogue;

/// Puts each consequence under its root, and both in order, the worst first.
///
/// A finding that came before its root is known by the catalogue's order of suppression: when all of its connections
/// are the root's as well, it is a consequence.
pub(super) fn nested(mut groups: Vec<Group>) -> Vec<Group> {
    sort(&mut groups);
    let mut roots: Vec<Group> = Vec::new();
    let mut consequences: Vec<Group> = Vec::new();
    let slugs: Vec<String> = groups.iter().filter(|g| g.root.is_none()).map(|g| g.slug.clone()).collect();
    let late: Vec<Option<String>> = groups.iter().map(|g| late_root(g, &groups)).collect();
    let above: Vec<(String, String)> = groups.iter().filter_map(|g| Some((g.slug.clone(), g.root.clone()?))).collect();
    for (mut group, late) in groups.into_iter().zip(late) {
        let told = group.root.take().map(|root| first_cause(root, &slugs, &above));
        // A root that was not told explains nothing here.
        group.root = told.or(late).filter(|root| slugs.contains(root) && *root != group.slug);
        if group.root.is_some() { consequences.push(group) } else { roots.push(group) }
    }
    for group in consequences {
        let root = group.root.clone();
        match roots.iter_mut().find(|r| Some(&r.slug) == root.as_ref()) {
            Some(root) => root.consequences.push(group),
            None => roots.push(Group { root: None, ..group }),
        }
    }
    sort(&mut roots);
    roots
}

/// The root of a root that is itself a consequence: what explains it explains what it explains.
fn first_cause(root: String, first: &[String], above: &[(String, String)]) -> String {
    let mut cause = root;
    for _ in 0..above.len() {
        let next = above.iter().find(|(slug, _)| *slug == cause && !first.contains(slug));
        let Some((_, next)) = next else { break };
        cause.clone_from(next);
    }
    cause
}

fn late_root(group: &Group, all: &[Group]) -> Option<String> {
    if group.root.is_some() || group.connections.is_empty() {
        return None;
    }
    let meta = catalogue::by_slug(&group.slug)?;
    let explains = |slug: &&str| {
        all.iter().any(|root| {
            root.root.is_none()
                && root.slug == **slug
                && group.connections.iter().all(|place| root.connections.contains(place))
        })
    };
    meta.consequence_of.iter().find(|slug| explains(slug)).map(|slug| (*slug).to_owned())
}

fn sort(groups: &mut [Group]) {
    groups.sort_by(|a, b| {
        let key = |g: &Group| std::cmp::Reverse((g.severity, g.basis, g.count));
        key(a).cmp(&key(b)).then_with(|| a.first_at.cmp(&b.first_at)).then_with(|| a.slug.cmp(&b.slug))
    });
}
