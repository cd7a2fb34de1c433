//! The way from SQLite to PostgreSQL.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

#[path = "queries/bench.rs"]
mod bench;
mod place;

use bench::settled;
use connector_sdk::Credentials;
use place::Place;
use serde_json::json;
use store::{ChangeFilter, CopyError, OpenMode, Paging};
use sync::ports::{Effect, Jobs, Store};
use sync::state::Origin;
use testkit::store_suite::world::{START_MS, connection};

fn fresh_place() -> Place {
    Place::new()
}

#[tokio::test]
async fn everything_comes_along_and_goes_on_where_it_was() {
    let (bench, world) = settled().await;
    let org = &world.organization;
    let mut views = Vec::new();
    for number in 0..700 {
        let fields = json!({"title": format!("Event {number} \u{0} \u{1f4c5}")});
        views.push(bench.event(&world, &format!("{number}"), fields).await);
    }
    let mut poison = world.quarantined("bad\0name", "v1");
    poison.raw = bytes::Bytes::from_static(b"\0\xff\xfe raw");
    bench
        .commit(&world, vec![Effect::Quarantine(Box::new(poison.clone()))])
        .await;
    let secret: Credentials =
        Credentials::from_json(json!({"password": "hunter2"}).as_object().unwrap()).unwrap();
    let sealed = connection(org);
    bench
        .store
        .insert_connection(&sealed, &secret, &Origin::Hub)
        .await
        .unwrap();
    bench.store.enqueue(world.sync(START_MS)).await.unwrap();

    let target = Place::on_postgres();
    let new = target.try_open(bench.place.key(), OpenMode::Serve).await.unwrap();
    let mut told = Vec::new();
    let copied = store::copy(&bench.store, &new, |table| told.push(table.clone()))
        .await
        .unwrap();
    assert_eq!(told, copied);
    let (before, after) = (bench.store.facts(0).await.unwrap(), new.facts(0).await.unwrap());
    assert_eq!(before.rows, after.rows);
    assert!(before.rows.contains(&("records".to_owned(), 700)));

    for (record, link) in [&views[0], &views[699]] {
        let view = new.record_view(org, &record.id).await.unwrap().unwrap();
        assert_eq!((&view.record, &view.links[0]), (record, link));
        let (old, copy) = (
            bench.store.raws(org, &link.id).await,
            new.raws(org, &link.id).await,
        );
        assert_eq!(old.unwrap(), copy.unwrap());
    }
    let feed = ChangeFilter::default();
    assert_eq!(
        bench.store.changes_after(org, 0, &feed, 10_000).await.unwrap(),
        new.changes_after(org, 0, &feed, 10_000).await.unwrap()
    );
    let found = new
        .quarantined(org, &Default::default(), &Paging::first(9))
        .await
        .unwrap();
    assert_eq!(found.items[0].raw, poison.raw);
    assert_eq!(
        found.items[0].remote.0, "bad\u{fffd}name",
        "PostgreSQL has no NUL in texts"
    );
    let unsealed = new.credentials(org, &sealed.id).await.unwrap().unwrap();
    assert_eq!(unsealed.expose(), secret.expose());
    // Work goes on there, and numbers after the last.
    let job = new.claim("new", START_MS, 1_000, 9).await.unwrap().remove(0);
    let (_, _, effects) = world.arrival("After", "after");
    let last = new.latest_seq(org).await.unwrap();
    new.commit(org, Some(&job.fence), effects).await.unwrap();
    assert_eq!(new.latest_seq(org).await.unwrap(), last + 1);
}

#[tokio::test]
async fn a_database_in_which_something_is_stays_as_it_is() {
    let (bench, _) = settled().await;
    let target = Place::on_postgres();
    let new = target.try_open(bench.place.key(), OpenMode::Serve).await.unwrap();
    let there = connection(&model::OrganizationId::new(7, 7));
    new.insert_connection(&there, &Credentials::default(), &Origin::Hub)
        .await
        .unwrap();
    let before = new.facts(0).await.unwrap().rows;
    let refused = store::copy(&bench.store, &new, |_| {}).await.unwrap_err();
    assert!(matches!(refused, CopyError::NotEmpty(_)), "{refused}");
    assert_eq!(new.facts(0).await.unwrap().rows, before);
    let backwards = store::copy(&new, &bench.store, |_| {}).await.unwrap_err();
    assert!(matches!(backwards, CopyError::Direction), "{backwards}");
}
