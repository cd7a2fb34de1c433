//! Behaviour suite for stores: what the engine relies on, executed against any implementation of its ports.
//!
//! A store joins with a [`Subject`] and one line, `testkit::store_suite!(make)`, which makes a test of each case.
//! The cases speak to the ports only, so that every engine answers to the same sentences.

pub mod commits;
pub mod effects;
pub mod feed;
pub mod freshness;
pub mod history;
pub mod linking;
pub mod queue;
pub mod reads;
pub mod tenancy;
pub mod world;

use std::sync::Arc;

use async_trait::async_trait;
use model::{OrganizationId, RecordId};
use sync::history::HistoryEntry;
use sync::ports::{Jobs, Store};
use sync::state::{Connection, FeedEntry};

/// A store on an empty database, and what the suite needs of it beyond the ports.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// Its queue.
    fn jobs(&self) -> Arc<dyn Jobs>;

    /// Adds a connection; credentials do not matter.
    async fn add_connection(&self, connection: &Connection) -> anyhow::Result<()>;

    /// An organization's whole feed, in order.
    async fn feed(&self, organization: &OrganizationId) -> anyhow::Result<Vec<(i64, FeedEntry)>>;

    /// A record's whole history, newest first.
    async fn history(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> anyhow::Result<Vec<HistoryEntry>>;
}

/// Makes a test of every case. The argument is an async function that answers with a fresh [`Subject`].
#[macro_export]
macro_rules! store_suite {
    ($make:ident) => {
        $crate::store_suite!(@cases $make, commits:
            what_is_written_reads_back_as_it_was,
            a_stale_record_is_refused_and_nothing_is_written,
            a_stale_link_is_refused_and_nothing_is_written,
            a_failing_last_effect_undoes_all_before_it,
            a_lost_fence_writes_nothing,
            a_remote_object_has_one_link_and_a_record_one_per_collection,
            effects_of_one_batch_see_those_before_them,
            a_large_page_is_written_whole,
        );
        $crate::store_suite!(@cases $make, effects:
            a_dropped_link_takes_what_hangs_on_it_and_frees_its_remote_object,
            a_touch_marks_the_other_links_and_makes_their_readers_stale,
            a_listing_keeps_what_the_hub_knows_of_a_collection,
            a_conflict_is_resolved_once,
            a_hold_that_was_answered_meanwhile_is_not_put_over,
            a_pause_outlives_the_reports_of_a_sync,
            an_intent_is_written_down_once,
            links_of_one_batch_may_exchange_their_remote_objects,
            a_remote_object_changes_hands_within_a_batch_in_any_order,
            a_link_moves_to_another_record_and_collection,
        );
        $crate::store_suite!(@cases $make, reads:
            known_names_every_part_and_what_is_in_quarantine,
            what_is_in_quarantine_is_found_by_its_object_and_when_it_is_due,
            linked_finds_the_part_that_a_remote_id_belongs_to,
            records_with_links_elsewhere_are_paged_in_their_order,
            links_to_send_come_when_they_are_due_oldest_first,
            originals_come_back_byte_by_byte,
            mirrors_are_found_by_their_members,
        );
        $crate::store_suite!(@cases $make, linking:
            members_come_with_their_link_in_order_of_the_records,
            records_are_found_by_their_uid,
            what_people_decided_of_a_record_and_a_collection_is_kept,
            a_batch_that_expects_no_write_on_its_way_is_refused_while_there_is_one,
        );
        $crate::store_suite!(@cases $make, feed:
            the_feed_is_dense_and_in_order_under_concurrent_commits,
            a_commit_that_fails_leaves_no_gap_in_the_feed,
        );
        $crate::store_suite!(@cases $make, freshness:
            the_last_freshness_of_an_object_stands,
            an_object_that_loses_its_link_is_not_known_to_be_new_any_more,
            a_commit_that_fails_leaves_freshness_as_it_was,
        );
        $crate::store_suite!(@cases $make, history:
            history_reads_back_newest_first_for_each_record,
            the_oldest_history_of_a_record_goes_beyond_the_bound,
            a_commit_that_fails_leaves_no_history,
        );
        $crate::store_suite!(@cases $make, queue:
            a_lane_is_worked_on_by_one_at_a_time,
            a_job_is_claimed_once_by_however_many_ask,
            a_lost_lease_is_taken_over_before_other_work_of_its_lane,
            a_heartbeat_keeps_a_job,
            live_work_has_a_head_start_and_nothing_starves,
            identical_work_that_waits_is_joined_and_the_earlier_time_holds,
            a_failed_job_waits_for_its_next_attempt_and_one_without_ends,
            a_retry_joins_identical_work_that_waits_by_then,
        );
        $crate::store_suite!(@cases $make, tenancy:
            another_organization_finds_nothing,
            another_organization_changes_nothing,
        );
    };
    (@cases $make:ident, $room:ident: $($case:ident),* $(,)?) => {
        mod $room {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let subject = super::$make().await;
                    if let Err(error) = $crate::store_suite::$room::$case(&subject).await {
                        panic!("{error:?}");
                    }
                }
            )*
        }
    };
}
