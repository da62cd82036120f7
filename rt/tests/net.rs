//! Connections: order, amounts, ends, and what happens when descriptors run out.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{assert_success, in_child, on_shard, small, with_caps};
use rt::{
    Shard,
    net::{ListenOptions, Listener, OutPart, Readiness, Stream, UdpOptions, ZERO_COPY_MIN, bind_udp},
    ring::Caps,
    timer,
};

fn listen() -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).unwrap()
}

async fn pair(shard: &Shard) -> (Stream, Stream) {
    let listener = listen();
    let to = listener.local_addr().unwrap();
    let accept = async { listener.accept(&shard.ring).await.unwrap() };
    let connect = async { Stream::connect(&shard.ring, to).await.unwrap() };
    let ((accepted, peer), connected) = futures_lite::future::zip(accept, connect).await;
    assert_eq!(peer, connected.local_addr().unwrap());
    assert_eq!(connected.peer_addr(), to);
    (accepted, connected)
}

async fn recv_exactly(stream: &Stream, count: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while all.len() < count {
        let room = buffer.len().min(count - all.len());
        let got = stream.recv(&mut buffer[..room]).await.unwrap();
        assert!(got > 0, "the stream ended after {} of {count}", all.len());
        all.extend_from_slice(&buffer[..got]);
    }
    all
}

/// A byte that tells its position, with a period that no buffer size divides.
fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

fn every_caps() -> [Caps; 3] {
    [Caps::ALL, Caps { zero_copy: false, ..Caps::ALL }, Caps::NONE]
}

/// From one byte to many times the socket's buffer, with a reader that is slow to begin.
#[test]
fn vectored_sends_of_all_sizes_arrive_whole_and_in_order() {
    for caps in every_caps() {
        on_shard(with_caps(caps), async |shard: Shard| {
            let (left, right) = pair(&shard).await;
            for total in [1, 100, 4096, ZERO_COPY_MIN - 1, ZERO_COPY_MIN, 300_000, 6 << 20] {
                let (header, parts) = message(&shard, total);
                let send = async { left.send_vectored(header, parts).await.unwrap() };
                let receive = async {
                    timer::sleep(Duration::from_millis(2)).await;
                    recv_exactly(&right, total).await
                };
                let ((), bytes) = futures_lite::future::zip(send, receive).await;
                assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == pattern(at)), "{total} bytes");
            }
            while shard.ring.in_flight() > 0 {
                timer::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(shard.pages.in_use_bytes(), 0);
        });
    }
}

/// `total` bytes of the pattern: a header, then pages and owned parts of uneven sizes.
fn message(shard: &Shard, total: usize) -> (Vec<u8>, Vec<OutPart>) {
    let mut at = total.min(7);
    let header = (0..at).map(pattern).collect();
    let (mut parts, mut size) = (Vec::new(), 1);
    while at < total {
        size = (size * 3 + 1) % 200_000;
        let count = size.min(total - at);
        let bytes: Vec<u8> = (at..at + count).map(pattern).collect();
        at += count;
        if parts.len() % 2 == 1 {
            parts.push(OutPart::Owned(bytes));
            continue;
        }
        let mut page = shard.pages.take(count).expect("within the budget");
        page.append(&bytes);
        parts.push(OutPart::Page(page.slice(0..count)));
    }
    (header, parts)
}

#[test]
fn more_parts_than_one_message_takes_go_in_several() {
    for caps in every_caps() {
        on_shard(with_caps(caps), async |shard: Shard| {
            let (left, right) = pair(&shard).await;
            let parts = (0..5000).map(|at| OutPart::Owned(vec![pattern(at), pattern(at)])).collect();
            let send = async { left.send_vectored(Vec::new(), parts).await.unwrap() };
            let ((), bytes) = futures_lite::future::zip(send, recv_exactly(&right, 10_000)).await;
            assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == pattern(at / 2)));
        });
    }
}

/// As long as the kernel holds them, the pool does not give the pages to anybody else.
#[test]
fn zero_copy_pages_wait_for_the_notification() {
    on_shard(small(), async |shard: Shard| {
        if !shard.ring.caps().zero_copy {
            return eprintln!("SKIPPED: no zero-copy send here");
        }
        let (left, right) = pair(&shard).await;
        const TOTAL: usize = 8 << 20;
        let parts = (0..8).map(|n| {
            let mut page = shard.pages.take(1 << 20).unwrap();
            page.append(&[n; 1 << 20]);
            OutPart::Page(page.slice(0..1 << 20))
        });
        let parts = parts.collect();
        let sender = left.clone();
        rt::spawn(async move { sender.send_vectored(vec![9], parts).await.unwrap() });
        timer::sleep(Duration::from_millis(20)).await;
        assert_eq!(shard.pages.in_use_bytes(), TOTAL);
        assert_eq!(recv_exactly(&right, 1).await, [9]);
        for n in 0..8 {
            assert!(recv_exactly(&right, 1 << 20).await.iter().all(|&byte| byte == n));
        }
        while shard.ring.in_flight() > 0 {
            timer::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(shard.pages.in_use_bytes(), 0);
    });
}

#[test]
fn a_plain_send_larger_than_the_socket_waits_for_the_reader() {
    on_shard(small(), async |shard: Shard| {
        let (left, right) = pair(&shard).await;
        let bytes: Vec<u8> = (0..8 << 20).map(pattern).collect();
        let send = async { left.send_all(&bytes).await.unwrap() };
        let ((), back) = futures_lite::future::zip(send, recv_exactly(&right, 8 << 20)).await;
        assert!(back == bytes);
    });
}

#[test]
fn a_receive_that_is_dropped_loses_nothing() {
    on_shard(small(), async |shard: Shard| {
        let (left, right) = pair(&shard).await;
        for round in 0..50 {
            let mut buffer = [0; 10];
            assert!(timer::timeout(Duration::from_micros(200), right.recv(&mut buffer)).await.is_none());
            left.send_all(&[round; 10]).await.unwrap();
            assert_eq!(recv_exactly(&right, 10).await, [round; 10]);
        }
    });
}

#[test]
fn each_side_sees_the_other_end() {
    on_shard(small(), async |shard: Shard| {
        let (left, right) = pair(&shard).await;
        let reader = right.clone();
        let (tx, rx) = rt::oneshot();
        rt::spawn(async move { tx.send(reader.recv(&mut [0; 1]).await).unwrap() });
        timer::sleep(Duration::from_millis(5)).await;
        left.shutdown().unwrap();
        assert_eq!(rx.await.unwrap().unwrap(), 0);
        left.shutdown().unwrap();

        // The last clone closes the connection, although a wait for it is still in the ring.
        let (left, right) = pair(&shard).await;
        {
            let mut buffer = [0; 1];
            let mut recv = pin!(right.recv(&mut buffer));
            assert!(recv.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            timer::sleep(Duration::from_millis(5)).await;
        }
        drop(right);
        assert_eq!(left.recv(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn a_send_that_was_dropped_half_way_breaks_the_connection() {
    on_shard(small(), async |shard: Shard| {
        let (left, _right) = pair(&shard).await;
        let huge = vec![0; 16 << 20];
        assert!(timer::timeout(Duration::from_millis(5), left.send_all(&huge)).await.is_none());
        let refused = left.send_all(b"more").await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_peer_that_is_gone_is_an_error_and_no_signal() {
    on_shard(small(), async |shard: Shard| {
        let (left, right) = pair(&shard).await;
        drop(right);
        let mut outcome = Ok(());
        for _ in 0..100 {
            outcome = left.send_vectored(vec![0; 1000], Vec::new()).await;
            if outcome.is_err() {
                break;
            }
            timer::sleep(Duration::from_millis(1)).await;
        }
        outcome.unwrap_err();
        let closed = listen().local_addr().unwrap();
        let refused = Stream::connect(&shard.ring, closed).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn two_listeners_share_a_port() {
    on_shard(small(), async |shard: Shard| {
        let first = listen();
        let to = first.local_addr().unwrap();
        let second = Listener::bind(to, ListenOptions::default()).unwrap();
        let alone = ListenOptions { reuse_port: false, ..ListenOptions::default() };
        assert_eq!(Listener::bind(to, alone).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        let (mut by_first, mut by_second) = (0, 0);
        for _ in 0..64 {
            let stream = Stream::connect(&shard.ring, to).await.unwrap();
            let a = async { first.accept(&shard.ring).await.map(|_| true).unwrap() };
            let b = async { second.accept(&shard.ring).await.map(|_| false).unwrap() };
            if futures_lite::future::or(a, b).await {
                by_first += 1
            } else {
                by_second += 1
            }
            drop(stream);
        }
        assert!(by_first > 0 && by_second > 0, "{by_first} and {by_second}");
    });
}

#[test]
fn a_socket_of_somebody_else_can_be_waited_for() {
    on_shard(small(), async |shard: Shard| {
        let bind = || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let (left, right) = (bind(), bind());
        right.connect(left.local_addr().unwrap()).unwrap();
        let (reads, writes) =
            (Readiness::new(&shard.ring, &left).unwrap(), Readiness::new(&shard.ring, &right).unwrap());
        let mut buffer = [0; 9];
        for n in 0..100 {
            assert!(left.recv(&mut buffer).is_err());
            let sender = async {
                timer::sleep(Duration::from_micros(100)).await;
                writes.writable().await.unwrap();
                right.send(&[n; 9]).unwrap();
            };
            let (waited, ()) = futures_lite::future::zip(reads.readable(), sender).await;
            waited.unwrap();
            assert_eq!((left.recv(&mut buffer).unwrap(), buffer), (9, [n; 9]));
        }
        // A wait nobody polls any more goes with its owner.
        assert!(timer::timeout(Duration::from_millis(1), reads.readable()).await.is_none());
        drop((reads, writes));
        while shard.ring.in_flight() > 0 {
            timer::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_socket_that_was_shut_down_frees_its_address() {
    on_shard(small(), async |shard: Shard| {
        let options = UdpOptions { receive_buffer_bytes: 64 << 10, send_buffer_bytes: 64 << 10 };
        let socket = bind_udp("127.0.0.1:0".parse().unwrap(), options).unwrap();
        let address = socket.local_addr().unwrap();
        for _ in 0..20 {
            let socket = bind_udp(address, options).map_err(|e| e.kind());
            assert_eq!(socket.map(drop), Err(io::ErrorKind::AddrInUse));
        }
        let readiness = Readiness::new(&shard.ring, &socket).unwrap();
        assert!(timer::timeout(Duration::from_millis(1), readiness.readable()).await.is_none());
        drop(socket);
        readiness.shutdown().unwrap();
        readiness.readable().await.unwrap();
        drop(readiness);
        bind_udp(address, options).unwrap();
    });
}

/// Two tasks that wake each other for ever, as those of a library may, and never ask whether a turn is due.
#[test]
fn tasks_that_never_ask_let_the_shard_look_outside() {
    on_shard(small(), async |shard: Shard| {
        let over = Rc::new(Cell::new(false));
        for _ in 0..2 {
            let over = over.clone();
            rt::spawn_in_turns(std::future::poll_fn(move |cx| {
                if over.get() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }));
        }
        let begun = timer::elapsed();
        for _ in 0..20 {
            shard.ring.nop().await.unwrap();
        }
        let took = timer::elapsed() - begun;
        over.set(true);
        assert!(took < Duration::from_millis(500), "{took:?}");
    });
}

/// Out of descriptors, accepting pauses instead of spinning, and goes on when there are some again.
#[test]
fn accepting_waits_for_descriptors_without_spinning() {
    let name = "accepting_waits_for_descriptors_without_spinning";
    let child = in_child(
        name,
        |_| {},
        || {
            on_shard(small(), async |shard: Shard| {
                let listener = listen();
                let stream = Stream::connect(&shard.ring, listener.local_addr().unwrap()).await.unwrap();
                let mut hoard = Vec::new();
                let limit = std::fs::File::open("/dev/null").unwrap();
                while let Ok(file) = limit.try_clone() {
                    hoard.push(file);
                }
                let accept = timer::timeout(Duration::from_secs(1), listener.accept(&shard.ring));
                assert!(accept.await.is_none());
                drop(hoard);
                let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
                let before: u64 = text.split(' ').next().unwrap().parse().unwrap();
                listener.accept(&shard.ring).await.unwrap();
                drop(stream);
                assert!(before < 900_000_000, "{before} ns on the core");
            });
        },
    );
    assert_success(child);
}
