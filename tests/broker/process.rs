//! The broker as a process: started, killed, stopped, started again at the same place and port.

use std::{
    fs,
    io::Read,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Client, PATIENCE, Scratch, wait_for};

/// Below the ports that the kernel gives to outgoing connections, so that no client of another test takes one while
/// its broker is down.
const PORTS: std::ops::Range<u16> = 11_000..31_000;

/// How a broker is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) data: PathBuf,
    /// The address that it listens at.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) shards: u16,
    /// A network namespace that it lives in.
    pub(crate) namespace: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Further arguments of `serve`.
    pub(crate) more: Vec<String>,
}

impl Launch {
    pub(crate) fn new(data: &Path) -> Self {
        let launch = Self {
            data: data.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: free_port(),
            shards: 2,
            namespace: None,
            environment: Vec::new(),
            more: Vec::new(),
        };
        // The tests' records are from 2023. A later option wins.
        launch.option("log.retention.ms=-1")
    }

    pub(crate) fn option(mut self, key_value: &str) -> Self {
        self.more.extend(["-o".to_owned(), key_value.to_owned()]);
        self
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_tailrace");
        let mut command = Command::new(if self.namespace.is_some() { "nsenter" } else { binary });
        if let Some(namespace) = &self.namespace {
            // It becomes the broker: the process is the same.
            command.arg(format!("--net=/run/netns/{namespace}")).arg(binary);
        }
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.arg("serve").arg("--data").arg(&self.data);
        command.args(["--listen", &self.address(), "--shards", &self.shards.to_string()]).args(&self.more);
        // For whoever looks into a failure: TEST_LOG=replication=debug,info cargo test ...
        if let Ok(filter) = std::env::var("TEST_LOG") {
            command.args(["--log", &filter]);
        }
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

fn free_port() -> u16 {
    loop {
        let port = next_ports(1);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The first of three in a row, with room for the UDP ports that a demo has above them.
pub(crate) fn free_port_of_three() -> u16 {
    loop {
        let port = next_ports(3);
        let udp = [100, 200, 300].map(|above| port + above);
        let is_free = (port..port + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        if is_free && udp.iter().all(|&port| UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
            return port;
        }
    }
}

/// The first of so many UDP ports in a row.
pub(crate) fn free_udp_ports(count: u16) -> u16 {
    loop {
        let port = next_ports(count);
        if (port..port + count).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
            return port;
        }
    }
}

/// The first of so many numbers in a row that nobody else in this process is given.
fn next_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() as u16;
    let step = start.wrapping_mul(131).wrapping_add(NEXT.fetch_add(count, Ordering::Relaxed));
    PORTS.start + step % (PORTS.end - PORTS.start - count)
}

/// A process and what it says.
struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Running {
    fn start(launch: &Launch) -> Self {
        let mut child = launch.command().spawn().expect("the broker's binary runs");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let said = Arc::new(Mutex::new(String::new()));
        let shared = said.clone();
        let listener = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                let mut said = shared.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, said, listener: Some(listener) }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None` if it still runs after `patience`.
    fn exit_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = std::time::Instant::now() + patience;
        while std::time::Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                if let Some(listener) = self.listener.take() {
                    listener.join().expect("the listener does not panic");
                }
                return Some(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// A broker that serves. Dropped, it is killed, and its directory goes.
pub(crate) struct Broker {
    pub(crate) launch: Launch,
    running: Option<Running>,
    said_before: String,
    _scratch: Option<Scratch>,
}

impl Broker {
    /// Two shards, everything else by default.
    pub(crate) fn start() -> Self {
        Self::start_with(|launch| launch)
    }

    pub(crate) fn start_with(change: impl FnOnce(Launch) -> Launch) -> Self {
        let scratch = Scratch::new();
        let launch = change(Launch::new(&scratch.path().join("data")));
        let mut broker = Self::start_at(launch);
        broker._scratch = Some(scratch);
        broker
    }

    /// On a directory that somebody else takes care of.
    pub(crate) fn start_at(launch: Launch) -> Self {
        let mut broker = Self::at_rest(launch);
        broker.restart();
        broker
    }

    /// Not started yet.
    pub(crate) fn at_rest(launch: Launch) -> Self {
        Self { launch, running: None, said_before: String::new(), _scratch: None }
    }

    pub(crate) fn address(&self) -> String {
        self.launch.address()
    }

    pub(crate) fn data(&self) -> &Path {
        &self.launch.data
    }

    /// The folder of one partition.
    pub(crate) fn folder(&self, topic: &str, partition: i32) -> PathBuf {
        self.data().join(format!("{topic}-{partition}"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address())
    }

    /// Starts it again as it was, and waits until it serves.
    pub(crate) fn restart(&mut self) {
        self.spawn();
        self.wait_until_served();
    }

    pub(crate) fn restart_with_shards(&mut self, shards: u16) {
        self.launch.shards = shards;
        self.restart();
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        self.running = Some(Running::start(&self.launch));
    }

    pub(crate) fn wait_until_served(&mut self) {
        let address = self.address();
        let running = self.running.as_mut().expect("it was started");
        wait_for("the broker serves", PATIENCE, || {
            let ended = running.child.try_wait().expect("the child can be waited for");
            if let Some(status) = ended {
                panic!("the broker ended ({status}) instead of serving:\n{}", running.said());
            }
            Client::try_connect(&address).and_then(|mut client| client.api_versions().ok())
        });
    }

    /// As a crash of the process: SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.kill();
        self.note(&running);
    }

    /// A stop in order.
    pub(crate) fn stop(&mut self) {
        self.terminate();
        let status = self.wait_for_exit(PATIENCE);
        assert!(status.success(), "the stop was not in order ({status}):\n{}", self.said());
    }

    /// SIGTERM, and no more than that.
    pub(crate) fn terminate(&self) {
        send_signal(self.pid(), "TERM");
    }

    /// SIGSTOP: it does nothing, and does not know it.
    pub(crate) fn pause(&self) {
        send_signal(self.pid(), "STOP");
    }

    pub(crate) fn resume(&self) {
        send_signal(self.pid(), "CONT");
    }

    pub(crate) fn wait_for_exit(&mut self, patience: Duration) -> ExitStatus {
        let mut running = self.running.take().expect("it runs");
        let status = running.exit_within(patience);
        if status.is_none() {
            running.kill();
        }
        self.note(&running);
        status.unwrap_or_else(|| panic!("the broker did not end within {patience:?}:\n{}", self.said()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("it runs").child.id()
    }

    /// And neither killed nor stopped since.
    pub(crate) fn was_started(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    /// Memory of the process that is really there.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the broker runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number of kB");
        kib << 10
    }

    /// What it has said on stderr, over all its lives.
    pub(crate) fn said(&self) -> String {
        let now = self.running.as_ref().map(Running::said).unwrap_or_default();
        format!("{}{now}", self.said_before)
    }

    fn note(&mut self, running: &Running) {
        self.said_before.push_str(&running.said());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
            self.note(&running);
        }
        if thread::panicking() {
            eprintln!("--- the broker on {} said:\n{}---", self.address(), self.said_before);
        } else {
            assert!(!self.said_before.contains("panicked at"), "the broker panicked:\n{}", self.said_before);
        }
    }
}

/// To one process, by its name without SIG.
pub(crate) fn send_signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(sent.expect("sh runs").success(), "process {pid} takes no signal");
}

/// What a start that cannot succeed says, with its log kept to errors.
///
/// # Panics
/// If the broker serves, or ends well, or not at all.
pub(crate) fn refusal(launch: Launch) -> String {
    let mut launch = launch;
    launch.more.extend(["--log".to_owned(), "error".to_owned()]);
    let mut running = Running::start(&launch);
    let status = running.exit_within(PATIENCE);
    if status.is_none() {
        running.kill();
    }
    let said = running.said();
    let status = status.unwrap_or_else(|| panic!("the broker runs where it must not:\n{said}"));
    assert!(!status.success(), "the broker ended well where it must not:\n{said}");
    assert!(status.code().is_some(), "the broker did not exit by itself ({status}):\n{said}");
    said
}

/// One sentence: a line that names the program, what is wrong, and what to do.
pub(crate) fn assert_one_sentence(said: &str, names: &[&str]) {
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "not one sentence:\n{said}");
    assert!(lines[0].starts_with("tailrace: "), "{said}");
    for name in names {
        assert!(lines[0].contains(name), "{name:?} is not named: {said}");
    }
}
