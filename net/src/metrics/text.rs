//! Prometheus' text format, version 0.0.4: a family's HELP and TYPE, then its series, each on a line.

use std::fmt::Write;

use model::figures::Distribution;

use super::{
    families::{Facts, Kind, Unit},
    samples::{Label, Labels, Value},
};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Default, Debug)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    pub(super) fn head(&mut self, facts: &Facts) {
        let kind = match facts.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.0.push_str("# HELP ");
        self.0.push_str(facts.name);
        self.0.push(' ');
        escape(&mut self.0, facts.help, false);
        self.put(format_args!("\n# TYPE {} {kind}\n", facts.name));
    }

    pub(super) fn series(&mut self, facts: &Facts, labels: &Labels, value: &Value) {
        match value {
            Value::Whole(value) => {
                self.name(facts, "", labels, None);
                self.value(*value, facts.unit);
            }
            Value::Spread(spread) => self.histogram(facts, labels, spread),
        }
    }

    /// Buckets count what is at most as large as their bound, so each counts those before it too.
    fn histogram(&mut self, facts: &Facts, labels: &Labels, spread: &Distribution) {
        let mut below = 0;
        for (i, count) in spread.counts.iter().enumerate() {
            below += count;
            let bound = spread.bounds.get(i).map_or_else(|| "+Inf".to_owned(), |&b| number(b, facts.unit));
            self.name(facts, "_bucket", labels, Some(&bound));
            self.value(below, Unit::One);
        }
        self.name(facts, "_sum", labels, None);
        self.value(spread.sum, facts.unit);
        self.name(facts, "_count", labels, None);
        self.value(below, Unit::One);
    }

    fn name(&mut self, facts: &Facts, suffix: &str, labels: &Labels, bound: Option<&str>) {
        self.0.push_str(facts.name);
        self.0.push_str(suffix);
        let mut before = '{';
        for (name, value) in facts.labels.iter().zip(labels) {
            self.put(format_args!("{before}{name}=\""));
            match value {
                Label::Static(text) => escape(&mut self.0, text, true),
                Label::Text(text) => escape(&mut self.0, text, true),
                Label::Number(number) => self.put(format_args!("{number}")),
            }
            self.0.push('"');
            before = ',';
        }
        if let Some(bound) = bound {
            self.put(format_args!("{before}le=\"{bound}\""));
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
        self.0.push(' ');
    }

    fn value(&mut self, value: u64, unit: Unit) {
        match unit {
            Unit::One => self.put(format_args!("{value}\n")),
            Unit::Nanos => {
                let seconds = number(value, unit);
                self.put(format_args!("{seconds}\n"));
            }
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("memory takes all");
    }
}

/// Exact: a sum in floating point would lose what is added to it after some weeks.
fn number(value: u64, unit: Unit) -> String {
    match unit {
        Unit::One => value.to_string(),
        Unit::Nanos => {
            let text = format!("{}.{:09}", value / 1_000_000_000, value % 1_000_000_000);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// In a label's value a quote would end it; in HELP it is a character as any other.
fn escape(out: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
