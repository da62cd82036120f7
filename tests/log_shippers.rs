//! rsyslog ships a file into a topic and collects it again, with the configurations of `examples/`, while the broker is
//! killed on the way: nothing may be lost. Where rsyslog is not installed the test says so aloud, and fails where nothing
//! may be skipped (CI=true).

mod broker;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use broker::{Broker, Scratch, skip, wait_for};

const LINES: usize = 30_000;
/// rsyslog and the consumer group take their time to come back after a broker was away.
const SHIPPING: Duration = Duration::from_secs(180);
const PARTITIONS: i32 = 4;

struct Rsyslog(Child);

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both modules are there, and the program reads configurations.
fn rsyslog_is_installed(scratch: &Path) -> bool {
    let probe = scratch.join("probe.conf");
    let modules = "module(load=\"omkafka\") module(load=\"imkafka\")\n*.* /dev/null\n";
    fs::write(&probe, modules).expect("the scratch directory is writable");
    let mut probe_run = Command::new("rsyslogd");
    probe_run.arg("-N1").arg("-f").arg(&probe).stdout(Stdio::null()).stderr(Stdio::null());
    probe_run.status().is_ok_and(|status| status.success())
}

/// One of the examples, at other places.
fn start(scratch: &Path, side: &str, places: &[(&str, &str)]) -> Rsyslog {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/rsyslog-{side}.conf"));
    let mut text = fs::read_to_string(example).expect("the example is there");
    for (from, to) in places {
        text = text.replace(from, to);
    }
    assert!(
        !text.contains("/var/") && !text.contains(":9092"),
        "a place of the example is not known here:\n{text}"
    );
    let work = scratch.join(side);
    fs::create_dir_all(&work).expect("the scratch directory is writable");
    let config = scratch.join(format!("{side}.conf"));
    fs::write(&config, format!("global(workDirectory=\"{}\")\n{text}", work.display())).expect("writable");
    let said = fs::File::create(scratch.join(format!("{side}.err"))).expect("writable");
    let mut command = Command::new("rsyslogd");
    command.arg("-n").arg("-f").arg(&config).arg("-i").arg(scratch.join(format!("{side}.pid")));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn();
    Rsyslog(child.expect("rsyslogd runs"))
}

/// How often each line is in a text, by its number.
fn seen(text: &str) -> BTreeMap<usize, usize> {
    let mut seen = BTreeMap::new();
    for line in text.lines() {
        let number = line.split_once("line ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        *seen.entry(number.unwrap_or_else(|| panic!("a line that nobody wrote: {line}"))).or_default() += 1;
    }
    seen
}

/// Whole lines only: the last one may be on its way to the file.
fn collected(path: &PathBuf) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    text[..end].to_owned()
}

#[test]
fn rsyslog_loses_no_line_when_the_broker_is_killed() {
    let scratch = Scratch::new();
    if !rsyslog_is_installed(scratch.path()) {
        return skip("rsyslog with its Kafka modules is not installed (packages rsyslog, rsyslog-kafka)");
    }
    let mut broker = Broker::start();
    broker.client().create_topic("logs", PARTITIONS);
    let (log, out) = (scratch.path().join("app.log"), scratch.path().join("collected.log"));
    let mut file = fs::File::create(&log).expect("the scratch directory is writable");
    let address = broker.address();
    let text_of = |path: &Path| path.to_str().expect("the paths of the tests are UTF-8").to_owned();
    let (spool, log_text, out_text) = (text_of(scratch.path()), text_of(&log), text_of(&out));
    let places = [
        ("127.0.0.1:9092", address.as_str()),
        ("/var/log/app/*.log", &log_text),
        ("/var/log/collected.log", &out_text),
        ("/var/spool/rsyslog", &spool),
    ];
    let _ship = start(scratch.path(), "ship", &places);
    let _collect = start(scratch.path(), "collect", &places);
    // A third at a time, so that lines are on their way when the broker dies.
    for third in 0..3 {
        let mut text = Vec::new();
        for number in third * LINES / 3..(third + 1) * LINES / 3 {
            writeln!(text, "line {number} of a program that has something to say").expect("memory takes it");
        }
        file.write_all(&text).expect("the scratch directory is writable");
        wait_for("lines come out at the other end", SHIPPING, || {
            (collected(&out).lines().count() > third * LINES / 3).then_some(())
        });
        broker.kill();
        broker.restart();
    }
    let came = wait_for("every line comes out at the other end", SHIPPING, || {
        let came = seen(&collected(&out));
        (came.len() == LINES).then_some(came)
    });
    assert_eq!(came.keys().copied().collect::<Vec<_>>(), (0..LINES).collect::<Vec<_>>());
    let twice: usize = came.values().map(|count| count - 1).sum();
    eprintln!("{LINES} lines, the broker killed three times: none lost, {twice} twice");
}
