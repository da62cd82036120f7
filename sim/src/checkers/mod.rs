//! What must hold, each in a file of its own and apart from the workload: a workload that also judges forgives itself.

pub mod compacted;
pub mod contents;
pub mod epochs;
pub mod producers;
pub mod rot;
pub mod times;
pub mod watermarks;
