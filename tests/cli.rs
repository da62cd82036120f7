//! The command line as people meet it, as far as no broker is needed: help that teaches, errors that say what to do in
//! one sentence, exit codes that scripts can trust.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

const DONE: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;

fn tailrace(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
    command.args(args).env_remove("RUST_LOG").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.output().expect("the binary runs")
}

/// The last line of stderr, and the exit code.
fn failure(args: &[&str]) -> (i32, String) {
    let output = tailrace(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("no signal"), stderr.lines().last().unwrap_or_default().to_owned())
}

fn help(args: &[&str]) -> String {
    let output = tailrace(args);
    assert_eq!(output.status.code(), Some(DONE), "{args:?}");
    String::from_utf8(output.stdout).expect("help is text")
}

/// A new directory of its own for each call.
fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("cli-{name}-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a scratch directory");
    path
}

#[test]
fn help_shows_how_to_begin() {
    let text = help(&["--help"]);
    for expected in
        ["serve", "topic", "produce", "consume", "Examples:", "tailrace topic create logs", "Exit codes:"]
    {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

#[test]
fn every_command_explains_itself() {
    fn check(args: &[&str], expected: &str) {
        let text = help(args);
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    check(&["serve", "--help"], "-o num.partitions=4");
    check(&["topic", "create", "--help"], "--if-not-exists");
    check(&["topic", "alter", "--help"], "--unset");
    check(&["produce", "--help"], "seq 1000 | tailrace produce logs");
    check(&["consume", "--help"], "%h headers");
    check(&["--version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    fn check(args: &[&str]) {
        assert_eq!(tailrace(args).status.code(), Some(USAGE), "{args:?}");
    }
    check(&["no-such-command"]);
    check(&["serve", "--shards", "0"]);
    check(&["serve", "-o", "no-equals-sign"]);
    check(&["topic"]);
    check(&["topic", "alter", "logs"]);
    check(&["topic", "create", "logs", "-p", "0"]);
    check(&["consume", "logs", "-o", "nowhere"]);
    check(&["consume", "logs", "-f", "%q"]);
    check(&["produce", "logs", "-z", "zip"]);
}

#[test]
fn a_wrong_configuration_names_the_key() {
    let (code, line) = failure(&["serve", "-o", "num.partitions=many"]);
    assert_eq!(code, USAGE);
    assert!(line.contains("num.partitions"), "{line}");
    let (code, line) = failure(&["serve", "--config", "no-such-file.properties"]);
    assert_eq!(code, USAGE);
    assert!(line.starts_with("tailrace: cannot read no-such-file.properties"), "{line}");
    let (code, line) = failure(&["serve", "-o", "listeners=SSL://127.0.0.1:0"]);
    assert_eq!(code, USAGE);
    assert!(line.contains("not served yet; use PLAINTEXT"), "{line}");
}

#[test]
fn a_foreign_directory_is_left_alone() {
    let dir = scratch("foreign");
    fs::write(dir.join("letters.txt"), "dear").expect("written");
    let (code, line) =
        failure(&["serve", "--data", dir.to_str().expect("a plain path"), "--listen", "127.0.0.1:0"]);
    assert_eq!(code, FAILED);
    assert!(line.contains("holds letters.txt and no meta.properties"), "{line}");
    let names: Vec<_> =
        fs::read_dir(&dir).expect("listed").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(names, ["letters.txt"]);
}

#[test]
fn a_directory_of_another_node_is_refused() {
    let dir = scratch("other-node");
    fs::write(dir.join("meta.properties"), "version=1\nnode.id=7\ncluster.id=x\n").expect("written");
    let (code, line) =
        failure(&["serve", "--data", dir.to_str().expect("a plain path"), "--listen", "127.0.0.1:0"]);
    assert_eq!(code, FAILED);
    assert!(line.contains("belongs to node 7 and this is node 1; start with -o node.id=7"), "{line}");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("bound").to_string();
    let dir = scratch("port");
    let (code, line) =
        failure(&["serve", "--data", dir.to_str().expect("a plain path"), "--listen", &address]);
    assert_eq!(code, FAILED);
    let expected = format!(
        "tailrace: {address} is in use by another process; stop it, or choose another address with --listen"
    );
    assert_eq!(line, expected);
    assert_eq!(
        fs::read_dir(&dir).expect("listed").count(),
        0,
        "nothing is written before the port is known to be free"
    );
}

#[test]
fn the_tools_say_that_no_broker_answers() {
    for args in [&["topic", "list"][..], &["produce", "logs"], &["consume", "logs"]] {
        let (code, line) = failure(&[args, &["-b", "127.0.0.1:1"]].concat());
        assert_eq!(code, FAILED, "{args:?}");
        assert!(line.contains("no broker answers at 127.0.0.1:1 (connection refused)"), "{line}");
        assert!(line.contains("start one with 'tailrace serve'"), "{line}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, line) = failure(&["produce", "logs", "-l", "no-such-file.log"]);
    assert_eq!(code, FAILED);
    assert!(line.starts_with("tailrace: cannot read no-such-file.log"), "{line}");
}
