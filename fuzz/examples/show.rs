//! One input through one target, without a fuzzer: `cargo run --example show recovery path/to/input`.

use tailrace_fuzz::{index_files, metadata_records, record_batch, recovery, request_decoder};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(path)) = (arguments.next(), arguments.next()) else {
        panic!("which target, and which file?");
    };
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    match target.as_str() {
        "request_decoder" => request_decoder::run(&bytes),
        "record_batch" => record_batch::run(&bytes),
        "recovery" => {
            print!("{}", recovery::show(&bytes));
            recovery::run(&bytes);
        }
        "index_files" => index_files::run(&bytes),
        "metadata_records" => metadata_records::run(&bytes),
        other => panic!("there is no target {other}"),
    }
    println!("{} bytes, and nothing wrong", bytes.len());
}
