//! `tailrace demo`: three brokers with one command, which end with it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use crate::{
    broker::{
        PATIENCE, Scratch,
        process::{free_port_of_three, send_signal},
        wait_for,
    },
    cluster::{members, partitions, try_client, try_create_topic},
};

/// A demo that serves, and the lines it says.
struct Demo {
    process: Child,
    lines: Receiver<String>,
    /// Addresses and processes of its brokers.
    brokers: Vec<(String, u32)>,
}

impl Demo {
    fn start(dir: &Path, port: Option<u16>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
        command.arg("demo").arg("--dir").arg(dir).env_remove("RUST_LOG");
        port.map(|port| command.args(["--port", &port.to_string()]));
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let out = BufReader::new(process.stdout.take().expect("it is piped"));
        let (to, lines) = channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        let mut demo = Self { process, lines, brokers: Vec::new() };
        loop {
            let line = demo.next_line();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["broker", _, address, "process", pid] => {
                    demo.brokers.push((address.to_owned(), pid.parse().expect("a process id")));
                }
                ["Ctrl-C", ..] => return demo,
                _ => {}
            }
        }
    }

    #[track_caller]
    fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the demo says something")
    }

    fn wait(&mut self) -> ExitStatus {
        wait_for("the demo ends", PATIENCE, || self.process.try_wait().expect("a child"))
    }

    fn assert_no_broker_is_left(&self) {
        for (_, pid) in &self.brokers {
            wait_for("the broker is gone", PATIENCE, || {
                (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
            });
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_demo_lives_on_without_one_of_its_brokers_and_continues() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("demo");
    let mut demo = Demo::start(&dir, Some(free_port_of_three()));
    assert_eq!(demo.brokers.len(), 3);
    let mut client = try_client(&demo.brokers[0].0).expect("it serves");
    assert_eq!(members(&mut client).expect("it answers"), [1, 2, 3]);
    client.create_topic("kept", 1);
    send_signal(demo.brokers[1].1, "KILL");
    let line = demo.next_line();
    assert!(line.contains("was killed by signal 9; brokers 1 and 3 go on"), "{line}");
    let address = &demo.brokers[0].0;
    wait_for("two make a topic", PATIENCE, || {
        try_create_topic(&mut try_client(address)?, "made-by-two", 1, -1)
    });
    send_signal(demo.process.id(), "TERM");
    assert!(demo.wait().success());
    demo.assert_no_broker_is_left();

    let mut again = Demo::start(&dir, None);
    let mut client = try_client(&again.brokers[1].0).expect("it serves");
    for topic in ["kept", "made-by-two"] {
        assert_eq!(partitions(&mut client, topic).expect("it answers").len(), 1, "{topic}");
    }
    // Killed, it cannot stop anybody; the kernel does.
    again.process.kill().expect("a child");
    again.wait();
    again.assert_no_broker_is_left();
}
