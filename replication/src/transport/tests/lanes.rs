//! What travels in a link.

use bytes::Bytes;
use futures_lite::future::zip;

use super::*;

const MIB: usize = 1 << 20;

async fn pair(shard: &Shard) -> ([Rc<Endpoint>; 2], PeerLink, PeerLink) {
    let cluster = Cluster::new(1);
    let ends = [1, 2].map(|broker| cluster.identity(broker)).map(|identity| bind(shard, &identity));
    let (dialled, accepted) = link(&ends[0], &ends[1], 2).await;
    (ends, dialled, accepted)
}

/// Both ends of a lane, in which one empty frame has gone to the second.
async fn lane(left: &PeerLink, right: &PeerLink) -> (Lane, Lane) {
    let mut opened = left.open(0).await.unwrap();
    opened.sender.send(&[]).await.unwrap();
    let mut accepted = right.accept().await.unwrap();
    assert_eq!(accepted.receiver.receive(0).await, Ok(Some(Bytes::new())));
    (opened, accepted)
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

#[test]
fn frames_arrive_whole_and_in_order() {
    on_shard(async |shard: Shard| {
        let (ends, left, right) = pair(&shard).await;
        let (mut sending, mut receiving) = lane(&left, &right).await;
        let body = pattern(MIB);
        let send = async {
            sending.sender.send(&[b"a", b"", b"bc"]).await.unwrap();
            sending.sender.send(&[&body]).await.unwrap();
            sending.sender.send(&[]).await.unwrap();
            let parts = vec![Bytes::from(body.clone()), Bytes::new(), Bytes::from_static(b"end")];
            sending.sender.send_bytes(b"head", parts).await.unwrap();
            sending.sender.finish();
        };
        let receive = async {
            let mut found = Vec::new();
            while let Some(frame) = receiving.receiver.receive(2 * MIB).await.unwrap() {
                found.push(frame);
            }
            found
        };
        let ((), found) = zip(send, receive).await;
        let last = [b"head", &body[..], b"end"].concat();
        let expected: [&[u8]; 4] = [b"abc", &body, b"", &last];
        assert!(found == expected, "{} frames", found.len());
        // The other way is still open.
        receiving.sender.send(&[b"answer"]).await.unwrap();
        assert_eq!(sending.receiver.receive(100).await, Ok(Some(Bytes::from_static(b"answer"))));
        drop(receiving);
        assert_eq!(sending.receiver.receive(100).await, Ok(None));
        drop((ends, left, right));
    });
}

#[test]
fn a_frame_over_the_limit_ends_the_lane_and_not_the_link() {
    on_shard(async |shard: Shard| {
        let (_ends, left, right) = pair(&shard).await;
        let (mut sending, mut receiving) = lane(&left, &right).await;
        sending.sender.send(&[&[7; 100]]).await.unwrap();
        sending.sender.send(&[&[7; 101]]).await.unwrap();
        assert_eq!(receiving.receiver.receive(100).await.unwrap().map(|frame| frame.len()), Some(100));
        let too_large = LinkError::FrameTooLarge { bytes: 101, bytes_max: 100 };
        assert_eq!(receiving.receiver.receive(100).await, Err(too_large));
        assert_eq!(receiving.receiver.receive(100).await, Err(LinkError::LaneEnded));
        let error = loop {
            if let Err(error) = sending.sender.send(&[b"more"]).await {
                break error;
            }
        };
        assert_eq!(error, LinkError::LaneEnded);
        lane(&right, &left).await;
    });
}

#[test]
fn a_send_that_was_dropped_half_way_cuts_the_lane() {
    on_shard(async |shard: Shard| {
        let (_ends, left, right) = pair(&shard).await;
        let (mut sending, mut receiving) = lane(&left, &right).await;
        let body = Bytes::from(vec![7; 64 * MIB]);
        // Nobody reads, so it cannot end.
        let send = sending.sender.send_bytes(b"", vec![body]);
        assert!(timer::timeout(Duration::from_millis(50), send).await.is_none());
        assert_eq!(sending.sender.send(&[b"next"]).await, Err(LinkError::FrameCut));
        sending.sender.finish();
        assert_eq!(receiving.receiver.receive(64 * MIB).await, Err(LinkError::FrameCut));
        lane(&left, &right).await;
    });
}

#[test]
fn a_receive_that_was_dropped_loses_nothing() {
    on_shard(async |shard: Shard| {
        let (_ends, left, right) = pair(&shard).await;
        let (mut sending, mut receiving) = lane(&left, &right).await;
        let body = pattern(4 * MIB);
        let send = async { sending.sender.send(&[&body]).await.unwrap() };
        let receive = async {
            loop {
                let receive = receiving.receiver.receive(4 * MIB);
                let soon = timer::timeout(Duration::from_micros(100), receive).await;
                if let Some(frame) = soon {
                    break frame;
                }
            }
        };
        let ((), frame) = zip(send, receive).await;
        assert!(frame.unwrap().unwrap() == body);
    });
}

#[test]
fn many_lanes_at_once_do_not_wait_for_each_other() {
    const LANES: u32 = 100;
    on_shard(async |shard: Shard| {
        let (_ends, left, right) = pair(&shard).await;
        // One that nobody reads.
        let (mut stuck, _unread) = lane(&left, &right).await;
        rt::spawn(async move { while stuck.sender.send(&[&[7; MIB]]).await.is_ok() {} });
        let answering = right.clone();
        rt::spawn(async move {
            while let Ok(mut lane) = answering.accept().await {
                rt::spawn(async move {
                    while let Ok(Some(frame)) = lane.receiver.receive(MIB).await {
                        lane.sender.send(&[&frame]).await.unwrap();
                    }
                });
            }
        });
        let (done, mut results) = (rt::notify::Notify::new(), 0);
        let finished = Rc::new(std::cell::Cell::new(0));
        for n in 0..LANES {
            let (left, done, finished) = (left.clone(), done.clone(), finished.clone());
            rt::spawn(async move {
                let mut lane = left.open(n as i32 % 3).await.unwrap();
                for bytes in [0, 1, 1000, 100_000] {
                    let body = vec![n as u8; bytes];
                    lane.sender.send(&[&body]).await.unwrap();
                    assert!(lane.receiver.receive(MIB).await.unwrap().unwrap() == body);
                }
                lane.sender.finish();
                assert_eq!(lane.receiver.receive(MIB).await, Ok(None));
                finished.set(finished.get() + 1);
                done.wake_all();
            });
        }
        while results < LANES {
            let changed = done.wait();
            if finished.get() == results {
                changed.await;
            }
            results = finished.get();
        }
        left.close();
    });
}
