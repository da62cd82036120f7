//! What the kernel offers, found out once when a ring starts.

use std::fmt;

/// Optional features. As a wish: what may be used (a test switches some off). As an answer: what is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caps {
    /// Page slabs are registered with the ring, so their pages are pinned once.
    pub registered_pages: bool,
    /// `SendMsgZc` (6.1): large answers leave without a copy.
    pub zero_copy: bool,
    /// A durable write is one operation (`RWF_DSYNC`) rather than a write and a flush.
    pub durable_writes: bool,
    /// `Fallocate` through the ring; else on the blocking pool.
    pub allocate: bool,
    /// The kernel does not interrupt this thread to post completions (5.19).
    pub coop_taskrun: bool,
    /// Only this thread submits (6.0).
    pub single_issuer: bool,
    /// Submissions stop at no error, so that one bad entry does not hold up the rest (5.18).
    pub submit_all: bool,
}

impl Caps {
    pub const ALL: Self = Self {
        registered_pages: true,
        zero_copy: true,
        durable_writes: true,
        allocate: true,
        coop_taskrun: true,
        single_issuer: true,
        submit_all: true,
    };
    pub const NONE: Self = Self {
        registered_pages: false,
        zero_copy: false,
        durable_writes: false,
        allocate: false,
        coop_taskrun: false,
        single_issuer: false,
        submit_all: false,
    };
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.registered_pages, "registered pages"),
            (self.zero_copy, "zero-copy send"),
            (self.durable_writes, "durable writes"),
            (self.allocate, "allocate"),
            (self.coop_taskrun, "cooperative task runs"),
            (self.single_issuer, "single issuer"),
            (self.submit_all, "submit all"),
        ];
        for (index, (has, name)) in named.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}{name}", if has { "" } else { "no " })?;
        }
        Ok(())
    }
}
