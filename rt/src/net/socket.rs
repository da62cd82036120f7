//! System calls on sockets that the standard library lacks. None of them blocks: each asks for MSG_DONTWAIT, because
//! the descriptors themselves are blocking, so that operations of the ring wait for them in the kernel.
#![allow(unsafe_code)]

use std::io;

use crate::{fd::Fd, ring::message::Message};

pub(super) fn receive(fd: &Fd, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `into` is writable for its length, and the descriptor is open for the whole call.
    let count = unsafe { libc::recv(fd.raw(), into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) };
    checked(count)
}

pub(super) fn send(fd: &Fd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is readable for its length, and the descriptor is open for the whole call.
    let count = unsafe { libc::send(fd.raw(), bytes.as_ptr().cast(), bytes.len(), flags) };
    checked(count)
}

pub(super) fn send_message(fd: &Fd, message: &Message) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: a message keeps everything its header points at, and the descriptor is open for the whole call.
    let count = unsafe { libc::sendmsg(fd.raw(), message.header(), flags) };
    checked(count)
}

fn checked(count: isize) -> io::Result<usize> {
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}
