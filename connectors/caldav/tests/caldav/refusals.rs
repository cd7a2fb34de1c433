//! Writes that a server refuses, and what is said of them.

use connector_sdk::{Action, Connector as _, ErrorKind, Retry, Write};
use http::Method;
use simulators::caldav::{Quirks, Rejection};
use simulators::faults::{Fault, FaultAnswer, Match};

use crate::account::{Account, Replica, simulated};
use crate::writes::{content, retitled, write};

#[tokio::test]
async fn a_read_only_calendar_refuses_for_good() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    server.calendar("alice", "work").set_read_only(true).unwrap();
    let error = account
        .write(
            &calendar,
            write(
                1,
                Action::Create {
                    content: content("No"),
                },
            ),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.retry, error.status),
        (ErrorKind::PermissionDenied, Retry::Permanent, Some(403))
    );
}

#[tokio::test]
async fn refusals_come_with_their_reason_and_with_when_to_come_back() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let condition = |name: &str| {
        format!(
            "<?xml version=\"1.0\"?><D:error xmlns:D=\"DAV:\"><C:{name} xmlns:C=\"urn:ietf:params:xml:ns:caldav\"/></D:error>"
        )
    };
    let cases = [
        (
            403,
            condition("max-resource-size"),
            ErrorKind::Invalid,
            Retry::Permanent,
            "larger than",
        ),
        (
            409,
            condition("no-uid-conflict"),
            ErrorKind::Invalid,
            Retry::Permanent,
            "same UID",
        ),
        (
            403,
            condition("valid-calendar-data"),
            ErrorKind::Invalid,
            Retry::Permanent,
            "cannot read",
        ),
        (
            415,
            String::new(),
            ErrorKind::Invalid,
            Retry::Permanent,
            "refuses",
        ),
        (
            422,
            String::new(),
            ErrorKind::Invalid,
            Retry::Permanent,
            "refuses",
        ),
        (
            507,
            String::new(),
            ErrorKind::PermissionDenied,
            Retry::Permanent,
            "no room",
        ),
        (
            429,
            String::new(),
            ErrorKind::RateLimited,
            Retry::After(std::time::Duration::from_secs(7)),
            "fewer",
        ),
        (
            503,
            String::new(),
            ErrorKind::Unavailable,
            Retry::After(std::time::Duration::from_secs(7)),
            "failed",
        ),
    ];
    for (number, (status, body, kind, retry, words)) in cases.into_iter().enumerate() {
        let headers = vec![("retry-after".to_owned(), "7".to_owned())];
        server.faults().next(
            Match::method(Method::PUT),
            Fault::Answer(FaultAnswer {
                status,
                headers,
                body,
            }),
        );
        let create = write(
            number as u64,
            Action::Create {
                content: content("x"),
            },
        );
        let error = account.write(&calendar, create).await.unwrap_err();
        assert_eq!(
            (error.kind, error.retry, error.status),
            (kind, retry, Some(status)),
            "{error}"
        );
        assert!(error.message.contains(words), "{status}: {error}");
    }
}

#[tokio::test]
async fn one_refused_write_does_not_stop_the_others() {
    let mut quirks = Quirks::default();
    quirks
        .reject_uids
        .insert("uid-0".to_owned(), Rejection::of_writes(400));
    let server = simulated(2, quirks).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    let writes: Vec<Write> = (1..)
        .zip(replica.objects.values())
        .map(|(number, object)| write(number, retitled(object, "Changed")))
        .collect();
    let outcomes = account
        .connector
        .push()
        .unwrap()
        .apply(&account.ctx, &calendar, &writes)
        .await;
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind, ErrorKind::Invalid);
    assert!(outcomes[1].is_ok());
}
