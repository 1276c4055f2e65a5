//! How fast output may go to the front ends. Pure: time comes in.
//!
//! `jupyter_server` drops what comes faster than 1,000,000 bytes of text or 1,000 messages a second,
//! on average over three seconds, and with it what matters: errors and results
//! (<https://jupyter-server.readthedocs.io/en/latest/other/full-config.html>, `iopub_data_rate_limit`).
//! So below a server the kernel slows itself down. Other clients take what the sockets take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time within which no more goes than in a second of the rate. The server's own three seconds may
/// begin at any time, and a busy server takes what has come meanwhile at once: with this window it
/// may be two seconds late, and still counts less than its limit.
const WINDOW: Duration = Duration::from_secs(1);

/// What the kernel sends below a server: with the [`WINDOW`], six times as much within five seconds.
const BYTES_PER_SECOND: usize = 500_000;

/// As many messages a second.
const MESSAGES_PER_SECOND: usize = 500;

/// What the parts of a message count for that are not its text.
const OF_MESSAGE: usize = 1000;

/// The least text for which a message is worth while.
const LEAST: usize = 4 << 10;

/// How long the text of a cell is collected before it is sent.
const COLLECT: Duration = Duration::from_millis(20);

/// The same below a server, for each byte that the cell has shown: for each message a page lays out
/// anew all that stands below the cell. JupyterLab 4.6 took 300 ns a byte for it in Chromium 148 (lines
/// of 100 characters; the shorter the lines, the longer).
const COLLECT_PER_SHOWN: Duration = Duration::from_nanos(250);

/// The longest of these times: at the end of it no more waits than one message takes.
const COLLECT_AT_MOST: Duration = Duration::from_millis(500);

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
    /// In bytes within the [`WINDOW`]; none where nothing is dropped.
    rate: Option<usize>,
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
            rate,
            sent: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The bytes a second, if there is a limit.
    pub fn rate(&self) -> Option<usize> {
        self.rate
    }

    /// How many bytes of text the next message may hold; 0 where it has to wait.
    pub fn room(&mut self, now: Instant, is_background: bool) -> usize {
        let Some(rate) = self.rate else {
            return usize::MAX;
        };
        while let Some((time, bytes)) = self.sent.front()
            && now.duration_since(*time) >= WINDOW
        {
            self.bytes -= bytes;
            self.sent.pop_front();
        }
        // However low the rate is, something goes.
        if self.sent.is_empty() {
            return rate.max(LEAST);
        }
        let share = if is_background { BACKGROUND } else { 1.0 };
        let part = |whole: usize| (whole as f64 * share) as usize;
        if self.sent.len() >= part(MESSAGES_PER_SECOND) {
            return 0;
        }
        let room = part(rate).saturating_sub(self.bytes + OF_MESSAGE);
        // Rather later than in crumbs.
        if room < LEAST { 0 } else { room }
    }

    /// How long after a cell's last message the next one may come, where it has shown so many bytes.
    pub fn collect(&self, shown: usize) -> Duration {
        if self.rate.is_none() {
            return COLLECT;
        }
        let shown = u32::try_from(shown).unwrap_or(u32::MAX);
        COLLECT_PER_SHOWN
            .saturating_mul(shown)
            .clamp(COLLECT, COLLECT_AT_MOST)
    }

    /// Notes a message of so many bytes of text.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        if self.rate.is_some() {
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
    fn what_was_sent_counts_for_a_second() {
        let begin = Instant::now();
        let mut pace = Pace::new(Some(300_000));
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
        let mut pace = Pace::new(Some(300_000));
        pace.sent(now, 238_000);
        assert_eq!(pace.room(now, true), 0);
        assert_eq!(pace.room(now, false), 60_000);
    }

    #[test]
    fn the_more_a_cell_has_shown_the_rarer_its_messages_are() {
        let milliseconds = |pace: &Pace, shown| pace.collect(shown).as_millis();
        let pace = Pace::new(Some(1));
        let times =
            [0, 80_000, 400_000, 4_000_000, usize::MAX].map(|shown| milliseconds(&pace, shown));
        assert_eq!(times, [20, 20, 100, 500, 500]);
        assert_eq!(milliseconds(&Pace::new(Some(0)), usize::MAX), 20);
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
        assert_eq!(sent.count(), MESSAGES_PER_SECOND);
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
