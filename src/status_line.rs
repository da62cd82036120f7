//! One line on the terminal that says how far something is, for those who wait. Without a terminal there is none.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_millis(200);
/// To the start of the line, and nothing behind it.
const CLEAR: &str = "\r\x1b[K";

pub struct StatusLine {
    shown: Instant,
    on_terminal: bool,
}

impl StatusLine {
    pub fn new(wanted: bool) -> Self {
        Self { shown: Instant::now(), on_terminal: wanted && stderr().is_terminal() }
    }

    /// Replaces the line, if somebody looks and has not been told just now.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        if self.on_terminal && self.shown.elapsed() >= INTERVAL {
            self.shown = Instant::now();
            let _ = write!(stderr(), "{CLEAR}{}", text());
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if self.on_terminal {
            let _ = write!(stderr(), "{CLEAR}");
        }
    }
}
