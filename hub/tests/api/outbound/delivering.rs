//! What arrives: everything, in order where asked, with the same id however often it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::sync::state::Origin;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hub::outbound::Limits;
use testkit::harness::until;

use super::bed::{Bed, HOUR, MINUTE, SECRET, eventually};
use super::receiver::Receiver;
use crate::server::LIMIT;

#[tokio::test]
async fn what_is_committed_after_a_secret_was_replaced_elsewhere_is_signed_with_the_new_one() {
    const NEW: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    let endpoint = bed.endpoint(&receiver.url, false).await;
    bed.change(&["rec_1"]).await;
    eventually(&bed, "the first delivery", async || receiver.count() == 1).await;
    assert!(receiver.received()[0].is_signed_with(SECRET));
    let now_ms = bed.stored(&endpoint).await.updated_at;
    let rotated = bed
        .store
        .rotate_webhook_secret(&bed.organization, &endpoint, NEW, now_ms, &Origin::Hub);
    // Nobody tells the dispatcher, as when it is asked of another node.
    assert!(rotated.await.unwrap());
    bed.change(&["rec_1"]).await;
    eventually(&bed, "the second delivery", async || receiver.count() == 2).await;
    let second = receiver.received().remove(1);
    assert!(second.is_signed_with(NEW) && !second.is_signed_with(SECRET));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_down_for_a_day_gets_everything_once_it_is_back() {
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    receiver.answer_status(503);
    let endpoint = bed.endpoint(&receiver.url, false).await;
    let mut seqs = BTreeSet::new();
    for step in 0..(24 * HOUR) / (10 * MINUTE) {
        if step % 6 == 0 {
            seqs.extend(bed.change(&["rec_1", "rec_2", "rec_3"]).await);
        }
        bed.pass(10 * MINUTE, &endpoint).await;
    }
    assert!(receiver.taken().is_empty());
    let tried = receiver.count();
    assert!(
        tried < 1_500,
        "an endpoint that is down is left alone: {tried} attempts"
    );
    assert!(bed.stored(&endpoint).await.failing_since.is_some());

    receiver.answer_status(200);
    let taken = || -> BTreeSet<i64> { receiver.taken().iter().map(|one| one.seq()).collect() };
    for _ in 0..(12 * HOUR) / (10 * MINUTE) {
        bed.pass(10 * MINUTE, &endpoint).await;
        if taken() == seqs {
            break;
        }
    }
    // What was held back is made once something arrived.
    eventually(&bed, "everything to arrive", async || taken() == seqs).await;
    bed.quiet(&endpoint).await;
    assert_eq!(receiver.taken().len(), seqs.len(), "each arrived once");
    let mut ids: BTreeMap<i64, BTreeSet<(String, Vec<u8>)>> = BTreeMap::new();
    for one in receiver.received() {
        assert!(one.is_signed_with(SECRET));
        ids.entry(one.seq())
            .or_default()
            .insert((one.id.clone(), one.body.clone()));
    }
    assert!(
        ids.values().all(|same| same.len() == 1),
        "ids and bodies are the same in every attempt"
    );
    assert!(bed.stored(&endpoint).await.failing_since.is_none());
    let most = bed
        .deliveries(&endpoint)
        .await
        .into_iter()
        .max_by_key(|one| one.attempts)
        .unwrap();
    until("the last attempt to be written down", LIMIT, async || {
        let attempts = bed
            .store
            .delivery_attempts(&bed.organization, &most.id)
            .await
            .unwrap();
        let sent = receiver
            .received()
            .iter()
            .filter(|one| one.id == most.id.as_str())
            .count();
        (attempts.len() == sent && sent > 5).then_some(())
    })
    .await
    .unwrap();
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_object_wait_for_each_other_where_asked_and_others_do_not_wait() {
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    // Every third request fails, and everything about one object fails for an hour.
    receiver.answer(|one, place| {
        let stuck = one.json()["data"]["id"] == "rec_stuck";
        if stuck || place % 3 == 0 {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        StatusCode::OK.into_response()
    });
    let endpoint = bed.endpoint(&receiver.url, true).await;
    for _ in 0..10 {
        bed.change(&["rec_stuck", "rec_1", "rec_2", "rec_3"]).await;
    }
    let arrived = |subject: &'static str| -> Vec<i64> {
        let taken = receiver.taken().into_iter();
        taken
            .filter(|one| one.json()["data"]["id"] == subject)
            .map(|one| one.seq())
            .collect()
    };
    for _ in 0..24 {
        bed.pass(30 * MINUTE, &endpoint).await;
    }
    eventually(&bed, "the others to arrive", async || {
        ["rec_1", "rec_2", "rec_3"]
            .iter()
            .all(|subject| arrived(subject).len() == 10)
    })
    .await;
    for subject in ["rec_1", "rec_2", "rec_3"] {
        assert!(arrived(subject).is_sorted(), "{subject}: {:?}", arrived(subject));
    }
    assert!(arrived("rec_stuck").is_empty());
    let stuck: BTreeSet<i64> = receiver
        .received()
        .iter()
        .filter(|one| one.json()["data"]["id"] == "rec_stuck")
        .map(|one| one.seq())
        .collect();
    assert_eq!(stuck.len(), 1, "only the first was ever sent");

    receiver.answer_status(200);
    for _ in 0..24 {
        bed.pass(30 * MINUTE, &endpoint).await;
    }
    eventually(&bed, "the stuck ones to arrive", async || {
        arrived("rec_stuck").len() == 10
    })
    .await;
    assert!(arrived("rec_stuck").is_sorted());
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_between_sending_and_writing_it_down_sends_it_again_with_the_same_id() {
    let receiver = Receiver::start().await;
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let url = receiver.url.clone();
    let (held, died) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (holds, ends) = (Arc::clone(&held), Arc::clone(&died));
    receiver.answer(move |_, place| {
        // The first is taken, and its sender dies before it hears of that.
        tokio::task::block_in_place(|| {
            while place == 0 && !ends.load(Ordering::SeqCst) {
                holds.store(true, Ordering::SeqCst);
                std::thread::yield_now();
            }
        });
        StatusCode::OK.into_response()
    });
    let begun = tokio::task::spawn_blocking(move || {
        let kept = other.block_on(async {
            let bed = Bed::new().await;
            bed.endpoint(&url, false).await;
            bed.change(&["rec_1"]).await;
            (Arc::clone(&bed.clock), Arc::clone(&bed.place))
        });
        (other, kept)
    });
    let (other, (clock, place)) = begun.await.unwrap();
    until("the receiver to hold it", LIMIT, async || {
        held.load(Ordering::SeqCst).then_some(())
    })
    .await
    .unwrap();
    other.shutdown_background();
    died.store(true, Ordering::SeqCst);
    let bed = Bed::open(place, clock, Limits::default()).await;
    eventually(&bed, "it to arrive", async || !receiver.taken().is_empty()).await;
    let endpoints = bed
        .store
        .webhook_endpoints(&bed.organization, &store::Paging::first(9))
        .await;
    let endpoint = endpoints.unwrap().items.remove(0).id;
    let mut delivered = Vec::new();
    eventually(&bed, "it to be written down", async || {
        delivered = bed.deliveries(&endpoint).await;
        delivered.len() == 1 && delivered[0].ended_at.is_some()
    })
    .await;
    let ids: BTreeSet<String> = receiver.received().into_iter().map(|one| one.id).collect();
    assert_eq!(ids, BTreeSet::from([delivered[0].id.to_string()]));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_larger_than_what_fits_into_memory_arrives_whole() {
    let bed = Bed::new().await;
    let receiver = Receiver::start().await;
    let endpoint = bed.endpoint(&receiver.url, false).await;
    let mut seqs = BTreeSet::new();
    for _ in 0..30 {
        seqs.extend(bed.change(&["rec_1"; 150]).await);
    }
    eventually(&bed, "all of it", async || receiver.count() >= seqs.len()).await;
    bed.quiet(&endpoint).await;
    let taken: Vec<i64> = receiver.taken().iter().map(|one| one.seq()).collect();
    assert_eq!(taken.len(), seqs.len(), "each once");
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), seqs);
    bed.stop().await;
}
