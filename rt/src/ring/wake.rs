//! How completions wake the executor: the kernel adds to an eventfd with each of them, and a task reads that eventfd
//! through the executor's own ring, so the executor sleeps as it always does. The eventfd is a counter, so a burst
//! is one wake; the queue is drained until it is empty before the next read, so no wake is lost.
#![allow(unsafe_code)]

use std::{
    os::fd::{FromRawFd, IntoRawFd, OwnedFd},
    rc::Rc,
};

use glommio::io::BufferedFile;

use super::core::Core;
use crate::turn;

/// The task that waits for completions. Ends when the ring is shut down.
pub(super) async fn run(core: Rc<Core>, eventfd: OwnedFd) {
    // SAFETY: a descriptor that was owned here and is the file's from now on.
    let file = unsafe { BufferedFile::from_raw_fd(eventfd.into_raw_fd()) };
    while !core.is_closed() {
        if let Err(e) = file.read_at(0, 8).await {
            tracing::warn!(error = %e, "reading the ring's eventfd failed");
        }
        turn::has_turned();
        core.drain();
    }
    // A failure to close an eventfd leaves nothing to be done.
    let _ = file.close().await;
    core.task_ended();
}
