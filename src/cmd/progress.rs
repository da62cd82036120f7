//! How far a command is: a line on the terminal while it runs, and one at the end.

use std::time::{Duration, Instant};

use crate::status_line::StatusLine;

pub struct ProgressLine {
    started: Instant,
    line: Option<StatusLine>,
    quiet: bool,
}

impl ProgressLine {
    pub fn start(quiet: bool) -> Self {
        Self { started: Instant::now(), line: Some(StatusLine::new(!quiet)), quiet }
    }

    pub fn show(&mut self, records: u64, bytes: u64) {
        let elapsed = self.started.elapsed();
        if let Some(line) = &mut self.line {
            line.show(|| summary(records, bytes, elapsed));
        }
    }

    pub fn end(&mut self, records: u64, bytes: u64) {
        self.line = None;
        if !self.quiet {
            eprintln!("{}", summary(records, bytes, self.started.elapsed()));
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
