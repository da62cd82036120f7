//! Lines of a file or of standard input, read ahead by a thread so that the sender can send while nothing comes.

use std::{
    io::{self, BufRead, Read},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

/// Read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that wait for the sender.
const AHEAD_MAX: usize = 8;
/// A longer line is no log line, and no broker would take it.
const LINE_BYTES_MAX: usize = 256 << 20;

/// Whole lines, with their ends; only the very last may lack it.
pub type Chunk = io::Result<Vec<u8>>;

pub fn read_ahead(mut input: impl Read + Send + 'static) -> Receiver<Chunk> {
    let (to, chunks) = sync_channel(AHEAD_MAX);
    thread::spawn(move || {
        let mut begun = Vec::new();
        loop {
            let chunk = next_chunk(&mut input, &mut begun);
            let ended = !matches!(&chunk, Ok(Some(_)));
            let Some(chunk) = chunk.transpose() else { return };
            if to.send(chunk).is_err() || ended {
                return;
            }
        }
    });
    chunks
}

/// What one read brings, up to its last line end; `begun` keeps the line behind that. `None` at the end.
fn next_chunk(input: &mut impl Read, begun: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        let had = begun.len();
        begun.resize(had + CHUNK_BYTES, 0);
        let read = input.read(&mut begun[had..]);
        begun.truncate(had + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Ok(Some(std::mem::take(begun)).filter(|last| !last.is_empty())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if let Some(end) = begun[had..].iter().rposition(|&b| b == b'\n') {
            let behind = begun.split_off(had + end + 1);
            return Ok(Some(std::mem::replace(begun, behind)));
        }
        if begun.len() > LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 256 MiB"));
        }
    }
}

/// The lines of a chunk without their ends.
pub fn lines(mut chunk: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut rest = chunk;
        // Finds the end with the standard library's fast search.
        let taken = rest.skip_until(b'\n').expect("memory is always readable");
        let line = &chunk[..taken];
        chunk = rest;
        if taken == 0 { None } else { Some(line.strip_suffix(b"\n").unwrap_or(line)) }
    })
}

/// A line as key and value. `null` makes empty ones null.
pub fn split_key<'a>(
    line: &'a [u8],
    delimiter: Option<&[u8]>,
    null: bool,
) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
    let at = delimiter.and_then(|d| line.windows(d.len()).position(|w| w == d).map(|at| (at, at + d.len())));
    let (key, value) = at.map_or((None, line), |(end, behind)| (Some(&line[..end]), &line[behind..]));
    let keep = |field: &&[u8]| !(null && field.is_empty());
    (key.filter(keep), Some(value).filter(keep))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its input in the pieces it was made of.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn read_all(pieces: &[&'static [u8]]) -> Vec<Vec<u8>> {
        let chunks = read_ahead(Pieces(pieces.to_vec()));
        chunks
            .iter()
            .flat_map(|chunk| lines(&chunk.unwrap()).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        fn check(pieces: &[&'static [u8]], expected: &[&str]) {
            let expected: Vec<_> = expected.iter().map(|l| l.as_bytes().to_vec()).collect();
            assert_eq!(read_all(pieces), expected, "{pieces:?}");
        }
        check(&[b"a\nb\n"], &["a", "b"]);
        check(&[b"a\nb"], &["a", "b"]);
        check(&[b"on", b"e\ntw", b"o\nthree"], &["one", "two", "three"]);
        check(&[b"a\n", b"\n", b"b\r\n"], &["a", "", "b\r"]);
        check(&[], &[]);
    }

    #[test]
    fn the_first_delimiter_ends_the_key() {
        fn check(line: &str, delimiter: Option<&str>, null: bool, expected: (Option<&str>, Option<&str>)) {
            let split = split_key(line.as_bytes(), delimiter.map(str::as_bytes), null);
            let expected = (expected.0.map(str::as_bytes), expected.1.map(str::as_bytes));
            assert_eq!(split, expected, "{line}");
        }
        check("a:b:c", Some(":"), false, (Some("a"), Some("b:c")));
        check("a::b", Some("::"), false, (Some("a"), Some("b")));
        check("ab", Some(":"), false, (None, Some("ab")));
        check("a:b", None, false, (None, Some("a:b")));
        check(":", Some(":"), false, (Some(""), Some("")));
        check(":", Some(":"), true, (None, None));
        check("a:", Some(":"), true, (Some("a"), None));
        check("", None, true, (None, None));
    }
}
