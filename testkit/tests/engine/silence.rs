//! Invariant 16: a sync mails nobody unless somebody agreed to it.

use connector_memory::Options;
use connector_sdk::Notifies;
use model::Content;
use serde_json::json;
use sync::EditError;
use sync::ports::Store as _;
use sync::state::{Link, LinkState, Origin};

use crate::world::{World, event, fields, key, series};

const fn mailing(notifies: Notifies) -> Options {
    Options {
        notifies,
        ..Options::PER_PART
    }
}

fn meeting(title: &str) -> Content {
    let mut meeting = event(title);
    let guests = json!([
        {"address": "grace@example.org", "role": "participant", "response": "needs_action", "optional": false},
        {"address": "zoe@example.net", "role": "participant", "response": "needs_action", "optional": false},
    ]);
    meeting.fields.insert("attendees".to_owned(), guests);
    let ada = json!({"address": "ada@example.org"});
    meeting.fields.insert("organizer".to_owned(), ada);
    meeting
}

fn mails(world: &World) -> usize {
    world.sides.iter().map(|side| side.provider.mails()).sum()
}

async fn link(world: &World, side: usize) -> Link {
    let record = world.only_record().await;
    let links = world
        .store
        .links_of(&world.organization, &record.id)
        .await
        .unwrap();
    let collection = &world.sides[side].collection;
    let link = links.into_iter().find(|link| link.collection == *collection);
    link.unwrap()
}

async fn approve(world: &World, side: usize, version: Option<i64>) -> Result<Link, EditError> {
    let link = link(world, side).await;
    let approved = world.engine.approve_link(&world.organization, &link.id, version);
    approved.await
}

/// A meeting at a provider that mails whatever it is told, mirrored to one that mails nobody.
async fn mailed_home(notifies: Notifies) -> World {
    let world = World::mirrored(&[mailing(notifies), Options::WHOLE]).await;
    world.put(0, "a", meeting("Review"));
    world.settle().await;
    world
}

#[tokio::test]
async fn mirroring_100_meetings_with_guests_mails_nobody() {
    for notifies in [
        Notifies::Never,
        Notifies::Suppressible,
        Notifies::Existing,
        Notifies::Always,
    ] {
        let world = World::mirrored(&[Options::WHOLE, mailing(notifies)]).await;
        for at in 0..100 {
            world.put(0, &format!("m{at:03}"), meeting(&format!("Meeting {at}")));
        }
        world.settle().await;
        let copies = world.contents(1);
        assert_eq!(copies.len(), 100);
        let with_guests = |copy: &&Content| copy.fields.contains_key("attendees");
        let expected = if notifies == Notifies::Always { 0 } else { 100 };
        assert_eq!(
            copies.iter().filter(with_guests).count(),
            expected,
            "{notifies:?}"
        );
        // Moving and deleting them is as silent, and needs nobody's approval.
        for at in 0..100 {
            let id = format!("m{at:03}");
            if at % 2 == 0 {
                world.sides[0].provider.edit("cal", &id, |content| {
                    content.fields.insert("location".to_owned(), json!("Roof"));
                });
            } else if at % 20 == 1 {
                world.sides[0].provider.delete("cal", &id);
            }
        }
        world.settle().await;
        let moved = |copy: &&Content| copy.fields.get("location") == Some(&json!("Roof"));
        assert_eq!(world.contents(1).iter().filter(moved).count(), 50);
        assert_eq!(world.contents(1).len(), 95);
        assert_eq!(mails(&world), 0, "{notifies:?}");
        for record in world.records().await {
            assert_eq!(
                record.content.fields["attendees"].as_array().unwrap().len(),
                2,
                "the guests stay"
            );
            for link in world
                .store
                .links_of(&world.organization, &record.id)
                .await
                .unwrap()
            {
                assert_eq!(link.state, LinkState::Synced);
            }
        }
    }
}

#[tokio::test]
async fn an_edit_that_would_mail_waits_for_an_approval_and_goes_out_with_it() {
    for notifies in [Notifies::Existing, Notifies::Always] {
        let world = mailed_home(notifies).await;
        world.set(1, "title", json!("Second review"));
        world.settle().await;
        assert_eq!(world.only(0).fields["title"], "Review", "nothing is sent");
        let LinkState::NeedsApproval { reason } = link(&world, 0).await.state else {
            panic!("{:?}", link(&world, 0).await.state);
        };
        assert!(
            reason.contains("grace@example.org") && reason.contains("zoe@example.net"),
            "{reason}"
        );
        assert!(!reason.contains("ada@example.org"), "{reason}");
        let writes = world.writes();
        world.settle().await;
        assert_eq!((world.writes(), mails(&world)), (writes, 0), "nor tried again");

        let approved = approve(&world, 0, None).await.unwrap();
        assert_eq!(approved.state, LinkState::Pending);
        world.settle().await;
        assert_eq!(world.only(0).fields["title"], "Second review");
        assert_eq!(link(&world, 0).await.state, LinkState::Synced);
        assert_eq!(mails(&world), 2);
    }
}

#[tokio::test]
async fn an_approval_is_for_what_was_looked_at_and_a_later_edit_asks_again() {
    let world = mailed_home(Notifies::Always).await;
    world.set(1, "title", json!("Second review"));
    world.settle().await;
    let seen = world.only_record().await.version;
    world.set(1, "title", json!("Third review"));
    world.sync(1).await.unwrap();
    let stale = approve(&world, 0, Some(seen)).await;
    assert!(
        matches!(stale, Err(EditError::VersionMismatch { .. })),
        "{stale:?}"
    );
    approve(&world, 0, Some(seen + 1)).await.unwrap();
    // It changes once more before the approved one is on its way.
    world.set(1, "title", json!("Fourth review"));
    let connection = world.sides[1].connection.clone();
    world.pause(0, true).await;
    world.sync_connection(&connection).await.unwrap();
    world.pause(0, false).await;
    world.settle().await;
    assert_eq!(world.only(0).fields["title"], "Review");
    assert!(matches!(
        link(&world, 0).await.state,
        LinkState::NeedsApproval { .. }
    ));
    assert_eq!(mails(&world), 0);
    approve(&world, 0, None).await.unwrap();
    world.settle().await;
    assert_eq!(world.only(0).fields["title"], "Fourth review");
    let again = approve(&world, 0, None).await;
    assert!(matches!(again, Err(EditError::Invalid(_))), "{again:?}");
}

#[tokio::test]
async fn a_delete_that_would_mail_waits_and_can_be_taken_back() {
    let world = mailed_home(Notifies::Always).await;
    world.delete(1);
    world.settle().await;
    assert_eq!(world.contents(0).len(), 1, "the meeting still stands");
    assert!(world.records().await.is_empty());
    let page = world
        .store
        .links(
            &world.organization,
            &store::LinkFilter::default(),
            &store::Paging::first(10),
        )
        .await
        .unwrap();
    let [link] = &page.items[..] else {
        panic!("{page:?}");
    };
    assert!(
        matches!(link.state, LinkState::NeedsApproval { .. }),
        "{:?}",
        link.state
    );
    world
        .engine
        .revert_link(&world.organization, &link.id)
        .await
        .unwrap();
    world.settle().await;
    assert_eq!(world.records().await.len(), 1, "the meeting lives again");
    assert_eq!(world.contents(0).len(), 1);
    assert_eq!(mails(&world), 0);
}

#[tokio::test]
async fn a_clients_own_invitation_waits_for_an_approval_before_anything_is_made() {
    let world = World::new(&[mailing(Notifies::Always)]).await;
    let fields = meeting("Kick-off").fields;
    let fields = fields
        .into_iter()
        .filter(|(name, _)| ["title", "start", "end", "attendees"].contains(&name.as_str()));
    let origin = Origin::Api("test".to_owned());
    world
        .engine
        .create(
            &world.organization,
            &world.sides[0].collection,
            fields.collect(),
            origin,
        )
        .await
        .unwrap();
    world.settle().await;
    assert!(world.contents(0).is_empty());
    assert!(matches!(
        link(&world, 0).await.state,
        LinkState::NeedsApproval { .. }
    ));
    approve(&world, 0, None).await.unwrap();
    world.settle().await;
    assert_eq!(world.only(0).fields["attendees"].as_array().unwrap().len(), 2);
    assert_eq!(mails(&world), 2);
}

#[tokio::test]
async fn guests_invited_at_a_copy_stay_its_own_and_keep_it_silent() {
    let world = World::mirrored(&[Options::WHOLE, mailing(Notifies::Always)]).await;
    world.put(0, "a", meeting("Review"));
    world.settle().await;
    let eve = json!([{"address": "eve@example.org", "role": "participant", "response": "needs_action", "optional": false}]);
    world.set(1, "attendees", eve.clone());
    world.settle().await;
    assert_eq!(world.only(0).fields["attendees"].as_array().unwrap().len(), 2);
    world.set(0, "title", json!("Second review"));
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Review", "eve would be mailed");
    assert!(matches!(
        link(&world, 1).await.state,
        LinkState::NeedsApproval { .. }
    ));
    approve(&world, 1, None).await.unwrap();
    world.settle().await;
    assert_eq!(world.only(1).fields["title"], "Second review");
    assert_eq!(world.only(1).fields["attendees"], eve);
    assert_eq!(
        world.only(0).fields["attendees"].as_array().unwrap().len(),
        2,
        "the record's guests are the home's"
    );
}

#[tokio::test]
async fn an_occurrence_waits_when_guests_were_invited_to_its_series_since_the_last_pull() {
    let world = World::mirrored(&[Options::WHOLE, mailing(Notifies::Always)]).await;
    world.put(0, "a", series("Standup"));
    world.settle().await;
    world.set(1, "attendees", meeting("Guests").fields["attendees"].clone());
    world.edit(0, |content| {
        let long = fields(json!({"title": "Long standup"}));
        content.overrides.insert(key(8), long);
    });
    world.sync(0).await.unwrap();
    world.work().await;
    assert_eq!(mails(&world), 0);
    assert!(matches!(
        link(&world, 1).await.state,
        LinkState::NeedsApproval { .. }
    ));
}
