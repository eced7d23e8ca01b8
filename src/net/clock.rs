//! The only place that reads a clock. Everything else is handed a [`Stamp`].

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Stamp;

/// The wall clock at start, carried on by the monotonic clock: stamps never go back, also when somebody sets the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Stamp,
    since: Instant,
}

impl Clock {
    /// A clock that starts at the system's time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn start() -> Self {
        let wall = SystemTime::now();
        let since = Instant::now();
        let micros = match wall.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Self { wall: Stamp(micros), since }
    }

    /// Now.
    pub fn now(&self) -> Stamp {
        self.wall.after(self.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use crate::model::Stamp;

    /// A stamp that goes back would put an answer before its request in the report.
    #[test]
    fn time_never_goes_back_and_is_of_this_century() {
        let clock = Clock::start();
        let mut last = clock.now();
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        assert!(Some(last) > Stamp::parse("2025-01-01T00:00:00Z"));
    }
}
