use model::ShardId;
use rt::{ExecutorOptions, MeshBuilder, Shard, run_shards};
use std::time::{Duration, Instant};
fn main() {
    let preempt_us: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let batch: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let options = ExecutorOptions { preempt_us, page_bytes: 64 << 20, ..ExecutorOptions::default() };
    let builder = MeshBuilder::<Option<Instant>>::new(2);
    run_shards(2, options, move |shard: Shard| {
        let builder = builder.clone();
        async move {
            let mesh = builder.join(shard.id).await;
            if shard.id == ShardId(1) {
                while let (from, Some(sent)) = mesh.recv().await {
                    mesh.send(from, Some(sent));
                }
                return;
            }
            let mut samples = Vec::new();
            for _ in 0..4000 {
                let start = Instant::now();
                (0..batch).for_each(|_| mesh.send(ShardId(1), Some(start)));
                for _ in 0..batch {
                    mesh.recv().await;
                }
                samples.push(start.elapsed());
            }
            samples.sort();
            let at = |p: usize| samples[samples.len() * p / 1000].as_secs_f64() * 1e6;
            println!(
                "batch {batch}: p10 {:.1} p50 {:.1} p90 {:.1} p99 {:.1}",
                at(100),
                at(500),
                at(900),
                at(990)
            );
            mesh.send(ShardId(1), None);
            rt::timer::sleep(Duration::from_millis(50)).await;
        }
    })
    .unwrap();
}
