//! What a client sees of each sort of trouble, and what it did at the provider.

use std::time::Duration;

use connector_sdk::{Applied, Change, ErrorKind, Retry};
use model::Kind;
use testkit::conformance::sample;
use testkit::simulation::provider::{Act, Answer, Creation, Fault, Operation, Quirks, Trouble, Versions};

use crate::client::{WORK, client, events, stored};

/// Every answer in place of one, and the contract's word for it, of an update.
const ANSWERS: [(Answer, ErrorKind, Option<u16>); 10] = [
    (Answer::Unauthorized, ErrorKind::Unauthorized, Some(401)),
    (Answer::Forbidden, ErrorKind::PermissionDenied, Some(403)),
    (Answer::NotFound, ErrorKind::NotFound, Some(404)),
    (Answer::Conflict, ErrorKind::VersionConflict, Some(409)),
    (Answer::PreconditionFailed, ErrorKind::VersionConflict, Some(412)),
    (Answer::Gone, ErrorKind::Unavailable, Some(410)),
    (
        Answer::TooManyRequests {
            retry_after: Some(30),
        },
        ErrorKind::RateLimited,
        Some(429),
    ),
    (Answer::ServerError, ErrorKind::Unavailable, Some(503)),
    (Answer::Timeout, ErrorKind::Unavailable, None),
    (Answer::HalfBody, ErrorKind::Unexpected, Some(200)),
];

#[tokio::test]
async fn a_refused_write_is_told_in_the_contracts_words_and_changes_nothing() {
    for (answer, kind, status) in ANSWERS {
        let client = events(Quirks::NONE);
        client.put("a", "before");
        let object = client.fetch("a").await;
        client
            .provider
            .fail(Fault::next(Operation::Write, Trouble::Before(answer)));
        let error = client.apply(client.retitle(&object, "after")).await.unwrap_err();
        assert_eq!((error.kind, error.status), (kind, status), "{answer:?}");
        assert_eq!(client.title("a").unwrap(), "before", "{answer:?}");
        assert_eq!(client.provider.writes(), 0, "{answer:?}");
        client.store(client.retitle(&object, "after")).await;
        assert_eq!(client.title("a").unwrap(), "after", "only the next call fails");
    }
}

#[tokio::test]
async fn a_provider_says_when_to_come_back_or_does_not() {
    for (retry_after, retry) in [
        (Some(30), Retry::After(Duration::from_secs(30))),
        (None, Retry::Backoff),
    ] {
        let client = events(Quirks::NONE);
        let busy = Trouble::Before(Answer::TooManyRequests { retry_after });
        client.provider.fail(Fault::next(Operation::Page, busy));
        let error = client.pull(None).await.error.unwrap();
        assert_eq!((error.kind, error.retry), (ErrorKind::RateLimited, retry));
    }
}

#[tokio::test]
async fn a_create_is_never_told_of_an_object_that_is_not_there() {
    for answer in [Answer::Conflict, Answer::PreconditionFailed] {
        let client = events(Quirks::NONE);
        client
            .provider
            .fail(Fault::next(Operation::Write, Trouble::Before(answer)));
        let error = client
            .apply(client.create(1, sample::event("new")))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{answer:?}");
    }
}

#[tokio::test]
async fn only_a_cursor_that_was_sent_can_expire() {
    let client = events(Quirks {
        page_size: 1,
        ..Quirks::NONE
    });
    let cursor = client.pull(None).await.cursor();
    client.put("a", "one");
    client.put("b", "two");
    let gone = Fault::next(Operation::Page, Trouble::Before(Answer::Gone));
    for (cursor, fault, kind) in [
        (Some(&cursor), gone, ErrorKind::CursorExpired),
        (Some(&cursor), gone.after(1), ErrorKind::Unavailable),
        (None, gone, ErrorKind::Unavailable),
    ] {
        client.provider.fail(fault);
        assert_eq!(client.pull(cursor).await.error.unwrap().kind, kind);
    }
}

#[tokio::test]
async fn what_the_hub_wrote_itself_is_no_strangers_value() {
    let client = events(Quirks {
        versions: Versions::None,
        ..Quirks::NONE
    });
    client.put("a", "before");
    let object = client.fetch("a").await;
    client
        .provider
        .fail(Fault::next(Operation::Write, Trouble::After(Answer::Timeout)));
    client.apply(client.retitle(&object, "lost")).await.unwrap_err();
    client.store(client.retitle(&object, "again")).await;
    let writes = client.provider.take_hub_writes();
    assert_eq!(writes.len(), 2);
    assert!(writes.iter().all(|write| write.unseen.is_empty()), "{writes:?}");
}

#[tokio::test]
async fn every_operation_can_be_refused() {
    let client = events(Quirks::NONE);
    client.put("a", "one");
    let unavailable = Trouble::Before(Answer::ServerError);
    let fail = |operation| client.provider.fail(Fault::next(operation, unavailable));
    fail(Operation::Collections);
    let facet = client.connector.pull().unwrap();
    assert_eq!(
        facet.collections(&client.ctx).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
    fail(Operation::Page);
    assert_eq!(
        client.pull(None).await.error.unwrap().kind,
        ErrorKind::Unavailable
    );
    fail(Operation::Fetch);
    assert_eq!(
        client.try_fetch("a").await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
    fail(Operation::Probe);
    let write = client.create(1, sample::event("new"));
    assert_eq!(
        client.probe(&write).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
    fail(Operation::Write);
    assert_eq!(
        client.apply(write).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn half_a_body_ends_a_pull_after_some_pages_without_a_cursor() {
    let client = events(Quirks {
        page_size: 1,
        ..Quirks::NONE
    });
    for id in ["a", "b", "c"] {
        client.put(id, id);
    }
    let broken = Fault::next(Operation::Page, Trouble::Before(Answer::HalfBody)).after(2);
    client.provider.fail(broken);
    let pulled = client.pull(None).await;
    assert_eq!(pulled.error.unwrap().kind, ErrorKind::Unexpected);
    assert_eq!(pulled.pages.len(), 2);
    assert!(pulled.pages.iter().all(|page| page.cursor.is_none()));
    assert_eq!(client.pull(None).await.ids(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_write_done_and_what_it_made_unshown() {
    let client = events(Quirks::NONE);
    client
        .provider
        .fail(Fault::next(Operation::Write, Trouble::After(Answer::Timeout)));
    let write = client.create(1, sample::event("lost"));
    let error = client.apply(write.clone()).await.unwrap_err();
    assert!(error.is_doubtful());
    assert_eq!(client.provider.contents(WORK).len(), 1);
    let found = client.probe(&write).await.unwrap().unwrap().object().unwrap();
    assert_eq!(found.content.fields["title"], "lost");
    let again = client.apply(write).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists);
    assert_eq!(client.provider.writes(), 1);
}

#[tokio::test]
async fn a_doubled_update_answers_that_the_object_changed_though_it_was_written() {
    let client = events(Quirks::NONE);
    client.put("a", "before");
    let object = client.fetch("a").await;
    client
        .provider
        .fail(Fault::next(Operation::Write, Trouble::Doubled));
    let error = client.apply(client.retitle(&object, "after")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::VersionConflict);
    assert_eq!(client.title("a").unwrap(), "after");
}

#[tokio::test]
async fn a_doubled_create_makes_one_object_wherever_two_can_be_told_to_be_one() {
    for creation in [Creation::ClientId, Creation::Marker, Creation::Blind] {
        let client = events(Quirks {
            creation,
            ..Quirks::NONE
        });
        client
            .provider
            .fail(Fault::next(Operation::Write, Trouble::Doubled));
        let outcome = client.apply(client.create(1, sample::event("once"))).await;
        match creation {
            Creation::ClientId => assert_eq!(outcome.unwrap_err().kind, ErrorKind::AlreadyExists),
            Creation::Marker | Creation::Blind => {
                stored(outcome);
            }
        }
        assert_eq!(client.provider.contents(WORK).len(), 1, "{creation:?}");
    }
}

#[tokio::test]
async fn a_doubled_delete_is_a_delete() {
    let client = events(Quirks::NONE);
    client.put("a", "gone");
    let object = client.fetch("a").await;
    client
        .provider
        .fail(Fault::next(Operation::Write, Trouble::Doubled));
    assert!(matches!(
        client.apply(client.delete(&object)).await,
        Ok(Applied::Gone)
    ));
    assert_eq!(client.title("a"), None);
}

#[tokio::test]
async fn a_late_write_takes_effect_after_so_many_further_operations() {
    for operations in 0..3_u8 {
        let client = client(Kind::Contact, Quirks::NONE);
        let late = Trouble::Late { operations };
        client.provider.fail(Fault::next(Operation::Write, late));
        let collection = client.collection();
        let write = client.create(1, sample::contact("Zoe"));
        let facet = client.connector.push().unwrap();
        let mut outcomes = facet
            .apply(&client.ctx, &collection, std::slice::from_ref(&write))
            .await;
        assert!(outcomes.remove(0).unwrap_err().is_doubtful());
        for _ in 0..operations {
            let found = facet.probe(&client.ctx, &collection, &write).await.unwrap();
            assert!(found.is_none(), "after {operations} operations");
        }
        let found = facet.probe(&client.ctx, &collection, &write).await.unwrap();
        assert!(found.is_some(), "after {operations} operations");
    }
}

#[tokio::test]
async fn a_late_write_is_refused_like_any_other_when_the_object_changed_meanwhile() {
    let client = events(Quirks::NONE);
    client.put("a", "before");
    let object = client.fetch("a").await;
    client
        .provider
        .fail(Fault::next(Operation::Write, Trouble::Late { operations: 0 }));
    client.apply(client.retitle(&object, "late")).await.unwrap_err();
    client.edit("a", "theirs");
    client.pull(None).await;
    assert_eq!(client.title("a").unwrap(), "theirs");
    assert_eq!(client.provider.writes(), 0);
}

#[tokio::test]
async fn a_late_write_without_a_condition_overwrites_and_that_is_written_down() {
    let client = events(Quirks {
        versions: Versions::None,
        ..Quirks::NONE
    });
    client.put("a", "before");
    let object = client.fetch("a").await;
    client
        .provider
        .fail(Fault::next(Operation::Write, Trouble::Late { operations: 0 }));
    client.apply(client.retitle(&object, "late")).await.unwrap_err();
    client.edit("a", "theirs");
    client.provider.calm();
    assert_eq!(client.title("a").unwrap(), "late");
    let writes = client.provider.take_hub_writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].unseen, [model::FieldPath::master("title")]);
    assert!(client.provider.take_hub_writes().is_empty());
}

#[tokio::test]
async fn calm_ends_trouble_that_was_still_to_come() {
    let client = events(Quirks::NONE);
    client.put("a", "one");
    for operation in [Operation::Page, Operation::Fetch, Operation::Write] {
        client
            .provider
            .fail(Fault::next(operation, Trouble::Before(Answer::Timeout)));
    }
    client.provider.revoke();
    client.provider.calm();
    assert_eq!(client.pull(None).await.ids(), ["a"]);
    let object = client.fetch("a").await;
    client.store(client.retitle(&object, "two")).await;
}

#[tokio::test]
async fn nobody_is_let_in_until_somebody_mends_that() {
    let client = events(Quirks::NONE);
    client.put("a", "one");
    let collection = client.collection();
    client.provider.revoke();
    let facet = client.connector.pull().unwrap();
    let ids = [connector_sdk::RemoteId("a".to_owned())];
    let error = facet.fetch(&client.ctx, &collection, &ids).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    client.provider.admit();
    let fetched = facet.fetch(&client.ctx, &collection, &ids).await.unwrap();
    assert!(matches!(fetched[..], [Change::Present(_)]));
}

#[tokio::test]
async fn each_write_is_written_down_with_what_it_did() {
    let client = events(Quirks::NONE);
    let made = client.store(client.create(1, sample::event("made"))).await;
    let changed = client.store(client.retitle(&made, "changed")).await;
    client.apply(client.delete(&changed)).await.unwrap();
    let writes = client.provider.hub_writes();
    let acts: Vec<Act> = writes.iter().map(|write| write.action).collect();
    assert_eq!(acts, [Act::Create, Act::Update, Act::Delete]);
    assert_eq!(writes[1].before.as_ref().unwrap().fields["title"], "made");
    assert_eq!(writes[1].after.as_ref().unwrap().fields["title"], "changed");
    assert!(writes[2].after.is_none());
    assert!(
        writes
            .iter()
            .all(|write| write.unseen.is_empty() && !write.mailed)
    );
    assert_eq!(client.provider.writes(), 3);
}

#[tokio::test]
async fn an_unconditional_write_over_what_was_never_shown_is_written_down_as_one() {
    let client = events(Quirks::NONE);
    client.put("a", "before");
    let mut object = client.fetch("a").await;
    client.edit("a", "theirs");
    object.version = None;
    client.store(client.retitle(&object, "mine")).await;
    let overwritten = &client.provider.take_hub_writes()[0].unseen;
    assert_eq!(*overwritten, [model::FieldPath::master("title")]);
    let mut seen = client.fetch("a").await;
    client.edit("a", "theirs again");
    client.pull(None).await;
    seen.version = None;
    client.store(client.retitle(&seen, "mine again")).await;
    assert!(client.provider.take_hub_writes()[0].unseen.is_empty());
}
