//! UDP sockets, made here and used by others: see `Readiness`.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

#[derive(Clone, Copy, Debug)]
pub struct UdpOptions {
    /// What a burst has to fit in while nobody reads. 0: the system's own size.
    pub receive_buffer_bytes: usize,
    /// As above, while the network takes nothing.
    pub send_buffer_bytes: usize,
}

/// A socket that is bound and does not block. Says so when the kernel grants a smaller receive buffer than is asked
/// for: what does not fit is lost, and comes again later at the price of a round trip.
pub fn bind_udp(address: SocketAddr, options: UdpOptions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.send_buffer_bytes > 0 {
        socket.set_send_buffer_size(options.send_buffer_bytes)?;
    }
    if options.receive_buffer_bytes > 0 {
        socket.set_recv_buffer_size(options.receive_buffer_bytes)?;
        // The kernel doubles the size for its own bookkeeping and tells the doubled one (socket(7)).
        let granted = socket.recv_buffer_size()? / 2;
        if granted < options.receive_buffer_bytes {
            tracing::warn!(
                %address, granted, asked = options.receive_buffer_bytes,
                "the kernel grants a small receive buffer, so bursts may lose datagrams: raise it with sysctl -w \
                 net.core.rmem_max={}", options.receive_buffer_bytes
            );
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
