//! Trouble that a test orders: which call fails, how, and whether it takes effect all the same.

use connector_sdk::ErrorKind;

/// A call that the provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The list of collections.
    Collections,
    /// One page of a pull.
    Page,
    /// Single objects.
    Fetch,
    /// A create, update or delete.
    Write,
    /// The look for a created object.
    Probe,
}

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing happened at the provider.
    Before,
    /// It took effect; only the answer was lost.
    After,
}

/// One failure to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Of which call.
    pub operation: Operation,
    /// How many such calls pass unharmed first.
    pub skip: usize,
    /// With or without effect.
    pub when: When,
    /// What the caller is told.
    pub kind: ErrorKind,
}

impl Fault {
    /// The next such call fails without effect.
    #[must_use]
    pub fn next(operation: Operation, kind: ErrorKind) -> Self {
        Self {
            operation,
            skip: 0,
            when: When::Before,
            kind,
        }
    }

    /// The next write takes effect and its answer is lost.
    #[must_use]
    pub fn lost_answer() -> Self {
        Self {
            operation: Operation::Write,
            skip: 0,
            when: When::After,
            kind: ErrorKind::Unavailable,
        }
    }

    /// The same, after so many calls that pass.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }
}
