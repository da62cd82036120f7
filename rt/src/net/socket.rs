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

/// Where `tcp_info` of linux/tcp.h (since 4.1) has `tcpi_bytes_acked`; the C library's own struct ends before it.
const BYTES_ACKED_AT: usize = 120;

/// Bytes that the peer's kernel has taken, of all that was sent on this TCP socket.
pub(super) fn acknowledged_bytes(fd: &Fd) -> io::Result<u64> {
    let mut info = [0u8; BYTES_ACKED_AT + size_of::<u64>()];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: `info` is writable for `length` bytes, and the descriptor is open for the whole call.
    let code = unsafe {
        libc::getsockopt(fd.raw(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length)
    };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < info.len() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    #[expect(clippy::host_endian_bytes, reason = "the kernel's own struct, on this machine")]
    Ok(info.last_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes)))
}

/// Resets a TCP connection and empties its queues: what `connect` to no address means (tcp(7)).
pub(super) fn disconnect(fd: &Fd) -> io::Result<()> {
    let nobody = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let length = size_of_val(&nobody) as libc::socklen_t;
    // SAFETY: `nobody` is readable for its length, and the descriptor is open for the whole call.
    let code = unsafe { libc::connect(fd.raw(), &nobody, length) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn checked(count: isize) -> io::Result<usize> {
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}
