//! What the times of a device are measured by.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::session::Session;

/// What the times of a device are times of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Of the processor, on the thread that calls: other work on the machine does not count.
    Thread,
    /// On the wall.
    Wall,
}

impl Clock {
    /// The clock for a session's device: that of the thread for a CPU with one thread, where all work
    /// is on the thread that calls.
    pub fn of(session: &Session) -> Self {
        let capabilities = session.ring().capabilities();
        let alone = capabilities.host_cpu && capabilities.parallelism == 1;
        if alone && thread_time().is_some() {
            Self::Thread
        } else {
            Self::Wall
        }
    }

    /// Begins to measure.
    pub fn start(self) -> Started {
        match self {
            Self::Thread => Started::Thread(thread_time().unwrap_or_default()),
            Self::Wall => Started::Wall(Instant::now()),
        }
    }
}

/// A running measurement.
#[derive(Clone, Copy, Debug)]
pub enum Started {
    /// Since this much time of the thread.
    Thread(Duration),
    /// Since this moment.
    Wall(Instant),
}

impl Started {
    /// Time since; of the processor, on the thread that started it.
    pub fn elapsed(self) -> Duration {
        match self {
            Self::Thread(begin) => thread_time().unwrap_or_default().saturating_sub(begin),
            Self::Wall(begin) => begin.elapsed(),
        }
    }
}

/// Processor time of this thread; None where the system has no clock of it.
#[cfg(unix)]
fn thread_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn thread_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_thread_that_sleeps_takes_no_time() {
        let of = |clock: Clock| {
            let begin = clock.start();
            std::thread::sleep(Duration::from_millis(20));
            begin.elapsed()
        };
        assert!(of(Clock::Thread) < Duration::from_millis(10));
        assert!(of(Clock::Wall) >= Duration::from_millis(20));
    }
}
