//! All faults that can be planted.

use std::sync::Arc;

use super::Planted;
use super::connector::{NoSilence, at_connector};
use super::jobs::HandedOutTwice;
use super::store::at_store;
use super::{commits, objects, pages, snapshots, writes};

/// A row: name, mistake, the invariants that it may break, how it is planted.
macro_rules! planted {
    ($( $name:literal, $mistake:literal, $breaks:expr, $plant:expr; )*) => {
        /// All faults that can be planted.
        pub const PLANTS: &[Planted] = &[$( Planted {
            name: $name,
            mistake: $mistake,
            breaks: &$breaks,
            plant: || $plant,
        } ),*];
    };
}

planted! {
    "no-base", "both sides are compared without what they had in common",
        [1, 2, 3, 4, 7], at_store::<snapshots::NoBase>();
    "base-follows-hub", "the base of the merge is whatever the hub says now, so the hub never seems to have changed",
        [1, 3], at_store::<snapshots::BaseFollowsHub>();
    "advanced-early", "the snapshots say that the provider has a value before it has taken it",
        [1, 3], at_store::<snapshots::AdvancedEarly>();
    "no-local", "what belongs to one account alone (reminders, private notes) is forgotten",
        [1, 3], at_store::<snapshots::NoLocal>();
    "refusals-swallowed", "a write that the provider refused counts as done",
        [1, 3], at_store::<snapshots::RefusalsSwallowed>();
    "parts-mixed-up", "the objects of a series' occurrences are told apart by their order",
        [1, 3, 9, 11, 14], at_store::<snapshots::PartsMixedUp>();
    "no-tombstones", "what is deleted is forgotten at once, wherever else it still is",
        [1, 4, 15], at_store::<snapshots::NoTombstones>();
    "no-intent", "writes are sent without being written down first",
        [8], at_store::<commits::NoIntent>();
    "no-touch", "the other links of a changed record are not marked",
        [1, 3], at_store::<commits::NoTouch>();
    "no-conflict-log", "the value that lost is kept nowhere",
        [3], at_store::<commits::NoConflictLog>();
    "no-complement", "the rest of the provider's object, which the model does not know, is not kept",
        [11], at_store::<commits::NoComplement>();
    "no-fence", "a node that slept may write late",
        [1, 3, 4, 12, 15], at_store::<commits::NoFence>();
    "cursor-first", "the cursor is stored before what it stands behind",
        [1, 3, 12, 15], at_store::<commits::CursorFirst>();
    "no-transaction", "a record is committed, and then what follows from it",
        [1, 3, 4, 12, 15], at_store::<commits::NoTransaction>();
    "last-write-wins", "whoever writes last is right, whatever was there when it was read",
        [1, 3, 4, 8], at_store::<commits::LastWriteWins>();
    "job-twice", "a job is handed out once more while somebody works on it",
        [1, 3, 4, 8, 12, 15], Arc::new(HandedOutTwice);
    "absence-is-delete", "what a full list does not name is gone, and nobody asks",
        [5, 6], at_connector::<pages::AbsenceIsDelete>();
    "error-is-end", "a list that broke off counts as the whole list",
        [5, 6], at_connector::<pages::ErrorIsEnd>();
    "forbidden-is-gone", "an object that the account may not see counts as gone",
        [5, 6], at_connector::<pages::ForbiddenIsGone>();
    "unreadable-is-gone", "an object that cannot be understood counts as gone",
        [5, 6], at_connector::<objects::UnreadableIsGone>();
    "poison-stops-page", "one object that cannot be understood fails the page that it is on",
        [1, 15], at_connector::<pages::PoisonStopsPage>();
    "cursor-early", "the cursor comes with the first page already",
        [1, 3, 12, 15], at_connector::<pages::CursorEarly>();
    "no-deletes", "tombstones in deltas are overlooked",
        [1, 4], at_connector::<pages::NoDeletes>();
    "fetch-from-cache", "objects asked for by name come from a cache",
        [1, 2, 3, 4, 9], at_connector::<pages::FetchFromCache>();
    "null-is-absent", "a delta's null is read as a field that was not said",
        [1, 3], at_connector::<objects::NullIsAbsent>();
    "absent-is-null", "what a delta does not say is read as cleared",
        [1, 3, 6], at_connector::<objects::AbsentIsNull>();
    "zone-becomes-utc", "a zone that nobody knows becomes UTC",
        [1, 10], at_connector::<objects::ZoneBecomesUtc>();
    "rich-text-flattened", "rich text is read as plain text",
        [1, 10, 11], at_connector::<objects::RichTextFlattened>();
    "keys-stay", "overrides keep their keys when their series moves",
        [1, 3, 11], at_connector::<objects::KeysStay>();
    "projects-too-little", "the connector says that the provider cannot hold what it can",
        [1, 3], at_connector::<objects::ProjectsTooLittle>();
    "mails", "the connector forgets to tell the provider that nobody is to be mailed",
        [16], Arc::new(NoSilence);
    "silence-assumed", "the connector says that the provider mails nobody, though it always does",
        [16], at_connector::<objects::SilenceAssumed>();
    "create-blindly", "a create whose answer was lost is sent again as a new one",
        [8], at_connector::<writes::CreateBlindly>();
    "no-probe", "nobody looks whether a create was carried out",
        [1, 2, 8], at_connector::<writes::NoProbe>();
    "unconditional", "writes are sent without the version that was read",
        [9], at_connector::<writes::Unconditional>();
    "forces-conflicts", "a write that is refused because the object changed is sent again without a condition",
        [9], at_connector::<writes::ForcesConflicts>();
    "conflict-is-success", "an update that is refused because the object changed counts as done",
        [1, 3], at_connector::<writes::ConflictIsSuccess>();
    "whole-content", "an update sends all that the record says, not only what changed",
        [11], at_connector::<writes::WholeContent>();
    "answer-assumed", "what was sent counts as what the provider holds",
        [1, 2, 3], at_connector::<writes::AnswerAssumed>();
    "echo-by-time", "whatever is seen of an object soon after it was written counts as an echo",
        [1, 3, 4], at_connector::<writes::EchoByTime>();
    "clocks-compared", "of two states the one with the later time is taken, by two clocks",
        [1, 3, 4], at_connector::<writes::ClocksCompared>();
}
