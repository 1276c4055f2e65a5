//! How fast output may go to the front ends. Pure: time comes in.
//!
//! `jupyter_server` drops what comes faster than 1,000,000 bytes of text or 1,000 messages a second,
//! on average over three seconds, and with it what matters: errors and results
//! (<https://jupyter-server.readthedocs.io/en/latest/other/full-config.html>, `iopub_data_rate_limit`).
//! So below a server the kernel slows itself down. Other clients take what the sockets take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which the server takes its average.
const WINDOW: Duration = Duration::from_secs(3);

/// What the kernel keeps below of the server's limits, which leaves room for errors and results.
const BYTES_PER_SECOND: usize = 900_000;

/// As many messages a second.
const MESSAGES_PER_SECOND: usize = 800;

/// What the parts of a message count for that are not its text.
const OF_MESSAGE: usize = 1000;

/// The least text for which a message is worth while.
const LEAST: usize = 4 << 10;

/// At most so many messages of a flood go within the [`WINDOW`]: for each of them a front end works the
/// more, the longer the output above it is.
const OF_FLOOD: usize = 64;

/// Of the whole, what cells may use that do not run: so the running one always finds some.
const BACKGROUND: f64 = 0.8;

/// The environment variable that `jupyter_server` sets for the kernels of its sessions.
const SERVER_VAR: &str = "JPY_SESSION_NAME";

/// How much output may wait for the front ends, and how fast it goes there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Bytes a second; 0 is without limit. Else what the front end takes, as far as is known.
    pub rate: Option<usize>,
    /// How many bytes of each cell wait before text is left out that nobody waits with.
    pub backlog: Option<usize>,
}

/// The default of [`Limits::backlog`].
pub const BACKLOG: usize = 2 << 20;

/// What was sent lately, and what may be sent now.
#[derive(Debug)]
pub struct Pace {
    /// In bytes; none where nothing is dropped.
    limit: Option<usize>,
    sent: VecDeque<(Instant, usize)>,
    bytes: usize,
}

impl Pace {
    /// As fast as so many bytes a second, 0 being without limit; where that is not said, as fast as
    /// the server takes it that has started the kernel, if one has.
    pub fn new(bytes_per_second: Option<usize>) -> Pace {
        let below_server = std::env::var_os(SERVER_VAR).is_some();
        let rate = match bytes_per_second {
            Some(0) => None,
            Some(rate) => Some(rate),
            None => below_server.then_some(BYTES_PER_SECOND),
        };
        Pace {
            limit: rate.map(|rate| rate.saturating_mul(WINDOW.as_secs() as usize)),
            sent: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The bytes a second, if there is a limit.
    pub fn rate(&self) -> Option<usize> {
        self.limit.map(|limit| limit / WINDOW.as_secs() as usize)
    }

    /// How many bytes of text the next message may hold; 0 where it has to wait.
    pub fn room(&mut self, now: Instant, is_background: bool) -> usize {
        let Some(limit) = self.limit else {
            return usize::MAX;
        };
        while let Some((time, bytes)) = self.sent.front()
            && now.duration_since(*time) >= WINDOW
        {
            self.bytes -= bytes;
            self.sent.pop_front();
        }
        let least = LEAST.max(limit / OF_FLOOD);
        // However low the limit is, something goes.
        if self.sent.is_empty() {
            return limit.max(least);
        }
        let share = if is_background { BACKGROUND } else { 1.0 };
        let part = |whole: usize| (whole as f64 * share) as usize;
        let messages = MESSAGES_PER_SECOND * WINDOW.as_secs() as usize;
        if self.sent.len() >= part(messages) {
            return 0;
        }
        let room = part(limit).saturating_sub(self.bytes + OF_MESSAGE);
        // Rather later than in crumbs.
        if room < least { 0 } else { room }
    }

    /// Notes a message of so many bytes of text.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        if self.limit.is_some() {
            self.sent.push_back((now, bytes + OF_MESSAGE));
            self.bytes += bytes + OF_MESSAGE;
        }
    }
}

/// How many bytes text takes as JSON.
pub fn bytes_of_text(text: &str) -> usize {
    let escaped = |byte: &u8| match byte {
        b'\n' | b'\r' | b'\t' | b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.as_bytes().iter().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_counts_for_three_seconds() {
        let begin = Instant::now();
        let mut pace = Pace::new(Some(100_000));
        assert_eq!(pace.room(begin, false), 300_000);
        pace.sent(begin, 9_000);
        assert_eq!(pace.room(begin, false), 289_000);
        pace.sent(begin, 288_000);
        assert_eq!(pace.room(begin, false), 0);
        assert_eq!(pace.room(begin + WINDOW, false), 300_000);
    }

    #[test]
    fn the_background_leaves_room_for_the_running_cell() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(100_000));
        pace.sent(now, 238_000);
        assert_eq!(pace.room(now, true), 0);
        assert_eq!(pace.room(now, false), 60_000);
    }

    #[test]
    fn something_goes_below_the_lowest_limit() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(1));
        assert_eq!(pace.room(now, true), LEAST);
        pace.sent(now, LEAST);
        assert_eq!(pace.room(now, false), 0);
    }

    #[test]
    fn messages_count_too() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(100_000_000));
        let sent = std::iter::from_fn(|| {
            let room = pace.room(now, false) > 0;
            pace.sent(now, 1);
            room.then_some(())
        });
        assert_eq!(sent.count(), 2400);
    }

    #[test]
    fn there_may_be_no_limit() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(0));
        pace.sent(now, usize::MAX / 2);
        assert_eq!((pace.room(now, false), pace.rate()), (usize::MAX, None));
    }

    #[test]
    fn text_counts_as_it_is_sent() {
        for text in ["a\n\"b\"\\", "\x1b[1mé\x1b[0m"] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(bytes_of_text(text), json.len() - 2);
        }
    }
}
