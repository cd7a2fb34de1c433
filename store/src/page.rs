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

    /// One more than asked for, to see whether there is more.
    pub(crate) fn probe(&self) -> i64 {
        i64::from(self.limit.max(1)) + 1
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

impl<T> Page<T> {
    /// A page from what a query with [`Paging::probe`] found.
    pub(crate) fn cut(mut items: Vec<T>, paging: &Paging, cursor: impl Fn(&T) -> &str) -> Self {
        let limit = paging.limit.max(1) as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| cursor(last).to_owned());
        Self { items, next }
    }
}
