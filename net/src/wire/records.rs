//! Record data in answers is not copied into the writer's buffer: the writer leaves holes, and the connection sends
//! buffer and slices as one scatter-gather operation.

/// Record data that the caller keeps, `bytes` long, found again by `slot`: the caller's own index into its list of
/// slices. The codec never looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsRef {
    pub bytes: usize,
    pub slot: usize,
}

impl RecordsRef {
    /// No records, which is not null: what a fetch answers when there is nothing to read. Leaves no hole.
    pub const EMPTY: Self = Self { bytes: 0, slot: 0 };
}

/// `bytes` of record data from `slot` belong before the byte at `position` of the writer's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    pub position: usize,
    pub bytes: usize,
    pub slot: usize,
}
