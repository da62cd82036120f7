//! A shard does a little of everything: files, sockets, timers, messages.

mod common;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use common::{direct_dir, new_file, on_shard, small};
use rt::{
    MeshBuilder, Shard,
    net::{ListenOptions, Listener, OutPart, Stream},
    ring::Flush,
    run_shards, timer,
};

#[test]
fn what_is_written_is_read_back() {
    let Some(dir) = direct_dir() else { return };
    on_shard(small(), async move |shard: Shard| {
        let file = new_file(&dir, "f").await;
        let mut page = shard.pages.take(8192).unwrap();
        page.append(&[7; 5000]);
        shard.ring.write(&file, 4096, vec![page.blocks(0..5000)], Flush::Dsync).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 4096 + 8192);
        let mut back = shard.pages.take(16384).unwrap();
        assert_eq!(shard.ring.read(&file, 0, back.whole()).await.unwrap(), 12288);
        back.set_filled(12288);
        assert!(back.slice(0..4096).iter().all(|&b| b == 0));
        assert!(back.slice(4096..9096).iter().all(|&b| b == 7));
        assert!(back.slice(9096..12288).iter().all(|&b| b == 0));
    });
}

#[test]
fn bytes_go_through_a_connection_in_order() {
    on_shard(small(), async |shard: Shard| {
        let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(local, ListenOptions::default()).unwrap();
        let to = listener.local_addr().unwrap();
        let ring = shard.ring.clone();
        rt::spawn(async move {
            let (stream, _) = listener.accept(&ring).await.unwrap();
            let mut buffer = [0; 1000];
            loop {
                let count = stream.recv(&mut buffer).await.unwrap();
                if count == 0 {
                    return;
                }
                stream.send_all(&buffer[..count]).await.unwrap();
            }
        });
        let stream = Stream::connect(&shard.ring, to).await.unwrap();
        let mut page = shard.pages.take(4096).unwrap();
        page.append(b"from a page");
        let parts = vec![OutPart::Page(page.slice(5..11)), OutPart::Owned(b"!".to_vec())];
        stream.send_vectored(b"hello ".to_vec(), parts).await.unwrap();
        let mut back = Vec::new();
        while back.len() < 13 {
            let mut buffer = [0; 100];
            let count = stream.recv(&mut buffer).await.unwrap();
            back.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(back, b"hello a page!");
    });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    on_shard(small(), async |_| {
        let start = Instant::now();
        let (a, b) = (timer::sleep(Duration::from_millis(20)), timer::sleep(Duration::from_millis(5)));
        b.await;
        assert!((5..20).contains(&start.elapsed().as_millis()));
        a.await;
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert!(timer::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_none());
        assert_eq!(timer::timeout(Duration::from_secs(9), async { 3 }).await, Some(3));
    });
}

#[test]
fn messages_cross_shards_in_order() {
    let builder = MeshBuilder::<u32>::new(3);
    run_shards(3, small(), move |shard| {
        let builder = builder.clone();
        async move {
            let mesh = builder.join(shard.id).await;
            for n in 0..1000 {
                for to in 0..3 {
                    mesh.send(model::ShardId(to), n);
                }
            }
            let mut next = [0; 3];
            for _ in 0..3000 {
                let (from, n) = mesh.recv().await;
                assert_eq!(n, next[usize::from(from.0)]);
                next[usize::from(from.0)] += 1;
            }
        }
    })
    .unwrap();
}
