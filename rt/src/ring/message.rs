//! What a vectored send points at: message header, vectors, and the bytes behind them. Boxed, because the kernel
//! holds the address while the table of operations grows.
#![allow(unsafe_code)]

use std::{mem, ptr, rc::Rc};

use crate::pages::PageSlice;

/// The most vectors one message may have (`UIO_MAXIOV`).
pub(crate) const VECTORS_MAX: usize = 1024;

/// A piece of what is to be sent.
#[derive(Debug)]
pub enum OutPart {
    Owned(Vec<u8>),
    Page(PageSlice),
}

impl OutPart {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Page(slice) => slice,
        }
    }
}

pub(crate) struct Message {
    header: libc::msghdr,
    vectors: Vec<libc::iovec>,
    total: usize,
    /// Keeps what `vectors` point at; never changed.
    _parts: Rc<[OutPart]>,
}

impl Message {
    /// What is left of `parts` after `sent` bytes, as far as one message can carry it. `None`: nothing is left.
    pub(crate) fn after(parts: &Rc<[OutPart]>, sent: usize) -> Option<Box<Self>> {
        let mut skip = sent;
        let mut vectors = Vec::new();
        for part in parts.iter() {
            let bytes = part.bytes();
            let rest = &bytes[skip.min(bytes.len())..];
            skip -= bytes.len() - rest.len();
            if !rest.is_empty() && vectors.len() < VECTORS_MAX {
                vectors.push(libc::iovec { iov_base: rest.as_ptr() as *mut _, iov_len: rest.len() });
            }
        }
        if vectors.is_empty() {
            return None;
        }
        // SAFETY: a message header is plain numbers and pointers, and all zeroes is an empty message.
        let header = unsafe { mem::zeroed() };
        let total = vectors.iter().map(|vector| vector.iov_len).sum();
        let mut message = Box::new(Self { header, vectors, total, _parts: parts.clone() });
        message.header.msg_iov = message.vectors.as_mut_ptr();
        message.header.msg_iovlen = message.vectors.len();
        Some(message)
    }

    pub(crate) fn len(&self) -> usize {
        self.total
    }

    /// Valid as long as this message is neither dropped nor moved out of its box.
    pub(crate) fn header(&self) -> *const libc::msghdr {
        ptr::from_ref(&self.header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(message: Option<Box<Message>>) -> Vec<usize> {
        message.map_or(Vec::new(), |m| m.vectors.iter().map(|vector| vector.iov_len).collect())
    }

    #[test]
    fn a_message_goes_on_where_the_last_one_stopped() {
        let parts: Rc<[OutPart]> =
            [vec![1; 10], Vec::new(), vec![2; 5], vec![3; 1]].map(OutPart::Owned).into_iter().collect();
        let check = |sent, expected: &[usize]| assert_eq!(lengths(Message::after(&parts, sent)), expected);
        check(0, &[10, 5, 1]);
        check(4, &[6, 5, 1]);
        check(10, &[5, 1]);
        check(14, &[1, 1]);
        check(15, &[1]);
        check(16, &[]);
    }

    #[test]
    fn a_message_has_no_more_vectors_than_the_kernel_takes() {
        let parts: Rc<[OutPart]> = (0..3000).map(|_| OutPart::Owned(vec![0; 2])).collect();
        assert_eq!(lengths(Message::after(&parts, 0)).len(), VECTORS_MAX);
        assert_eq!(lengths(Message::after(&parts, 2 * 2500 + 1)).len(), 500);
    }
}
