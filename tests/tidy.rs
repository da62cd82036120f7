//! The house rules that neither the compiler nor clippy knows, as tests. Each rule reads the sources of the whole
//! workspace and names every line that breaks it; what is allowed in spite of a rule stands in a table with its reason.
//!
//! Comments and the contents of strings do not count, but for unfinished work.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Lines without tests above which a file is two nouns.
const FILE_LINES_MAX: usize = 800;

/// Longer files, each with its reason. A prefix ends in `/`.
const LONG_FILES: &[(&str, &str)] = &[
    (
        "net/src/wire/messages/",
        "written by the generator: one module an API, however many fields Kafka gave it",
    ),
    ("engine/tests/compaction.rs", "one model of a compacted log, and all the stories told of it"),
];

/// Words that one crate alone may say, because it alone knows what is behind them.
const CONFINED: &[Confined] = &[
    Confined { words: &["glommio", "io_uring"], home: &["rt/"] },
    Confined {
        words: &["quinn"],
        home: &["replication/src/transport/quic.rs", "replication/src/transport/quic/"],
    },
];

/// Files and folders that decide and never do: the same inputs give the same answer in every run.
const PURE: &[&str] = &[
    "model/src/",
    "coordinator/src/",
    "engine/src/checkpoint.rs",
    "engine/src/compaction/filter.rs",
    "engine/src/compaction/filter/",
    "engine/src/compaction/key_hash.rs",
    "engine/src/compaction/key_map.rs",
    "engine/src/compaction/plan.rs",
    "engine/src/compaction/throttle.rs",
    "engine/src/compaction/transactions.rs",
    "engine/src/compression.rs",
    "engine/src/epochs.rs",
    "engine/src/index/",
    "engine/src/journal/frame.rs",
    "engine/src/journal/space.rs",
    "engine/src/journal/superblock.rs",
    "engine/src/log/segment.rs",
    "engine/src/log/tail.rs",
    "engine/src/producers.rs",
    "engine/src/producers/",
    "engine/src/properties.rs",
    "engine/src/properties/",
    "engine/src/records.rs",
    "engine/src/records/",
    "engine/src/retention.rs",
    "engine/src/retention/",
    "net/src/metrics/families.rs",
    "net/src/metrics/http.rs",
    "net/src/metrics/samples.rs",
    "net/src/metrics/text.rs",
    "net/src/metrics/text/",
    "net/src/wire/",
    "net/src/scatter.rs",
    "net/src/sessions.rs",
    "net/src/sessions/",
    "replication/src/isr.rs",
    "replication/src/leader.rs",
    "replication/src/transport/names.rs",
    "replication/src/waiters.rs",
    "replication/src/waiters/",
];

const NOT_PURE: &[&str] =
    &["std::fs", "std::net", "Instant::now", "SystemTime", "async", "thread", "rand", "HashMap"];

/// What of the workspace a crate may be built on. Data goes down these rooms once and up once.
const DIRECTION: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("rt", &["model"]),
    ("engine", &["model", "rt"]),
    ("coordinator", &["model"]),
    ("replication", &["model", "rt", "engine"]),
    ("net", &["model", "rt", "engine", "replication", "coordinator"]),
    ("quorum", &["model", "rt", "engine", "replication", "coordinator"]),
    ("sim", &["model", "rt", "engine", "replication", "coordinator", "quorum", "net"]),
    ("tailrace", &["model", "rt", "engine", "replication", "coordinator", "quorum", "net"]),
];

/// Within the engine only the real disk knows a ring; the rest may hold pages and wait for a condition.
const ENGINE_ROOMS_OF_RT: &[&str] = &["rt::pages", "rt::notify"];
const ENGINE_EDGE: &str = "engine/src/disk/ring.rs";

/// Where a test may wait for the real clock.
const WAITING_TESTS: &[(&str, &str)] = &[
    ("tests/", "the broker is another process, which knows no virtual clock"),
    ("rt/tests/", "the real executor and the kernel under it are what is tested"),
    ("net/src/connection/tests.rs", "clients on real sockets"),
];

struct Confined {
    words: &'static [&'static str],
    home: &'static [&'static str],
}

/// One file of Rust, as it is and without comments and the contents of strings. Lines keep their numbers.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let code = code_of(&text);
        Self { path, text, code }
    }

    fn is_within(&self, places: &[&str]) -> bool {
        places.iter().any(|p| self.path == *p || (p.ends_with('/') && self.path.starts_with(p)))
    }

    /// Rules, without the tests that stand beside them.
    fn is_test(&self) -> bool {
        self.path.contains("tests/") || self.path.ends_with("/tests.rs")
    }

    fn lines_without_tests(&self) -> usize {
        let tests = self.code.lines().position(|line| line == "mod tests {");
        tests.map_or(self.code.lines().count(), |at| at.saturating_sub(1))
    }

    /// `path:line` of each line of code with this word.
    fn places_of(&self, word: &str) -> Vec<String> {
        let hit = |(number, line): (usize, &str)| {
            has_word(line, word).then(|| format!("{}:{}: `{word}`", self.path, number + 1))
        };
        self.code.lines().enumerate().filter_map(hit).collect()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = vec![];
    for top in [
        "src",
        "tests",
        "benches",
        "model",
        "rt",
        "engine",
        "coordinator",
        "replication",
        "net",
        "sim",
        "fuzz",
    ] {
        gather(&root().join(top), &mut found);
    }
    assert!(found.len() > 100, "only {} sources were found", found.len());
    found
}

fn gather(dir: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("a folder can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" {
            gather(&path, found);
        } else if name.ends_with(".rs") {
            // A file may go while others work here.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.push(Source::new(path, text));
        }
    }
}

/// Blanks out comments, strings and characters; line breaks stay.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let until = skipped_until(bytes, at);
        if until > at {
            code.extend(text[at..until].chars().filter(|c| *c == '\n'));
            code.push(' ');
            at = until;
        } else {
            let c = text[at..].chars().next().expect("within the text");
            code.push(c);
            at += c.len_utf8();
        }
    }
    code
}

/// The end of the comment, string or character that begins at `at`; `at` if none does.
fn skipped_until(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let before = at.checked_sub(1).map(|i| bytes[i]);
    let after_word = before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return rest.windows(2).position(|w| w == b"*/").map_or(bytes.len(), |end| at + end + 2);
    }
    if !after_word && rest[0] == b'r' {
        let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            let body = 2 + hashes;
            let close = rest[body..].windows(end.len()).position(|w| w == end);
            return close.map_or(bytes.len(), |n| at + body + n + end.len());
        }
    }
    match rest[0] {
        b'"' => at + 1 + quoted_bytes(&rest[1..], b'"'),
        b'\'' => at + character_bytes(rest),
        _ => at,
    }
}

/// Bytes up to and with the closing quote.
fn quoted_bytes(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of the character literal at hand; 0 for a lifetime.
fn character_bytes(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', ..] => 1 + quoted_bytes(&rest[1..], b'\''),
        [_, _, b'\'', ..] => 3,
        [_, first, ..] if *first >= 0x80 => 1 + quoted_bytes(&rest[1..], b'\''),
        _ => 0,
    }
}

/// `word` with nothing of a name on either side. A path like `std::fs` is a word.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

#[track_caller]
fn assert_clean(rule: &str, complaints: &[String]) {
    let mut text = String::new();
    complaints.iter().for_each(|c| writeln!(text, "  {c}").expect("to memory"));
    assert!(complaints.is_empty(), "{rule}:\n{text}");
}

#[test]
fn one_crate_knows_the_runtime_and_the_ring() {
    let mut complaints = vec![];
    for source in sources() {
        for confined in CONFINED.iter().filter(|c| !source.is_within(c.home)) {
            complaints.extend(confined.words.iter().flat_map(|word| source.places_of(word)));
        }
    }
    assert_clean(
        "these words belong to one crate, so that replacing what they name is one crate's work",
        &complaints,
    );
}

#[test]
fn pure_rooms_have_no_clock_no_io_and_no_chance() {
    let sources = sources();
    let mut complaints = vec![];
    for source in sources.iter().filter(|s| s.is_within(PURE) && !s.is_test()) {
        complaints.extend(NOT_PURE.iter().flat_map(|word| source.places_of(word)));
    }
    assert_clean("a pure room takes time and randomness as arguments, and waits for nothing", &complaints);
}

#[test]
fn the_list_of_pure_rooms_names_what_is_there() {
    let sources = sources();
    let optional = [
        "net/src/scatter.rs",
        "net/src/sessions",
        "replication/src/",
        "engine/src/producers/",
        "engine/src/records/",
    ];
    let missing: Vec<String> = PURE
        .iter()
        .filter(|place| !sources.iter().any(|s| s.is_within(&[**place])))
        .filter(|place| !optional.iter().any(|o| place.starts_with(o)))
        .map(|place| (*place).to_owned())
        .collect();
    assert_clean("these pure rooms have moved", &missing);
}

#[test]
fn the_engine_reaches_the_ring_through_one_file() {
    let mut complaints = vec![];
    for source in sources().iter().filter(|s| s.path.starts_with("engine/src/") && s.path != ENGINE_EDGE) {
        for (number, line) in source.code.lines().enumerate() {
            let Some(at) = line.find("rt::").filter(|_| has_word(line, "rt")) else { continue };
            let room = ENGINE_ROOMS_OF_RT.iter().any(|room| line[at..].starts_with(room));
            let list = line[at..].starts_with("rt::{") && {
                let inside = line[at + 5..].split('}').next().unwrap_or("");
                let names = inside.split(',').map(|n| n.trim().split("::").next().unwrap_or("").trim());
                inside.is_empty() || names.filter(|n| !n.is_empty()).all(|n| n == "pages" || n == "notify")
            };
            if !room && !list {
                complaints.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_clean("the engine may hold pages and wait, and nothing else of the runtime", &complaints);
}

#[test]
fn nothing_points_up() {
    let allowed: BTreeMap<&str, &[&str]> = DIRECTION.iter().copied().collect();
    let mut complaints = vec![];
    for (name, below) in &allowed {
        let folder = if *name == "tailrace" { root() } else { root().join(name) };
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a member has a manifest");
        for dependency in dependencies(&manifest) {
            if allowed.contains_key(dependency.as_str()) && !below.contains(&dependency.as_str()) {
                complaints.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert_clean(
        "model <- rt <- engine <- replication <- net <- src, and coordinator beside them",
        &complaints,
    );
}

/// Names in every table of dependencies of a manifest, the workspace's list of versions left out.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = vec![];
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies") && !table.starts_with("workspace");
        } else if inside && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next().filter(|n| !n.is_empty()).map(str::to_owned));
        }
    }
    names
}

#[test]
fn a_file_is_one_noun() {
    let mut complaints = vec![];
    for source in sources() {
        let lines = source.lines_without_tests();
        let excused = LONG_FILES.iter().any(|(place, _)| source.is_within(&[place]));
        if lines > FILE_LINES_MAX && !excused {
            complaints.push(format!("{}: {lines} lines without tests", source.path));
        }
    }
    assert_clean("look for the second noun, or give the reason in LONG_FILES", &complaints);
}

#[test]
fn nothing_is_left_for_later() {
    // Written so that this file does not name what it looks for.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut complaints = vec![];
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            complaints.extend(
                words
                    .iter()
                    .filter(|w| has_word(line, w))
                    .map(|w| format!("{}:{}: {w}", source.path, number + 1)),
            );
        }
    }
    assert_clean("a limit is written down as a limit, work to do is not kept in the code", &complaints);
}

#[test]
fn tests_do_not_sleep() {
    let mut complaints = vec![];
    for source in sources() {
        if source.is_within(&WAITING_TESTS.iter().map(|(place, _)| *place).collect::<Vec<_>>()) {
            continue;
        }
        let tests_from = if source.is_test() { 0 } else { source.lines_without_tests() };
        let sleeps = ["thread::sleep", "sleep_ms"];
        for (number, line) in source.code.lines().enumerate().skip(tests_from) {
            if sleeps.iter().any(|s| has_word(line, s)) {
                complaints.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    assert_clean("advance a clock, or wait for the condition itself", &complaints);
}

#[test]
fn every_fuzz_target_has_a_corpus_and_a_place_in_the_smoke() {
    let fuzz = root().join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("fuzz has a manifest");
    let targets: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .collect();
    assert!(targets.len() >= 5, "{targets:?}");
    let smoke = fs::read_to_string(root().join("sim/tests/fuzz_smoke.rs")).expect("the smoke is there");
    let mut complaints = vec![];
    for target in targets {
        let corpus = fs::read_dir(fuzz.join("corpus").join(target)).map_or(0, |entries| entries.count());
        if corpus == 0 {
            complaints.push(format!("{target} has no corpus"));
        }
        if !smoke.contains(&format!("fn {target}()")) {
            complaints.push(format!("{target} is not in sim/tests/fuzz_smoke.rs"));
        }
    }
    assert_clean("a parser that is fuzzed only by hand is not fuzzed", &complaints);
}

/// The linter's own eyes.
mod eyes {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        fn check(text: &str, expected: &str) {
            assert_eq!(code_of(text).split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
        }
        check("let a = 1; // async\nlet b;", "let a = 1; let b;");
        check("f(\"async \\\" async\"); g()", "f( ); g()");
        check("f(r#\"async \" async\"#); g()", "f( ); g()");
        check("/* async */ fn f<'a>(c: &'a str) { '\\'' }", "fn f<'a>(c: &'a str) { }");
        check("let c = 'x'; let d = '\"'; async", "let c = ; let d = ; async");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = Source::new("a.rs".into(), "/* one\ntwo */\n\"three\nfour\"\nasync fn f() {}\n".into());
        assert_eq!(source.places_of("async"), ["a.rs:5: `async`"]);
    }

    #[test]
    fn a_word_is_not_part_of_a_name() {
        assert!(has_word("use std::fs;", "std::fs"));
        assert!(has_word("use std::fs::File;", "std::fs"));
        assert!(!has_word("asynchronous", "async"));
        assert!(!has_word("fn f_async() {}", "async"));
    }

    #[test]
    fn a_manifest_tells_its_dependencies() {
        let manifest = "[workspace.dependencies]\nnet = \"1\"\n[dependencies]\n# why\nmodel.workspace = true\n\
                        rt = { path = \"x\" }\n[lints]\nworkspace = true\n[dev-dependencies]\nengine.workspace = true\n";
        assert_eq!(dependencies(manifest), ["model", "rt", "engine"]);
    }
}
