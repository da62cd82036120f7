//! Kafka's zigzag varints inside records, and the unsigned ones of compact strings. A varint longer than its type is
//! refused, whatever its bits say.

/// Reads an unsigned varint of at most 32 bits and returns it with the rest.
pub fn read_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value: u32 = 0;
    for (i, &b) in bytes.iter().take(5).enumerate() {
        if i == 4 && b > 0x0f {
            return None;
        }
        value |= u32::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// Reads an unsigned varint of at most 64 bits and returns it with the rest.
pub fn read_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value: u64 = 0;
    for (i, &b) in bytes.iter().take(10).enumerate() {
        if i == 9 && b > 1 {
            return None;
        }
        value |= u64::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

pub fn read_i32(bytes: &[u8]) -> Option<(i32, &[u8])> {
    read_u32(bytes).map(|(v, rest)| (((v >> 1) as i32) ^ -((v & 1) as i32), rest))
}

pub fn read_i64(bytes: &[u8]) -> Option<(i64, &[u8])> {
    read_u64(bytes).map(|(v, rest)| (((v >> 1) as i64) ^ -((v & 1) as i64), rest))
}

pub fn write_u32(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn write_u64(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn write_i32(value: i32, out: &mut Vec<u8>) {
    write_u32(((value << 1) ^ (value >> 31)) as u32, out);
}

pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    write_u64(((value << 1) ^ (value >> 63)) as u64, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_that_never_ends_is_refused() {
        assert_eq!(read_u32(&[0xff; 5]), None);
        assert_eq!(read_u32(&[0x80; 20]), None);
        assert_eq!(read_u64(&[0xff; 20]), None);
        assert_eq!(read_u32(&[0x80]), None);
        assert_eq!(read_u32(&[]), None);
    }

    #[test]
    fn extremes_round_trip() {
        for v in [0, 1, -1, 63, 64, -64, -65, i32::MAX, i32::MIN] {
            let mut out = vec![];
            write_i32(v, &mut out);
            assert_eq!(read_i32(&out), Some((v, &[][..])));
        }
        for v in [0, 1, -1, i64::MAX, i64::MIN, 1 << 35] {
            let mut out = vec![];
            write_i64(v, &mut out);
            assert_eq!(read_i64(&out), Some((v, &[][..])));
        }
        for v in [0, 127, 128, u32::MAX] {
            let mut out = vec![];
            write_u32(v, &mut out);
            assert_eq!(read_u32(&out), Some((v, &[][..])));
        }
    }
}
