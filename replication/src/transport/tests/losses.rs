//! Peers that go away, with and without a word.

use std::{cell::Cell, net::UdpSocket};

use rt::{net::Readiness, ring::Ring};

use super::*;

fn rebind(shard: &Shard, address: SocketAddr, identity: &Identity) -> Result<Rc<Endpoint>, BindError> {
    Endpoint::bind(&shard.ring, address, identity, options())
}

#[test]
fn a_peer_that_closes_says_so_and_is_reachable_again_at_once() {
    on_shard(async |shard: Shard| {
        let cluster = Cluster::new(1);
        let (one, two) = (cluster.identity(1), cluster.identity(2));
        let (dialler, mut peer) = (bind(&shard, &one), bind(&shard, &two));
        let address = peer.local_address();
        for _ in 0..3 {
            let (link, kept) = link(&dialler, &peer, 2).await;
            let mut lane = link.open(0).await.unwrap();
            lane.sender.send(&[b"x"]).await.unwrap();
            // Somebody still has the link, and a peer stopped all the same.
            peer.close().await;
            assert_eq!(peer.accept().await.map(|peer| peer.is_ok()), None);
            assert_eq!(kept.closed().await, LinkError::ClosedHere);
            let ended = LinkError::EndedByPeer { peer: address, reason: "the broker stops".to_owned() };
            assert_eq!(link.closed().await, ended);
            assert_eq!(lane.receiver.receive(10).await, Err(ended));
            peer = rebind(&shard, address, &two).unwrap();
        }
        assert_eq!(dialler.connect(address, BrokerId(2)).await.map(|link| link.broker()), Ok(BrokerId(2)));
        dialler.close().await;
        assert_eq!(dialler.connect(address, BrokerId(2)).await.map(|_| ()), Err(LinkError::ClosedHere));
    });
}

#[test]
fn an_endpoint_that_was_dropped_gives_its_address_back() {
    on_shard(async |shard: Shard| {
        let cluster = Cluster::new(1);
        let (one, two) = (cluster.identity(1), cluster.identity(2));
        let (dialler, peer) = (bind(&shard, &one), bind(&shard, &two));
        let address = peer.local_address();
        let (link, _) = link(&dialler, &peer, 2).await;
        drop(peer);
        let peer = loop {
            match rebind(&shard, address, &two) {
                Ok(peer) => break peer,
                Err(BindError::Socket { .. }) => rt::yield_now().await,
                Err(e) => panic!("{e}"),
            }
        };
        link.closed().await;
        super::link(&dialler, &peer, 2).await;
    });
}

/// Stands between two endpoints, until told to swallow everything or to send it to another.
struct Relay {
    address: SocketAddr,
    to: Rc<Cell<Option<SocketAddr>>>,
}

impl Relay {
    fn start(ring: &Ring, to: SocketAddr) -> Self {
        let front = Rc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let back = Rc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = front.local_addr().unwrap();
        let (to, dialler) = (Rc::new(Cell::new(Some(to))), Rc::new(Cell::new(None)));
        let (there, here) = (to.clone(), dialler.clone());
        // The dialler is whoever sends to the front.
        rt::spawn(pass(ring.clone(), front.clone(), back.clone(), move |from| {
            here.set(Some(from));
            there.get()
        }));
        let there = to.clone();
        rt::spawn(pass(ring.clone(), back, front, move |from| {
            there.get().filter(|to| *to == from).and(dialler.get())
        }));
        Self { address, to }
    }
}

async fn pass(
    ring: Ring,
    from: Rc<UdpSocket>,
    by: Rc<UdpSocket>,
    to: impl Fn(SocketAddr) -> Option<SocketAddr>,
) {
    from.set_nonblocking(true).unwrap();
    by.set_nonblocking(true).unwrap();
    let readiness = Readiness::new(&ring, &from).unwrap();
    let mut datagram = vec![0; 65_536];
    // Until the ring is shut down.
    while readiness.readable().await.is_ok() {
        while let Ok((bytes, sender)) = from.recv_from(&mut datagram) {
            if let Some(to) = to(sender) {
                let _ = by.send_to(&datagram[..bytes], to);
            }
        }
    }
}

#[test]
fn a_peer_that_was_killed_is_noticed_within_the_idle_timeout() {
    on_shard(async |shard: Shard| {
        let cluster = Cluster::new(1);
        let idle_timeout = Duration::from_millis(600);
        let options = EndpointOptions { idle_timeout, keep_alive: Duration::from_millis(150), ..options() };
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let dialler = Endpoint::bind(&shard.ring, local, &cluster.identity(1), options).unwrap();
        let peer = bind(&shard, &cluster.identity(2));
        let relay = Relay::start(&shard.ring, peer.local_address());
        let connect = dialler.connect(relay.address, BrokerId(2));
        let (link, accepted) = futures_lite::future::zip(connect, peer.accept()).await;
        let (link, accepted) = (link.unwrap(), accepted.unwrap().unwrap());
        // Kept alive for longer than the timeout, while nobody says anything.
        assert_eq!(timer::timeout(2 * idle_timeout, link.closed()).await, None);
        relay.to.set(None);
        let silent_from = timer::elapsed();
        assert_eq!(link.closed().await, LinkError::Silent { peer: relay.address });
        let took = timer::elapsed() - silent_from;
        assert!(took < 2 * idle_timeout, "{took:?}");
        // The smaller of the two timeouts holds for both.
        assert!(matches!(accepted.closed().await, LinkError::Silent { .. }));
        let begun = timer::elapsed();
        let options = EndpointOptions { handshake_timeout: idle_timeout, ..options };
        let impatient = Endpoint::bind(&shard.ring, local, &cluster.identity(1), options).unwrap();
        let silent = LinkError::Silent { peer: relay.address };
        assert_eq!(impatient.connect(relay.address, BrokerId(2)).await.map(|_| ()), Err(silent));
        assert!(timer::elapsed() - begun < 2 * idle_timeout);
    });
}

/// The broker is another process after a kill, and knows nothing of the link; but it knows that it is its own.
#[test]
fn a_killed_peer_that_is_back_says_so_at_the_first_word() {
    on_shard(async |shard: Shard| {
        let cluster = Cluster::new(1);
        let two = cluster.identity(2);
        let (dialler, killed, back) =
            (bind(&shard, &cluster.identity(1)), bind(&shard, &two), bind(&shard, &two));
        let relay = Relay::start(&shard.ring, killed.local_address());
        let connect = dialler.connect(relay.address, BrokerId(2));
        let (link, accepted) = futures_lite::future::zip(connect, killed.accept()).await;
        let (link, _accepted) = (link.unwrap(), accepted);
        relay.to.set(Some(back.local_address()));
        let mut lane = link.open(0).await.unwrap();
        lane.sender.send(&[b"are you there?"]).await.unwrap();
        let begun = timer::elapsed();
        let reason = "it has started anew".to_owned();
        assert_eq!(link.closed().await, LinkError::EndedByPeer { peer: relay.address, reason });
        assert!(timer::elapsed() - begun < options().keep_alive);
    });
}

/// Whatever comes to the port, and however much, the endpoint goes on.
#[test]
fn datagrams_of_nobody_are_passed_over() {
    on_shard(async |shard: Shard| {
        let cluster = Cluster::new(1);
        let (one, two) = (bind(&shard, &cluster.identity(1)), bind(&shard, &cluster.identity(2)));
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..200usize {
            let datagram: Vec<u8> = (0..n * 7).map(|i| (i * 31 + n * 17) as u8).collect();
            stranger.send_to(&datagram, two.local_address()).unwrap();
        }
        link(&one, &two, 2).await;
    });
}
