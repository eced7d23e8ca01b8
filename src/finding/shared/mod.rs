//! What several findings share: what an answer tells, whom to blame, keys, and clients that never come back.

pub(in crate::finding) mod alternation;
pub(in crate::finding) mod binding;
pub(in crate::finding) mod cases;
pub(in crate::finding) mod clock;
pub(in crate::finding) mod habit;
pub(in crate::finding) mod hops;
pub(in crate::finding) mod login;
pub(in crate::finding) mod node;
pub(in crate::finding) mod place;
pub(in crate::finding) mod product;
pub(in crate::finding) mod refusal;
pub(in crate::finding) mod scope;
pub(in crate::finding) mod silence;
pub(in crate::finding) mod stops;
pub(in crate::finding) mod subject;
pub(in crate::finding) mod ticket;
