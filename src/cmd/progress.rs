//! How far a command is: a line on the terminal while it runs, and one at the end.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_millis(200);

pub struct ProgressLine {
    started: Instant,
    shown_at: Instant,
    on_terminal: bool,
    quiet: bool,
}

impl ProgressLine {
    pub fn start(quiet: bool) -> Self {
        let now = Instant::now();
        Self { started: now, shown_at: now, on_terminal: !quiet && stderr().is_terminal(), quiet }
    }

    /// Shows where things are, if somebody looks and has not been told just now.
    pub fn show(&mut self, records: u64, bytes: u64) {
        if self.on_terminal && self.shown_at.elapsed() >= INTERVAL {
            self.shown_at = Instant::now();
            let _ = write!(stderr(), "\r\x1b[K{}", summary(records, bytes, self.started.elapsed()));
        }
    }

    pub fn end(&self, records: u64, bytes: u64) {
        let clear = if self.on_terminal { "\r\x1b[K" } else { "" };
        if !self.quiet {
            let _ = writeln!(stderr(), "{clear}{}", summary(records, bytes, self.started.elapsed()));
        }
    }
}

fn summary(records: u64, bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-6);
    let megabytes = bytes as f64 / 1e6;
    format!(
        "{records} records, {megabytes:.1} MB in {seconds:.2} s: {:.1} MB/s, {:.0} records/s",
        megabytes / seconds,
        records as f64 / seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_records_and_megabytes_a_second() {
        let text = summary(1000, 5_000_000, Duration::from_millis(500));
        assert_eq!(text, "1000 records, 5.0 MB in 0.50 s: 10.0 MB/s, 2000 records/s");
    }
}
