//! What happens to deliveries and endpoints that fail for good.

use ::sync::state::Origin;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use connector_sdk::Clock as _;
use store::{ChangeFilter, DeliveryState, EndpointState, Replay, ReplayOf};

use super::bed::{Bed, HOUR, MINUTE, eventually};
use super::receiver::Receiver;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_days_of_failures_the_endpoint_is_disabled_and_what_was_given_up_can_be_replayed() {
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    receiver.answer_status(500);
    let endpoint = bed.endpoint(&receiver.url, false).await;
    let early = bed.change(&["rec_1", "rec_2"]).await;
    let before = bed.store.latest_seq(&bed.organization).await.unwrap();
    for _ in 0..148 {
        bed.pass(30 * MINUTE, &endpoint).await;
        bed.change(&["rec_3"]).await;
        if bed.stored(&endpoint).await.state == EndpointState::Disabled {
            break;
        }
    }
    let disabled = bed.stored(&endpoint).await;
    assert_eq!(disabled.state, EndpointState::Disabled);
    assert!(disabled.reason.unwrap().contains("72 hours"));
    let everything = ChangeFilter {
        kinds: vec!["webhook_endpoint".to_owned()],
        connections: Vec::new(),
    };
    let notice = bed
        .store
        .changes_after(&bed.organization, before, &everything, 9)
        .await
        .unwrap();
    assert_eq!(notice.len(), 1, "it is told once");
    assert_eq!(notice[0].entry.changed, ["state", "reason"]);
    let dead: Vec<_> = bed
        .deliveries(&endpoint)
        .await
        .into_iter()
        .filter(|delivery| delivery.state == DeliveryState::Dead)
        .collect();
    assert!(dead.len() >= 2, "{dead:?}");
    assert!(dead.iter().any(|delivery| delivery.attempts >= 14), "{dead:?}");

    // Nothing is sent while it is disabled.
    let tried = receiver.count();
    bed.change(&["rec_4"]).await;
    bed.pass(HOUR, &endpoint).await;
    assert_eq!(receiver.count(), tried);

    receiver.answer_status(200);
    let mut awake = bed.stored(&endpoint).await;
    (awake.state, awake.reason, awake.failing_since) = (EndpointState::Active, None, None);
    let seen_at = std::mem::replace(&mut awake.updated_at, bed.clock.now_ms());
    let updated = bed
        .store
        .update_webhook_endpoint(&awake, seen_at, &["state"], false, &Origin::Hub)
        .await;
    assert!(updated.unwrap());
    bed.dispatcher.endpoints_changed();
    let replay = Replay {
        of: ReplayOf::Time {
            from_ms: 0,
            to_ms: i64::MAX,
        },
        states: vec![DeliveryState::Dead],
        deadline_ms: bed.clock.now_ms() + 72 * HOUR,
    };
    let replayed = bed
        .store
        .replay_deliveries(&bed.organization, &endpoint, &replay)
        .await
        .unwrap();
    assert_eq!(replayed as usize, dead.len());
    bed.dispatcher.deliveries_changed(&bed.organization, &endpoint);
    let last = bed.store.latest_seq(&bed.organization).await.unwrap();
    eventually(&bed, "everything to arrive", async || {
        let taken: Vec<i64> = receiver.taken().iter().map(|one| one.seq()).collect();
        let filter = ChangeFilter {
            kinds: vec!["event".to_owned()],
            connections: Vec::new(),
        };
        let store = &bed.store;
        let of_events = store
            .changes_after(&bed.organization, early[0] - 1, &filter, 1_000)
            .await
            .unwrap();
        assert!(last >= of_events.last().unwrap().seq);
        of_events.iter().all(|change| taken.contains(&change.seq))
    })
    .await;
    for delivery in &dead {
        let again = receiver
            .taken()
            .into_iter()
            .filter(|one| one.id == delivery.id.as_str())
            .count();
        assert_eq!(again, 1, "replayed under its own id");
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_for_good_is_asked_no_more() {
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    receiver.answer_status(410);
    let endpoint = bed.endpoint(&receiver.url, false).await;
    bed.change(&["rec_1"]).await;
    eventually(&bed, "the endpoint to be disabled", async || {
        bed.stored(&endpoint).await.state == EndpointState::Disabled
    })
    .await;
    assert!(bed.stored(&endpoint).await.reason.unwrap().contains("410"));
    bed.change(&["rec_2"]).await;
    for _ in 0..10 {
        bed.pass(HOUR, &endpoint).await;
    }
    assert_eq!(receiver.count(), 1);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_asks_for_time_gets_it_for_all_its_deliveries() {
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    receiver.answer(|_, place| match place {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "900")]).into_response(),
        _ => StatusCode::OK.into_response(),
    });
    let endpoint = bed.endpoint(&receiver.url, false).await;
    bed.change(&["rec_1"]).await;
    bed.quiet(&endpoint).await;
    eventually(&bed, "the first attempt", async || receiver.count() == 1).await;
    bed.quiet(&endpoint).await;
    bed.change(&["rec_2"]).await;
    for _ in 0..14 {
        bed.clock_only(MINUTE);
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.count(), 1, "14 minutes are not 15");
    bed.clock_only(2 * MINUTE);
    eventually(&bed, "both to arrive", async || receiver.taken().len() == 2).await;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_a_rate_is_kept_to() {
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    let endpoint = bed.endpoint(&receiver.url, false).await;
    let mut slow = bed.stored(&endpoint).await;
    (slow.rate, slow.updated_at) = (Some(1), slow.updated_at + 1);
    let updated = bed
        .store
        .update_webhook_endpoint(
            &slow,
            slow.updated_at - 1,
            &["rate_per_second"],
            false,
            &Origin::Hub,
        )
        .await;
    assert!(updated.unwrap());
    bed.dispatcher.endpoints_changed();
    let begun = bed.clock.now_ms();
    bed.change(&["rec_1"; 20]).await;
    eventually(&bed, "all of them", async || receiver.count() == 20).await;
    assert!(
        bed.clock.now_ms() - begun >= 18_000,
        "{} ms",
        bed.clock.now_ms() - begun
    );
    bed.stop().await;
}
