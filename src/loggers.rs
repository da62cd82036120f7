//! What is logged, and how that is altered while the process runs.
//!
//! ```text
//!   --log, or RUST_LOG, or "info"   the filter of the start: holds where nobody set a level
//!   levels set since                one a name, the crate or module that logs; "root" for everything else
//! ```
//! The names shown are the crates that a broker is made of, and whatever else was given a level.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use model::ErrorCode;
use net::{LogLevel, Loggers};
use tracing_subscriber::EnvFilter;

const ROOT: &str = "root";
const CRATES: [&str; 6] = ["coordinator", "engine", "net", "replication", "rt", "tailrace"];
/// Names with a level of their own.
const NAMES_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 100;

type Levels = BTreeMap<String, LogLevel>;
type Install = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

pub struct ProcessLoggers {
    start: String,
    set: Mutex<Levels>,
    install: Install,
}

impl ProcessLoggers {
    /// `start` is what the process logs now; `install` puts another filter in its place.
    pub fn new(start: &str, install: Install) -> Arc<Self> {
        Arc::new(Self { start: start.to_owned(), set: Mutex::default(), install })
    }

    fn set(&self) -> MutexGuard<'_, Levels> {
        self.set.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn filter(&self, set: &Levels) -> Result<EnvFilter, String> {
        let start: Vec<&str> = self.start.split(',').map(str::trim).filter(|d| !d.is_empty()).collect();
        let mut directives = start.join(",");
        for (name, level) in set {
            let level = directive(*level);
            let more = if name == ROOT { level.to_owned() } else { format!("{name}={level}") };
            directives.push(',');
            directives.push_str(&more);
        }
        EnvFilter::try_new(directives).map_err(|error| error.to_string())
    }
}

impl Loggers for ProcessLoggers {
    fn levels(&self) -> Vec<(String, LogLevel)> {
        let set = self.set();
        let mut names: Vec<&str> = CRATES.into_iter().chain([ROOT]).collect();
        names.extend(set.keys().map(String::as_str));
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| (name.to_owned(), level_of(name, &set, &self.start))).collect()
    }

    fn change(
        &self,
        changes: &[(String, Option<LogLevel>)],
        validate_only: bool,
    ) -> Result<(), (ErrorCode, String)> {
        let mut set = self.set();
        let mut after = set.clone();
        for (name, level) in changes {
            if !is_name(name) {
                let sentence = format!("There is no logger '{}'.", name.escape_debug());
                return Err((ErrorCode::InvalidConfig, sentence));
            }
            match level {
                Some(level) => after.insert(name.clone(), *level),
                None if name == ROOT => {
                    let sentence = "The level of the root logger cannot be removed; set another.";
                    return Err((ErrorCode::InvalidRequest, sentence.to_owned()));
                }
                None => after.remove(name),
            };
        }
        if after.len() > NAMES_MAX {
            let sentence = format!("{NAMES_MAX} loggers have levels, which is the most there may be.");
            return Err((ErrorCode::PolicyViolation, sentence));
        }
        let filter = self.filter(&after).map_err(|sentence| (ErrorCode::InvalidConfig, sentence))?;
        if !validate_only {
            (self.install)(filter).map_err(|sentence| (ErrorCode::UnknownServerError, sentence))?;
            *set = after;
        }
        Ok(())
    }
}

/// One of the crates, a module in one of them, or the root.
fn is_name(name: &str) -> bool {
    let module = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix("::").is_some_and(|path| {
                let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
                path.split("::").all(|part| !part.is_empty() && part.chars().all(legal))
            })
    };
    let of_crate = |known: &str| name.strip_prefix(known).is_some_and(module);
    name.len() <= NAME_BYTES_MAX && (name == ROOT || CRATES.into_iter().any(of_crate))
}

/// The level of the longest name that `name` lies in: set since, or else of the start.
fn level_of(name: &str, set: &Levels, start: &str) -> LogLevel {
    let of_start = start.split(',').filter_map(read).collect::<BTreeMap<_, _>>();
    let mut outer = Some(name);
    while let Some(target) = outer.filter(|&target| target != ROOT) {
        if let Some(level) = set.get(target).or_else(|| of_start.get(target)) {
            return *level;
        }
        outer = target.rsplit_once("::").map(|(outer, _)| outer);
    }
    set.get(ROOT).or_else(|| of_start.get(ROOT)).copied().unwrap_or(LogLevel::Error)
}

/// One directive of a filter. Those that look at spans or fields say nothing about a whole target.
fn read(directive: &str) -> Option<(String, LogLevel)> {
    let directive = directive.trim();
    if directive.is_empty() || directive.contains('[') {
        return None;
    }
    match directive.split_once('=') {
        Some((target, level)) => Some((target.to_owned(), level_named(level)?)),
        None => match level_named(directive) {
            Some(level) => Some((ROOT.to_owned(), level)),
            None => Some((directive.to_owned(), LogLevel::Trace)),
        },
    }
}

fn level_named(text: &str) -> Option<LogLevel> {
    if text.eq_ignore_ascii_case("off") {
        return Some(LogLevel::Fatal);
    }
    LogLevel::from_name(&text.to_ascii_uppercase()).filter(|&level| level != LogLevel::Fatal)
}

/// Nothing here is fatal and only logged, so of that there is nothing.
fn directive(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
        LogLevel::Fatal => "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LogLevel::*;

    type Installed = Arc<Mutex<Vec<String>>>;

    fn loggers(start: &str) -> (Arc<ProcessLoggers>, Installed) {
        let installed = Installed::default();
        let seen = installed.clone();
        let install = move |filter: EnvFilter| {
            seen.lock().unwrap().push(filter.to_string());
            Ok(())
        };
        (ProcessLoggers::new(start, Box::new(install)), installed)
    }

    fn level(loggers: &ProcessLoggers, name: &str) -> Option<LogLevel> {
        loggers.levels().into_iter().find(|(known, _)| known == name).map(|(_, level)| level)
    }

    fn set(loggers: &ProcessLoggers, name: &str, level: Option<LogLevel>) -> Result<(), ErrorCode> {
        loggers.change(&[(name.to_owned(), level)], false).map_err(|(code, _)| code)
    }

    #[test]
    fn levels_are_those_of_the_start_until_they_are_set() {
        let (loggers, installed) = loggers("warn, net=debug,rt[span]=trace,engine=off");
        let levels = |names: [&str; 4]| names.map(|name| level(&loggers, name).unwrap());
        assert_eq!(levels(["root", "net", "rt", "engine"]), [Warn, Debug, Warn, Fatal]);
        assert_eq!(set(&loggers, "net::connection", Some(Trace)), Ok(()));
        assert_eq!(set(&loggers, "root", Some(Info)), Ok(()));
        assert_eq!(levels(["root", "net", "rt", "net::connection"]), [Info, Debug, Info, Trace]);
        let last = installed.lock().unwrap().last().unwrap().clone();
        assert!(last.contains("net::connection=trace") && last.contains("info"), "{last}");
        assert_eq!(set(&loggers, "net::connection", None), Ok(()));
        assert_eq!(level(&loggers, "net::connection"), Option::None);
    }

    #[test]
    fn what_does_not_log_has_no_level() {
        let (loggers, installed) = loggers("info");
        for name in ["", "kafka", "network", "net::", "net::a b", "net=info,rt", "root::x"] {
            assert_eq!(set(&loggers, name, Some(Warn)), Err(ErrorCode::InvalidConfig), "{name}");
        }
        assert_eq!(set(&loggers, "root", None), Err(ErrorCode::InvalidRequest));
        assert_eq!(loggers.change(&[("net".to_owned(), Some(Warn))], true), Ok(()));
        assert!(installed.lock().unwrap().is_empty(), "validating installs nothing");
        let many: Vec<_> = (0..=NAMES_MAX).map(|n| (format!("net::m{n}"), Some(Warn))).collect();
        assert_eq!(loggers.change(&many, false).unwrap_err().0, ErrorCode::PolicyViolation);
    }
}
