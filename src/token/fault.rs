//! Collecting faults, in bounded number.

use std::cmp::Ordering;

use crate::model::auth::Fault;

/// The path of a field that is read. Made into text only when there is a fault to tell: a healthy token costs nothing.
pub(super) trait Field {
    /// `outer.inner`.
    fn path(self) -> String;
}

impl Field for &str {
    fn path(self) -> String {
        self.to_owned()
    }
}

impl Field for String {
    fn path(self) -> String {
        self
    }
}

/// A field of a structure.
impl Field for (&str, &str) {
    fn path(self) -> String {
        format!("{}.{}", self.0, self.1)
    }
}

/// Faults of one field. Hostile input could ask for one per byte; past the limit one more says that there are more.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// As many as a person reads, and some.
    const LIMIT: usize = 64;

    /// Notes a fault. `got` must not hold a secret's bytes: lengths and kinds only, where the input may be secret.
    pub(super) fn add(
        &mut self,
        offset: usize,
        field: impl Field,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) {
        let fault = match self.0.len().cmp(&Self::LIMIT) {
            Ordering::Less => Fault { offset, field: field.path(), expected: expected.into(), got: got.into() },
            Ordering::Equal => Fault {
                offset,
                field: "faults".to_owned(),
                expected: format!("at most {}", Self::LIMIT),
                got: "more, which are not told".to_owned(),
            },
            Ordering::Greater => return,
        };
        self.0.push(fault);
    }

    /// Adds the faults of `other` after these.
    pub(super) fn append(&mut self, other: Self) {
        for fault in other.0 {
            self.add(fault.offset, fault.field, fault.expected, fault.got);
        }
    }

    /// Whether nothing was wrong so far.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order in which they were met.
    pub(super) fn into_list(self) -> Vec<Fault> {
        self.0
    }
}
