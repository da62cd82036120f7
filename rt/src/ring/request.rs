//! What is asked of the kernel, together with everything it may touch meanwhile. A `Request` can only be made here,
//! and each constructor takes its addresses from what it keeps: that is why `Core` may submit any of them.

use io_uring::{opcode, squeue, types};

use super::{Flush, message::Message, slots::OpId};
use crate::{fd::Fd, pages::Blocks};

pub(super) struct Request {
    entry: squeue::Entry,
    keep: Keep,
    pub(super) class: Class,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Ends by itself and soon: counted against the ring's depth; goes on when its future is dropped.
    Storage,
    /// May take for ever, as its peer likes: not counted, and cancelled when its future is dropped.
    Network,
}

/// Freed with the operation's last completion. The fields are never read: they are held.
pub(super) struct Keep {
    _fd: Option<Fd>,
    _memory: Memory,
}

#[expect(dead_code, reason = "held for the kernel, not read")]
enum Memory {
    Nothing,
    Blocks(Blocks),
    Vectors(Vec<Blocks>, Box<[libc::iovec]>),
    Message(Box<Message>),
    Address(Box<socket2::SockAddr>),
}

impl Request {
    fn new(entry: squeue::Entry, fd: &Fd, memory: Memory, class: Class) -> Self {
        Self { entry, keep: Keep { _fd: Some(fd.clone()), _memory: memory }, class }
    }

    /// `entry` names the operation; `keep` must live until its last completion.
    pub(super) fn into_parts(self) -> (squeue::Entry, Keep) {
        (self.entry, self.keep)
    }

    pub(super) fn nop() -> Self {
        let keep = Keep { _fd: None, _memory: Memory::Nothing };
        Self { entry: opcode::Nop::new().build(), keep, class: Class::Storage }
    }

    /// `fixed` is the index of the registered buffer that `into` lies in.
    pub(super) fn read(fd: &Fd, at: u64, into: Blocks, fixed: Option<u16>) -> Self {
        assert!(into.is_writable());
        let (address, length, file) = (into.address().as_ptr(), into.len() as u32, types::Fd(fd.raw()));
        let entry = match fixed {
            Some(index) => opcode::ReadFixed::new(file, address, length, index).offset(at).build(),
            None => opcode::Read::new(file, address, length).offset(at).build(),
        };
        Self::new(entry, fd, Memory::Blocks(into), Class::Storage)
    }

    pub(super) fn write(fd: &Fd, at: u64, from: Blocks, flush: Flush, fixed: Option<u16>) -> Self {
        let (address, length, file) = (from.address().as_ptr(), from.len() as u32, types::Fd(fd.raw()));
        let flags = flush.rw_flags();
        let entry = match fixed {
            Some(index) => {
                opcode::WriteFixed::new(file, address, length, index).offset(at).rw_flags(flags).build()
            }
            None => opcode::Write::new(file, address, length).offset(at).rw_flags(flags).build(),
        };
        Self::new(entry, fd, Memory::Blocks(from), Class::Storage)
    }

    pub(super) fn write_vectored(fd: &Fd, at: u64, from: Vec<Blocks>, flush: Flush) -> Self {
        let vector = |b: &Blocks| libc::iovec { iov_base: b.address().as_ptr().cast(), iov_len: b.len() };
        let vectors: Box<[libc::iovec]> = from.iter().map(vector).collect();
        let entry = opcode::Writev::new(types::Fd(fd.raw()), vectors.as_ptr(), vectors.len() as u32)
            .offset(at)
            .rw_flags(flush.rw_flags())
            .build();
        Self::new(entry, fd, Memory::Vectors(from, vectors), Class::Storage)
    }

    pub(super) fn fdatasync(fd: &Fd) -> Self {
        let entry = opcode::Fsync::new(types::Fd(fd.raw())).flags(types::FsyncFlags::DATASYNC).build();
        Self::new(entry, fd, Memory::Nothing, Class::Storage)
    }

    pub(super) fn allocate(fd: &Fd, from: u64, len: u64) -> Self {
        let entry = opcode::Fallocate::new(types::Fd(fd.raw()), len).offset(from).mode(0).build();
        Self::new(entry, fd, Memory::Nothing, Class::Storage)
    }

    /// Closes the number; whoever asks has given up its ownership.
    pub(super) fn close(fd: std::os::fd::OwnedFd) -> Self {
        let raw = std::os::fd::IntoRawFd::into_raw_fd(fd);
        let keep = Keep { _fd: None, _memory: Memory::Nothing };
        Self { entry: opcode::Close::new(types::Fd(raw)).build(), keep, class: Class::Storage }
    }

    pub(super) fn poll(fd: &Fd, events: i16) -> Self {
        let entry = opcode::PollAdd::new(types::Fd(fd.raw()), events as u16 as u32).build();
        Self::new(entry, fd, Memory::Nothing, Class::Network)
    }

    pub(super) fn send(fd: &Fd, message: Box<Message>, zero_copy: bool) -> Self {
        let flags = (libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32;
        let (file, header) = (types::Fd(fd.raw()), message.header());
        let entry = if zero_copy {
            opcode::SendMsgZc::new(file, header).flags(flags).build()
        } else {
            opcode::SendMsg::new(file, header).flags(flags).build()
        };
        Self::new(entry, fd, Memory::Message(message), Class::Network)
    }

    pub(super) fn connect(fd: &Fd, address: socket2::SockAddr) -> Self {
        let address = Box::new(address);
        let entry = opcode::Connect::new(types::Fd(fd.raw()), address.as_ptr().cast(), address.len()).build();
        Self::new(entry, fd, Memory::Address(address), Class::Network)
    }
}

/// Asks for an end of `id`, which then still completes. Points at nothing.
pub(super) fn cancel(id: OpId) -> squeue::Entry {
    opcode::AsyncCancel::new(id.0).build()
}
