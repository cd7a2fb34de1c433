//! Answers that no client should take at face value, at every step: an error, bounded, and never a complete list.

use connector_sdk::{ErrorKind, Known, Listing};
use simulators::caldav::{BadAnswer, BadAnswerForm, CaldavServer, Operation, Quirks, UnauthorizedFrom};
use simulators::faults::{Fault, Match};

use crate::account::{Account, Replica, simulated};

const FORMS: [BadAnswerForm; 6] = [
    BadAnswerForm::EntityExpansion,
    BadAnswerForm::MalformedXml,
    BadAnswerForm::HtmlLoginPage,
    BadAnswerForm::Halved,
    BadAnswerForm::CutMidway,
    BadAnswerForm::HugeBody {
        size_bytes: 200 << 20,
    },
];

fn spoil(server: &CaldavServer, operation: Operation, form: BadAnswerForm) {
    let bad_answer = Some(BadAnswer {
        operation: Some(operation),
        form,
    });
    server.set_quirks(Quirks {
        bad_answer,
        ..server.quirks()
    });
}

fn words(form: BadAnswerForm) -> &'static str {
    match form {
        BadAnswerForm::EntityExpansion => "document type",
        BadAnswerForm::MalformedXml => "not well-formed",
        BadAnswerForm::HtmlLoginPage => "web page",
        BadAnswerForm::Halved => "cannot be used",
        BadAnswerForm::CutMidway => "broke",
        BadAnswerForm::HugeBody { .. } => "larger than 64 MiB",
    }
}

#[tokio::test]
async fn discovery_names_what_is_wrong_with_an_answer() {
    let server = simulated(1, Quirks::default()).await;
    for form in FORMS {
        spoil(&server, Operation::Propfind, form);
        let error = Account::at(&server).collections().await.unwrap_err();
        assert!(error.message.contains(words(form)), "{form:?}: {error}");
        assert!(
            matches!(error.kind, ErrorKind::Unexpected | ErrorKind::Unavailable),
            "{form:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_pull_ends_with_the_error_and_without_a_complete_list() {
    for no_sync_collection in [false, true] {
        let quirks = Quirks {
            no_sync_collection,
            ..Quirks::default()
        };
        let server = simulated(250, quirks.clone()).await;
        let account = Account::at(&server);
        let calendar = account.calendar("Work").await;
        let listing = if no_sync_collection {
            Operation::Propfind
        } else {
            Operation::SyncCollection
        };
        for operation in [listing, Operation::Multiget] {
            for form in FORMS {
                server.set_quirks(quirks.clone());
                spoil(&server, operation, form);
                let (pages, error) = account.pages(&calendar, None, &Known::new()).await;
                let error = error.unwrap_or_else(|| panic!("{operation:?} {form:?}"));
                assert!(
                    error.message.contains(words(form)),
                    "{operation:?} {form:?}: {error}"
                );
                assert!(
                    pages
                        .iter()
                        .all(|p| p.listing == Listing::Partial && p.cursor.is_none())
                );
            }
        }
    }
}

#[tokio::test]
async fn credentials_refused_midway_end_the_stream_and_bring_no_complete_list() {
    let server = simulated(700, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    for (operation, nth) in [(Operation::Multiget, 3), (Operation::SyncCollection, 1)] {
        let unauthorized_from = Some(UnauthorizedFrom { operation, nth });
        server.set_quirks(Quirks {
            unauthorized_from,
            ..Quirks::default()
        });
        let (pages, error) = account.pages(&calendar, None, &Known::new()).await;
        assert_eq!(error.unwrap().kind, ErrorKind::Unauthorized);
        assert!(
            pages
                .iter()
                .all(|p| p.listing == Listing::Partial && p.cursor.is_none())
        );
        if operation == Operation::Multiget {
            assert_eq!(pages.len(), 2, "what came before is not lost");
        }
    }
}

#[tokio::test]
async fn a_failing_server_is_asked_again_and_then_given_up_for_now() {
    let server = simulated(10, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    server.faults().times(2, Match::any(), Fault::answer(503, "busy"));
    let mut replica = Replica::default();
    replica.pull(&account, &calendar).await;
    assert_eq!(replica.objects.len(), 10);

    server.faults().always(Match::any(), Fault::answer(500, "oops"));
    let (pages, error) = account
        .pages(&calendar, replica.cursor.as_ref(), &replica.known)
        .await;
    assert!(pages.is_empty());
    let error = error.unwrap();
    assert_eq!((error.kind, error.status), (ErrorKind::Unavailable, Some(500)));
}
