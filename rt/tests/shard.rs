//! A shard does a little of everything: files, sockets, timers, messages.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use common::{direct_dir, new_file, on_shard, small, with_caps};
use rt::{
    MeshBuilder, Shard,
    file::{self, Access, File},
    net::{ListenOptions, Listener, OutPart, Stream},
    pages::BLOCK,
    ring::{Caps, Flush},
    run_shards, timer,
};

/// Everything the kernel may lack, one by one, all together, and nothing.
fn every_caps() -> Vec<Caps> {
    vec![
        Caps::ALL,
        Caps { registered_pages: false, ..Caps::ALL },
        Caps { durable_writes: false, ..Caps::ALL },
        Caps { allocate: false, ..Caps::ALL },
        Caps { coop_taskrun: false, ..Caps::ALL },
        Caps { single_issuer: false, ..Caps::ALL },
        Caps { submit_all: false, ..Caps::ALL },
        Caps::NONE,
    ]
}

#[test]
fn what_is_written_is_read_back() {
    for caps in every_caps() {
        let Some(dir) = direct_dir() else { return };
        on_shard(with_caps(caps), async move |shard: Shard| write_and_read(&dir, &shard).await);
    }
}

async fn write_and_read(dir: &tempfile::TempDir, shard: &Shard) {
    let file = new_file(dir, "f").await;
    let mut page = shard.pages.take(8192).unwrap();
    page.append(&[7; 5000]);
    shard.ring.write(&file, 4096, vec![page.blocks(0..5000)], Flush::Dsync).await.unwrap();
    assert_eq!(file.size().unwrap(), 4096 + 8192);
    let mut back = shard.pages.take(16384).unwrap();
    assert_eq!(shard.ring.read(&file, 0, back.whole()).await.unwrap(), 12288);
    back.set_filled(12288);
    assert!(back.slice(0..4096).iter().all(|&b| b == 0));
    assert!(back.slice(4096..9096).iter().all(|&b| b == 7));
    assert!(back.slice(9096..12288).iter().all(|&b| b == 0));
    shard.ring.allocate(&file, 0, 1 << 20).await.unwrap();
    shard.ring.fdatasync(&file).await.unwrap();
    assert_eq!(file.size().unwrap(), 1 << 20);
    file.truncate(BLOCK as u64).await.unwrap();
    file.sync_all().await.unwrap();
    assert_eq!(file.size().unwrap(), BLOCK as u64);
}

/// Many pages in one write, more than the kernel takes at once, from a pool and from a stranger to the ring.
#[test]
fn a_write_of_many_pages_is_whole_and_in_order() {
    for caps in [Caps::ALL, Caps::NONE] {
        let Some(dir) = direct_dir() else { return };
        on_shard(with_caps(caps), async move |shard: Shard| {
            let file = new_file(&dir, "f").await;
            let stranger = rt::pages::PagePool::new(16 << 20);
            let fill = |n: usize| {
                let pool = if n.is_multiple_of(2) { &shard.pages } else { &stranger };
                let mut page = pool.take(BLOCK).unwrap();
                page.append(&[(n % 255) as u8; BLOCK]);
                page.blocks(0..BLOCK)
            };
            let pages: Vec<_> = (0..2500).map(fill).collect();
            shard.ring.write(&file, 0, pages, Flush::Dsync).await.unwrap();
            shard.ring.write(&file, 0, Vec::new(), Flush::Dsync).await.unwrap();
            for n in (0..2500).step_by(256) {
                let mut back = shard.pages.take(1 << 20).unwrap();
                let got = shard.ring.read(&file, (n * BLOCK) as u64, back.whole()).await.unwrap();
                assert_eq!(got, (2500 - n).min(256) * BLOCK);
                back.set_filled(got);
                for block in 0..got / BLOCK {
                    let bytes = back.slice(block * BLOCK..(block + 1) * BLOCK);
                    assert!(bytes.iter().all(|&b| b == ((n + block) % 255) as u8));
                }
            }
        });
    }
}

#[test]
fn names_are_made_moved_listed_and_removed() {
    let Some(dir) = direct_dir() else { return };
    on_shard(small(), async move |shard: Shard| {
        let (root, nested) = (dir.path().to_owned(), dir.path().join("a/b"));
        file::create_dir(&nested).await.unwrap();
        file::create_dir(&nested).await.unwrap();
        let missing = File::open(nested.join("x"), Access::ReadWrite).await.unwrap_err();
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
        let opened = File::open(nested.join("x"), Access::Create).await.unwrap();
        file::rename(opened.path(), nested.join("y")).await.unwrap();
        file::sync_dir(&nested).await.unwrap();
        file::sync_fs(&root).await.unwrap();
        assert_eq!(file::list_dir(&nested).await.unwrap(), ["y"]);
        assert!(file::exists(nested.join("y")).await.unwrap());
        file::remove(nested.join("y")).await.unwrap();
        assert!(!file::exists(nested.join("y")).await.unwrap());
        file::remove_dir(root.join("a")).await.unwrap();
        let clone = opened.clone();
        shard.ring.close(clone).await.unwrap();
        assert_eq!(opened.size().unwrap(), 0);
        shard.ring.close(opened).await.unwrap();
    });
}

#[test]
fn a_file_opened_for_reading_takes_no_write() {
    let Some(dir) = direct_dir() else { return };
    on_shard(small(), async move |shard: Shard| {
        drop(new_file(&dir, "f").await);
        let file = File::open(dir.path().join("f"), Access::Read).await.unwrap();
        let mut page = shard.pages.take(1).unwrap();
        page.append(b"x");
        let refused = shard.ring.write(&file, 0, vec![page.blocks(0..1)], Flush::No).await.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(9));
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
        let (late, early) =
            (timer::sleep(Duration::from_millis(400)), timer::sleep(Duration::from_millis(5)));
        early.await;
        assert!((5..400).contains(&start.elapsed().as_millis()));
        late.await;
        assert!(start.elapsed() >= Duration::from_millis(400));
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
