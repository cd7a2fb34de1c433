//! Cursor paging: lists go on after the last id that was seen.

/// Which piece of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Goes on after this cursor, as an earlier page gave it.
    pub after: Option<String>,
    /// At most this many.
    pub limit: u32,
}

impl Paging {
    /// The first piece.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }
}

/// A piece of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Where the next piece begins; `None` at the end.
    pub next: Option<String>,
}
