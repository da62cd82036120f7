//! A descriptor that files, sockets and operations in flight share. It is closed when the last of them lets go, so
//! that its number cannot come to mean another file while an operation still names it.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    rc::Rc,
};

#[derive(Clone, Debug)]
pub(crate) struct Fd(Rc<OwnedFd>);

impl Fd {
    pub(crate) fn new(fd: impl Into<OwnedFd>) -> Self {
        Self(Rc::new(fd.into()))
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// `None` when somebody else has this descriptor too.
    pub(crate) fn into_owned(self) -> Option<OwnedFd> {
        Rc::into_inner(self.0)
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
