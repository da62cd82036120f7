//! What the QUIC library asks of a runtime, answered by the shard: tasks, timers, and (`socket`) datagrams.
//!
//! The library's traits want `Send`; the shard's things are not. `SendWrapper` carries them: it panics when touched
//! on another thread, and nothing here ever leaves the shard's.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use rt::timer::{self, Sleep};
use send_wrapper::SendWrapper;

#[derive(Debug)]
pub(super) struct ShardRuntime;

impl Runtime for ShardRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(ShardTimer(SendWrapper::new(sleep_until(at))))
    }

    /// One task a connection and one an endpoint. They wake each other past the shard's turns, and under load would
    /// never let it look outside.
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        rt::spawn_in_turns(future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // Sockets are made by `socket`, which needs the shard's ring.
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct ShardTimer(SendWrapper<Sleep>);

impl AsyncTimer for ShardTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        *self.0 = sleep_until(at);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut *self.0).poll(cx)
    }
}

impl fmt::Debug for ShardTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShardTimer")
    }
}

fn sleep_until(at: Instant) -> Sleep {
    timer::sleep(at.saturating_duration_since(Instant::now()))
}
