//! Outbound webhooks in the store: leases, deliveries made with the cursor, order, attempts, replays, secrets.

use std::sync::atomic::Ordering;

use model::{OrganizationId, OutboundDeliveryId, WebhookEndpointId};
use serde_json::json;
use store::{
    Attempt, ChangeFilter, DeliveryFilter, DeliveryState, Derivation, EndpointNote, EndpointState,
    NewDelivery, Outcome, Paging, Replay, ReplayOf, Sent, Then, WebhookEndpoint,
};
use sync::state::Origin;
use testkit::store_suite::world::START_MS;

use crate::{Bench, DAY_MS, settled};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

async fn endpoint(bench: &Bench, organization: &OrganizationId, ordered: bool) -> WebhookEndpoint {
    let endpoint = WebhookEndpoint {
        id: WebhookEndpointId::new(7, 7),
        organization: organization.clone(),
        name: "Ours".to_owned(),
        url: "https://example.com/hook".to_owned(),
        filter: ChangeFilter::default(),
        actions: Vec::new(),
        rate: Some(5),
        ordered,
        state: EndpointState::Active,
        reason: None,
        cursor: 0,
        failing_since: None,
        created_at: START_MS,
        updated_at: START_MS,
    };
    let made = bench
        .store
        .insert_webhook_endpoint(&endpoint, SECRET, &Origin::Hub)
        .await;
    made.unwrap();
    stored(bench, &endpoint).await
}

async fn stored(bench: &Bench, endpoint: &WebhookEndpoint) -> WebhookEndpoint {
    let found = bench
        .store
        .webhook_endpoint(&endpoint.organization, &endpoint.id)
        .await;
    found.unwrap().unwrap()
}

fn delivery(seq: i64, subject: &str) -> NewDelivery {
    NewDelivery {
        id: OutboundDeliveryId::new(START_MS.unsigned_abs(), seq.unsigned_abs().into()),
        seq: Some(seq),
        subject: subject.to_owned(),
    }
}

async fn derive(bench: &Bench, endpoint: &WebhookEndpoint, from: i64, to: i64, subjects: &[&str]) -> bool {
    let derivation = Derivation {
        endpoint: endpoint.id.clone(),
        from,
        to,
        seen_at: endpoint.updated_at,
        ordered: endpoint.ordered,
        deliveries: subjects
            .iter()
            .zip(from + 1..)
            .map(|(subject, seq)| delivery(seq, subject))
            .collect(),
    };
    let accepted = bench
        .store
        .derive_deliveries(
            &endpoint.organization,
            &[derivation],
            START_MS,
            START_MS + 3 * DAY_MS,
        )
        .await
        .unwrap();
    accepted[0]
}

async fn due(bench: &Bench, endpoint: &WebhookEndpoint, now_ms: i64) -> Vec<OutboundDeliveryId> {
    let due = bench
        .store
        .due_deliveries(&endpoint.organization, &endpoint.id, now_ms, 99)
        .await;
    due.unwrap().into_iter().map(|delivery| delivery.id).collect()
}

fn sent(endpoint: &WebhookEndpoint, seq: i64, number: u32, then: Then) -> Sent {
    let outcome = if then == Then::Delivered {
        Outcome::Delivered
    } else {
        Outcome::Refused
    };
    Sent {
        organization: endpoint.organization.clone(),
        endpoint: endpoint.id.clone(),
        delivery: delivery(seq, "").id,
        attempt: Attempt {
            number,
            at: START_MS,
            took_ms: 5,
            outcome,
            status: Some(if then == Then::Delivered { 200 } else { 500 }),
            detail: (then != Then::Delivered).then(|| "oh".to_owned()),
        },
        then,
        note: None,
    }
}

#[tokio::test]
async fn deliveries_are_made_once_and_only_from_where_the_cursor_is() {
    let (bench, world) = settled().await;
    bench.event(&world, "1", json!({})).await;
    let endpoint = endpoint(&bench, &world.organization, false).await;
    let head = bench.store.latest_seq(&world.organization).await.unwrap();
    assert_eq!(endpoint.cursor, head - 1, "from now on, its own making included");
    let from = endpoint.cursor;
    assert!(derive(&bench, &endpoint, from, from + 2, &["a", "b"]).await);
    assert!(
        !derive(&bench, &endpoint, from, from + 2, &["a", "b"]).await,
        "nobody makes them twice"
    );
    assert_eq!(
        due(&bench, &endpoint, START_MS).await,
        [delivery(from + 1, "").id, delivery(from + 2, "").id]
    );
    let told = bench
        .store
        .due_deliveries(&world.organization, &endpoint.id, START_MS, 1)
        .await
        .unwrap();
    assert_eq!(told[0].change.as_ref().unwrap().entry.kind, "webhook_endpoint");
    let rotated =
        bench
            .store
            .rotate_webhook_secret(&world.organization, &endpoint.id, SECRET, START_MS, &Origin::Hub);
    assert!(rotated.await.unwrap());
    assert!(
        !derive(&bench, &endpoint, from + 2, from + 3, &["c"]).await,
        "nothing is made for an endpoint as it was"
    );

    let mut disabled = stored(&bench, &endpoint).await;
    disabled.state = EndpointState::Disabled;
    let seen = std::mem::replace(&mut disabled.updated_at, START_MS + 5);
    let update = async |seen: i64, skip: bool| {
        let done = bench
            .store
            .update_webhook_endpoint(&disabled, seen, &["state"], skip, &Origin::Hub)
            .await;
        done.unwrap()
    };
    assert!(update(seen, false).await);
    assert!(!update(seen, false).await, "it is another by now");
    assert!(
        !derive(&bench, &disabled, from + 2, from + 3, &["c"]).await,
        "a disabled one gets nothing"
    );
    assert!(update(START_MS + 5, true).await);
    assert!(
        due(&bench, &endpoint, START_MS).await.is_empty(),
        "what was missed is left out"
    );
    let head = bench.store.latest_seq(&world.organization).await.unwrap();
    assert!(stored(&bench, &endpoint).await.cursor >= head - 1);
    let gone = bench
        .store
        .delete_webhook_endpoint(&world.organization, &endpoint.id, &Origin::Hub)
        .await;
    assert!(gone.unwrap());
    let all = DeliveryFilter::default();
    let left = bench
        .store
        .deliveries(&world.organization, &endpoint.id, &all, &Paging::first(9))
        .await;
    assert!(left.unwrap().items.is_empty());
}

#[tokio::test]
async fn of_one_object_the_first_waiting_delivery_goes_and_the_rest_follow_it() {
    let (bench, world) = settled().await;
    let endpoint = endpoint(&bench, &world.organization, true).await;
    let from = endpoint.cursor;
    derive(&bench, &endpoint, from, from + 4, &["a", "a", "b", "a"]).await;
    let ids = |seqs: &[i64]| -> Vec<_> { seqs.iter().map(|seq| delivery(from + seq, "").id).collect() };
    assert_eq!(due(&bench, &endpoint, START_MS).await, ids(&[1, 3]));
    let later = START_MS + 5_000;
    let outcomes = [
        sent(&endpoint, from + 1, 1, Then::Again { at: later }),
        sent(&endpoint, from + 3, 1, Then::Delivered),
    ];
    bench.store.record_attempts(&outcomes).await.unwrap();
    assert!(
        due(&bench, &endpoint, START_MS).await.is_empty(),
        "the second waits though it is due"
    );
    let next = bench
        .store
        .next_delivery_due(&world.organization, &endpoint.id, START_MS)
        .await;
    assert_eq!(next.unwrap(), Some(later));
    assert_eq!(due(&bench, &endpoint, later).await, ids(&[1]));
    bench
        .store
        .record_attempts(&[sent(&endpoint, from + 1, 2, Then::Dead)])
        .await
        .unwrap();
    assert_eq!(due(&bench, &endpoint, later).await, ids(&[2]));
    let attempts = bench
        .store
        .delivery_attempts(&world.organization, &ids(&[1])[0])
        .await
        .unwrap();
    assert_eq!(
        attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(),
        [1, 2]
    );

    let replay = |states: Vec<DeliveryState>| Replay {
        of: ReplayOf::Time {
            from_ms: START_MS,
            to_ms: START_MS + 1,
        },
        states,
        deadline_ms: later + 3 * DAY_MS,
    };
    let (org, id) = (&world.organization, &endpoint.id);
    let dead = bench
        .store
        .replay_deliveries(org, id, &replay(vec![DeliveryState::Dead]))
        .await;
    assert_eq!(dead.unwrap(), 1);
    assert_eq!(
        due(&bench, &endpoint, later).await,
        ids(&[1]),
        "what is replayed goes before what came later"
    );
    let by_id = Replay {
        of: ReplayOf::Ids(ids(&[1, 3])),
        ..replay(vec![DeliveryState::Dead, DeliveryState::Delivered])
    };
    assert_eq!(
        bench.store.replay_deliveries(org, id, &by_id).await.unwrap(),
        1,
        "one waits anyway"
    );
}

#[tokio::test]
async fn what_attempts_say_of_an_endpoint_is_kept() {
    let (bench, world) = settled().await;
    let endpoint = endpoint(&bench, &world.organization, false).await;
    let from = endpoint.cursor;
    derive(&bench, &endpoint, from, from + 2, &["a", "b"]).await;
    let mut failing = sent(&endpoint, from + 1, 1, Then::Again { at: START_MS + 9_000 });
    failing.note = Some(EndpointNote::Failing);
    bench.store.record_attempts(&[failing.clone()]).await.unwrap();
    bench.clock.0.store(START_MS + 1_000, Ordering::SeqCst);
    bench.store.record_attempts(&[failing]).await.unwrap();
    assert_eq!(
        stored(&bench, &endpoint).await.failing_since,
        Some(START_MS),
        "since the first"
    );
    let mut well = sent(&endpoint, from + 2, 1, Then::Delivered);
    well.note = Some(EndpointNote::Well);
    bench.store.record_attempts(&[well.clone()]).await.unwrap();
    assert_eq!(stored(&bench, &endpoint).await.failing_since, None);
    assert!(due(&bench, &endpoint, START_MS + 1_000).await.is_empty());
    well.note = Some(EndpointNote::Back);
    bench.store.record_attempts(&[well]).await.unwrap();
    assert_eq!(
        due(&bench, &endpoint, START_MS + 1_000).await.len(),
        1,
        "what waited is due now"
    );
    let before = bench.store.latest_seq(&world.organization).await.unwrap();
    let mut gone = sent(&endpoint, from + 1, 2, Then::Again { at: START_MS + 9_000 });
    gone.note = Some(EndpointNote::Disabled("gone".to_owned()));
    bench.store.record_attempts(&[gone]).await.unwrap();
    let disabled = stored(&bench, &endpoint).await;
    assert_eq!(
        (disabled.state, disabled.reason.as_deref()),
        (EndpointState::Disabled, Some("gone"))
    );
    let news = bench
        .store
        .changes_after(&world.organization, before, &ChangeFilter::default(), 9)
        .await;
    assert_eq!(news.unwrap()[0].entry.changed, ["state", "reason"]);
}

#[tokio::test]
async fn an_endpoint_is_leased_by_one_node_until_it_lets_go() {
    let (bench, world) = settled().await;
    assert!(
        bench
            .store
            .lease_webhook_endpoints("one", START_MS, 1_000)
            .await
            .unwrap()
            .is_empty()
    );
    endpoint(&bench, &world.organization, false).await;
    let lease = async |node: &str, at: i64| {
        bench
            .store
            .lease_webhook_endpoints(node, at, 1_000)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(lease("one", START_MS).await, 1);
    assert_eq!(lease("two", START_MS + 500).await, 0);
    assert_eq!(lease("one", START_MS + 500).await, 1, "kept");
    assert_eq!(lease("two", START_MS + 1_499).await, 0);
    assert_eq!(lease("two", START_MS + 1_500).await, 1, "run out");
    assert_eq!(lease("one", START_MS + 1_500).await, 0);
    bench.store.release_webhook_endpoints("two").await.unwrap();
    assert_eq!(lease("one", START_MS + 1_501).await, 1);
}

#[tokio::test]
async fn at_most_two_secrets_live_and_they_are_another_endpoints_to_nobody() {
    let (bench, world) = settled().await;
    let endpoint = endpoint(&bench, &world.organization, false).await;
    let (org, id) = (&world.organization, &endpoint.id);
    let live = async || -> Vec<String> {
        let secrets = bench.store.webhook_secrets(org, id).await.unwrap();
        secrets.iter().map(|secret| secret.text.to_string()).collect()
    };
    assert_eq!(live().await, [SECRET]);
    for (secret, keep) in [("whsec_two", 5_000), ("whsec_three", 5_000)] {
        let rotated = bench
            .store
            .rotate_webhook_secret(org, id, secret, START_MS + keep, &Origin::Hub)
            .await;
        assert!(rotated.unwrap());
    }
    assert_eq!(live().await, ["whsec_three", "whsec_two"]);
    bench.clock.0.store(START_MS + 5_000, Ordering::SeqCst);
    assert_eq!(live().await, ["whsec_three"]);
    let stranger = OrganizationId::new(1, 1);
    assert!(
        bench
            .store
            .webhook_secrets(&stranger, id)
            .await
            .unwrap()
            .is_empty()
    );
    let rotated = bench
        .store
        .rotate_webhook_secret(&stranger, id, "whsec_x", 0, &Origin::Hub)
        .await;
    assert!(matches!(rotated, Ok(false) | Err(_)));
    assert_eq!(live().await, ["whsec_three"]);
}
