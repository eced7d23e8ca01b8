//! What must not leave the edge.

use std::fmt;

/// A value that can be neither printed nor serialised: passwords, responses, keys, raw message heads.
///
/// `Debug` shows the type's name only; there is no `Display` and no `Serialize`, so a secret that reaches an event is
/// a compile error and not an incident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Each call is a place to review: what is derived from it must be free of the secret.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    /// A secret in a debug line would end in a support ticket.
    #[test]
    fn debug_shows_nothing_of_the_value() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
        assert_eq!(Secret::new("hunter2").expose().len(), 7);
    }
}
