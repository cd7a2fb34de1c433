//! The kind `folder`: a collection of messages as its owner sees it.

use serde::{Deserialize, Serialize};

use crate::canonical::already_canonical;
use crate::record::kind;
use crate::schema::MergeClass::{Scalar, Text};

kind! {
    /// A folder of a mailbox.
    Folder, "folder" {
        /// Display name: the last part of its path.
        name: String => Text, Shared;
        /// Its path from the root of the mailbox, parts parted by `/`.
        path: String => Text, Shared, read_only;
        /// What the account uses it for; absent for a folder of the owner's own.
        role: FolderRole => Scalar, PerLink, read_only;
        /// Whether the account may write to it.
        read_only: bool => Scalar, PerLink, read_only;
    }
}

/// What an account uses a folder for: the inbox, and the special uses of RFC 6154 section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FolderRole {
    /// Where mail arrives.
    Inbox,
    /// What was sent.
    Sent,
    /// What is being written.
    Drafts,
    /// What was thrown away.
    Trash,
    /// What is taken for unwanted.
    Junk,
    /// What was put away.
    Archive,
    /// A view of all messages.
    All,
    /// A view of all flagged messages.
    Flagged,
}

already_canonical!(FolderRole);
