#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tailrace_fuzz::consensus_messages::run(bytes));
