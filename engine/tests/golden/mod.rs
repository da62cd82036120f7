//! Reads the golden files. What they are stands in `golden/README.md`.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{fs, path::PathBuf};

use engine::properties::names::{SegmentFile, SegmentFileName};
use model::{BatchView, Offset};

pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(crate) fn read(name: &str) -> Vec<u8> {
    fs::read(folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files of one kind in a partition's folder, by base offset.
pub(crate) fn files(dir: &str, file: SegmentFile) -> Vec<(Offset, Vec<u8>)> {
    let names = fs::read_dir(folder(dir))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("an ASCII name"));
    let mut found: Vec<_> = names
        .filter_map(|name| SegmentFileName::parse(&name))
        .filter(|name| name.file == file)
        .map(|name| (name.base_offset, read(&format!("{dir}/{name}"))))
        .collect();
    found.sort_by_key(|f| f.0);
    found
}

/// The batches of one segment with their positions, all checked.
pub(crate) fn batches(log: &[u8]) -> Vec<(u32, BatchView<'_>)> {
    let (mut position, mut found) = (0, vec![]);
    while position < log.len() {
        let view = BatchView::check(&log[position..]).expect("a whole batch");
        found.push((position as u32, view));
        position += view.bytes().len();
    }
    found
}
