//! A network of its own for a cluster: each broker in a namespace with an address, all on one bridge, clients on the
//! machine itself. What is cut here is cut for the kernel; no broker is asked for its help.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
    process::Command,
    sync::Once,
};

use crate::broker::{PATIENCE, process::send_signal, scratch::run, skip, wait_for};

/// So many clusters may be tested at once on one machine.
const PLACES: u8 = 16;
/// Within a subnet, brokers have their ids and the machine this.
const MACHINE: u8 = 254;
const BROKERS_MAX: i32 = 9;
const NFT: &str = "nft";

/// Dropped, it is gone, and with it who lives in it.
pub(crate) struct Network {
    place: Place,
    count: i32,
}

/// Subnet 10.89.n.0/24, and all names with n in them. Who holds the lock owns them; the kernel takes it back from the dead.
struct Place {
    number: u8,
    _lock: UnixListener,
}

impl Place {
    fn try_take(number: u8) -> Option<Self> {
        let name = format!("tailrace-test-network-{number}");
        let name = SocketAddr::from_abstract_name(name).expect("a short name");
        UnixListener::bind_addr(&name).ok().map(|lock| Self { number, _lock: lock })
    }

    fn bridge(&self) -> String {
        format!("trbr{}", self.number)
    }

    fn cable(&self, id: i32) -> String {
        format!("trv{}-{id}", self.number)
    }

    fn namespace(&self, id: i32) -> String {
        format!("tr{}-{id}", self.number)
    }

    fn address(&self, host: u8) -> String {
        format!("10.89.{}.{host}", self.number)
    }

    /// Also what a test left that was killed.
    fn clear(&self) {
        for id in 1..=BROKERS_MAX {
            let namespace = self.namespace(id);
            if Path::new("/run/netns").join(&namespace).exists() {
                let pids = Command::new("ip").args(["netns", "pids", &namespace]).output();
                let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
                let pids = pids.unwrap_or_default();
                pids.lines()
                    .filter_map(|pid| pid.trim().parse().ok())
                    .for_each(|pid| send_signal(pid, "KILL"));
                complain(run("ip", &["netns", "del", &namespace]));
            }
            // Goes with its namespace, but later than the command returns.
            if interface_is_there(&self.cable(id)) {
                let _ = run("ip", &["link", "del", &self.cable(id)]);
            }
        }
        if interface_is_there(&self.bridge()) {
            complain(run("ip", &["link", "del", &self.bridge()]));
        }
    }
}

fn interface_is_there(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

fn complain(outcome: Result<(), String>) {
    if let Err(why) = outcome {
        eprintln!("something of a test's network stays: {why}");
    }
}

/// Once a process: all that nobody owns any more.
fn clear_leftovers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| (0..PLACES).filter_map(Place::try_take).for_each(|place| place.clear()));
}

impl Network {
    /// For brokers 1 to `count`; says aloud that there is none where the machine does not allow it.
    pub(crate) fn new(count: i32) -> Option<Self> {
        Self::try_new(count).map_err(|why| skip(&why)).ok()
    }

    /// # Errors
    /// A sentence that says why there is none.
    pub(crate) fn try_new(count: i32) -> Result<Self, String> {
        assert!((1..=BROKERS_MAX).contains(&count));
        clear_leftovers();
        let place = (0..PLACES).find_map(Place::try_take).ok_or("all subnets are taken by other tests")?;
        place.clear();
        let network = Self { place, count };
        network.build().map_err(|why| format!("no network namespaces can be made here ({why})"))?;
        Ok(network)
    }

    fn build(&self) -> Result<(), String> {
        let ip = |line: &str| run("ip", &line.split(' ').collect::<Vec<_>>());
        let (place, bridge) = (&self.place, self.place.bridge());
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("addr add {}/24 dev {bridge}", place.address(MACHINE)))?;
        ip(&format!("link set {bridge} up"))?;
        for id in 1..=self.count {
            let (cable, namespace) = (place.cable(id), place.namespace(id));
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("link add {cable} type veth peer name eth0 netns {namespace}"))?;
            ip(&format!("link set {cable} master {bridge} up"))?;
            ip(&format!("-n {namespace} addr add {}/24 dev eth0", self.address(id)))?;
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} link set eth0 up"))?;
            self.inside(
                id,
                NFT,
                &["add table ip lab; add chain ip lab in { type filter hook input priority 0; }"],
            )?;
        }
        Ok(())
    }

    pub(crate) fn address(&self, id: i32) -> String {
        self.place.address(u8::try_from(id).expect("a small id"))
    }

    pub(crate) fn namespace(&self, id: i32) -> String {
        self.place.namespace(id)
    }

    fn inside(&self, id: i32, program: &str, arguments: &[&str]) -> Result<(), String> {
        let namespace = format!("--net=/run/netns/{}", self.namespace(id));
        run("nsenter", &[&[namespace.as_str(), program][..], arguments].concat())
    }

    #[track_caller]
    fn must(&self, id: i32, program: &str, arguments: &[&str]) {
        self.inside(id, program, arguments)
            .unwrap_or_else(|why| panic!("in the namespace of broker {id}: {why}"));
    }

    fn others(&self, id: i32) -> impl Iterator<Item = i32> {
        (1..=self.count).filter(move |&other| other != id)
    }

    /// `id` hears nothing of `other`, which may hear it.
    pub(crate) fn deafen(&self, id: i32, other: i32) {
        self.must(id, NFT, &[&format!("add rule ip lab in ip saddr {} drop", self.address(other))]);
    }

    /// From all other brokers, not from clients.
    pub(crate) fn isolate(&self, id: i32) {
        for other in self.others(id) {
            self.deafen(id, other);
            self.deafen(other, id);
        }
    }

    /// Of what `id` hears of the other brokers, so much is lost; all of it would be another word.
    pub(crate) fn lose(&self, id: i32, percent: u8) {
        assert!(percent < 100);
        for other in self.others(id) {
            let from = self.address(other);
            let rule = format!("add rule ip lab in ip saddr {from} numgen random mod 100 < {percent} drop");
            self.must(id, NFT, &[&rule]);
        }
    }

    /// What `id` sends goes no faster, to brokers and clients; what waits longer than 200 ms is lost.
    pub(crate) fn slow_down(&self, id: i32, kbit_per_second: u32) {
        let rate = format!("{kbit_per_second}kbit");
        let queue = ["rate", &rate, "burst", "8kb", "latency", "200ms"];
        self.must(id, "tc", &[&["qdisc", "replace", "dev", "eth0", "root", "tbf"][..], &queue].concat());
    }

    /// Larger packets between brokers are lost, and nobody is told. What `narrow_lost` counts begins anew.
    pub(crate) fn narrow(&self, bytes: u16) {
        for id in 1..=self.count {
            // Else the kernel hands over many datagrams as one packet, which is judged as a whole.
            self.must(id, "ip", &["link", "set", "eth0", "gso_max_segs", "1"]);
            for from in self.others(id).map(|other| self.address(other)) {
                let rule = format!("add rule ip lab in ip saddr {from} ip length > {bytes} counter drop");
                self.must(id, NFT, &[&rule]);
            }
        }
    }

    /// Packets that were too large for a narrow network.
    pub(crate) fn narrow_lost(&self) -> u64 {
        let lost = |id: i32| {
            let namespace = format!("--net=/run/netns/{}", self.namespace(id));
            let list =
                Command::new("nsenter").args([&namespace, NFT, "list", "chain", "ip", "lab", "in"]).output();
            let list = String::from_utf8(list.expect("nft runs").stdout).expect("text");
            let words: Vec<&str> = list.split_whitespace().collect();
            let counts =
                words.windows(2).filter(|pair| pair[0] == "packets").map(|pair| pair[1].parse::<u64>());
            counts.map(|count| count.expect("a number")).sum::<u64>()
        };
        (1..=self.count).map(lost).sum()
    }

    /// The cable is out, for everybody.
    pub(crate) fn unplug(&self, id: i32) {
        self.must(id, "ip", &["link", "set", "eth0", "down"]);
    }

    /// Everything is as it was.
    pub(crate) fn heal(&self) {
        for id in 1..=self.count {
            self.must(id, NFT, &["flush chain ip lab in"]);
            self.must(id, "ip", &["link", "set", "eth0", "gso_max_segs", "65535"]);
            // Nothing to delete is an error.
            let _ = self.inside(id, "tc", &["qdisc", "del", "dev", "eth0", "root"]);
            self.must(id, "ip", &["link", "set", "eth0", "up"]);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.place.clear();
    }
}

/// Nobody listens anywhere here: who can be reached refuses, and who cannot is silent.
#[test]
fn a_network_is_cut_and_healed_and_leaves_nothing() {
    let Some(network) = Network::new(2) else { return };
    const KNOCK: &str = "echo > /dev/tcp/$0/9";
    const REFUSED: Option<i32> = Some(1);
    const SILENT: Option<i32> = Some(124);
    let knock = |knocker: &mut Command, at: i32| {
        let knocked = knocker.args(["timeout", "0.5", "bash", "-c", KNOCK, &network.address(at)]).output();
        knocked.expect("a shell runs").status.code()
    };
    let broker = |from: i32, at: i32| {
        let namespace = format!("--net=/run/netns/{}", network.namespace(from));
        knock(Command::new("nsenter").arg(namespace), at)
    };
    let client = |at: i32| knock(&mut Command::new("env"), at);
    assert_eq!((broker(1, 2), broker(2, 1), client(1)), (REFUSED, REFUSED, REFUSED));
    network.isolate(1);
    assert_eq!((broker(1, 2), broker(2, 1), client(1)), (SILENT, SILENT, REFUSED));
    network.heal();
    network.deafen(2, 1);
    assert_eq!((broker(1, 2), client(1), client(2)), (SILENT, REFUSED, REFUSED));
    network.heal();
    network.unplug(1);
    assert_ne!((broker(2, 1), client(1)), (REFUSED, REFUSED));
    network.heal();
    network.slow_down(1, 500);
    wait_for("the link is up again", PATIENCE, || {
        ((broker(1, 2), broker(2, 1), client(1)) == (REFUSED, REFUSED, REFUSED)).then_some(())
    });
    let (bridge, namespace) = (network.place.bridge(), network.namespace(1));
    drop(network);
    assert!(!interface_is_there(&bridge));
    assert!(!Path::new("/run/netns").join(namespace).exists());
}
