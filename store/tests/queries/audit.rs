//! The audit: written before, ended once, read by its organization alone, and kept for its time.

use model::{ApiKeyId, AuditId, ConnectionId, OrganizationId};
use store::{AuditEnd, AuditFilter, AuditLine, Paging};
use sync::ports::StoreError;
use testkit::store_suite::world::START_MS;

use crate::bench;

fn line(organization: &OrganizationId, number: u128) -> AuditLine {
    AuditLine {
        id: AuditId::new(1, number),
        organization: organization.clone(),
        action: "passthrough".to_owned(),
        key: ApiKeyId::new(1, number % 2),
        request: Some("req_1".to_owned()),
        connection: ConnectionId::new(1, number),
        method: "REPORT".to_owned(),
        target: "https://dav.example.com/ada/".to_owned(),
        request_bytes: 7,
        at: START_MS,
        end: None,
    }
}

#[tokio::test]
async fn a_call_has_a_line_before_it_has_an_end_and_one_end() {
    let bench = bench().await;
    let (ours, theirs) = (OrganizationId::new(1, 1), OrganizationId::new(1, 2));
    let made = line(&ours, 1);
    bench.store.begin_audit(&made).await.unwrap();
    let all = async |organization: &OrganizationId, filter: &AuditFilter| {
        let page = bench.store.audit(organization, filter, &Paging::first(10)).await;
        page.unwrap().items
    };
    let everything = AuditFilter::default();
    assert_eq!(all(&ours, &everything).await, std::slice::from_ref(&made));
    assert!(all(&theirs, &everything).await.is_empty());

    let end = AuditEnd {
        outcome: Ok(207),
        response_bytes: 70_000,
        at: START_MS + 5,
    };
    let anothers = bench.store.end_audit(&theirs, &made.id, &end).await;
    assert!(matches!(anothers, Err(StoreError::Stale(_))), "{anothers:?}");
    bench.store.end_audit(&ours, &made.id, &end).await.unwrap();
    let again = bench.store.end_audit(&ours, &made.id, &end).await;
    assert!(matches!(again, Err(StoreError::Stale(_))), "{again:?}");
    assert_eq!(all(&ours, &everything).await[0].end, Some(end));

    let failed = line(&ours, 2);
    bench.store.begin_audit(&failed).await.unwrap();
    let end = AuditEnd {
        outcome: Err("no answer came".to_owned()),
        response_bytes: 0,
        at: START_MS + 9,
    };
    bench.store.end_audit(&ours, &failed.id, &end).await.unwrap();
    let newest = all(&ours, &everything).await.remove(0);
    assert_eq!((newest.id, newest.end), (failed.id, Some(end)));
    let of_one = AuditFilter {
        connection: Some(made.connection.clone()),
        key: Some(made.key.clone()),
    };
    assert_eq!(all(&ours, &of_one).await.len(), 1);
}

#[tokio::test]
async fn lines_are_forgotten_after_four_hundred_days() {
    let bench = bench().await;
    let ours = OrganizationId::new(1, 1);
    bench.store.begin_audit(&line(&ours, 1)).await.unwrap();
    let kept = async || {
        let page = bench
            .store
            .audit(&ours, &AuditFilter::default(), &Paging::first(10))
            .await;
        page.unwrap().items.len()
    };
    let days = 400 * 24 * 3_600_000;
    bench.store.sweep(START_MS + days).await.unwrap();
    assert_eq!(kept().await, 1);
    bench.store.sweep(START_MS + days + 1).await.unwrap();
    assert_eq!(kept().await, 0);
}
