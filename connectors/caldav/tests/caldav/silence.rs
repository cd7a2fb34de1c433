//! Writing makes no server mail anybody, where that can be helped.

use std::collections::BTreeSet;

use connector_sdk::{Action, Connector as _};
use http::Method;
use model::FieldPath;
use serde_json::json;
use simulators::caldav::{CaldavServer, Quirks};
use simulators::faults::{Fault, FaultAnswer, Match};

use crate::account::{Account, Replica, simulated};
use crate::writes::{content, retitled, stored, target, write};

/// Lets the server say that it schedules by itself; the simulator itself never mails anybody.
fn advertise_scheduling(server: &CaldavServer) {
    let answer = FaultAnswer {
        status: 200,
        headers: vec![(
            "dav".to_owned(),
            "1, 3, calendar-access, calendar-auto-schedule".to_owned(),
        )],
        body: String::new(),
    };
    server
        .faults()
        .always(Match::method(Method::OPTIONS), Fault::Answer(answer));
}

#[tokio::test]
async fn attendees_are_written_so_that_a_scheduling_server_mails_nobody() {
    let mut meeting = content("Meeting");
    meeting
        .fields
        .insert("organizer".to_owned(), json!({"address": "alice@example.org"}));
    let guest = |address: &str| json!({"address": address, "role": "participant", "response": "needs_action", "optional": false});
    meeting
        .fields
        .insert("attendees".to_owned(), json!([guest("bob@example.org")]));
    for schedules in [true, false] {
        let server = simulated(0, Quirks::default()).await;
        if schedules {
            advertise_scheduling(&server);
        }
        let account = Account::at(&server);
        let calendar = account.calendar("Work").await;
        let create = write(
            1,
            Action::Create {
                content: meeting.clone(),
            },
        );
        let made = stored(account.write(&calendar, create).await.unwrap());
        let text = server.calendar("alice", "work").list()[0].ics.clone();
        assert_eq!(
            text.matches("SCHEDULE-AGENT=CLIENT").count(),
            if schedules { 2 } else { 0 },
            "{text}"
        );
        assert_eq!(made.content.fields["attendees"][0]["address"], "bob@example.org");

        let mut wider = made.content.clone();
        let path = FieldPath::master("attendees");
        wider.set(
            &path,
            Some(json!([guest("bob@example.org"), guest("eve@example.org")])),
        );
        let update = Action::Update {
            target: target(&made),
            content: wider,
            changed: BTreeSet::from([path]),
        };
        account.write(&calendar, write(2, update)).await.unwrap();
        let text = server.calendar("alice", "work").list()[0].ics.clone();
        assert_eq!(
            text.matches("SCHEDULE-AGENT=CLIENT").count(),
            if schedules { 3 } else { 0 },
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_schedules_is_asked_about_people_whom_others_invited() {
    let ics = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//other//EN\r\nBEGIN:VEVENT\r\nUID:theirs\r\n\
DTSTAMP:20260101T000000Z\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:Theirs\r\n\
ORGANIZER:mailto:alice@example.org\r\nATTENDEE:mailto:alice@example.org\r\nATTENDEE:mailto:bob@example.org\r\n\
ATTENDEE;SCHEDULE-AGENT=CLIENT:mailto:eve@example.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    for schedules in [true, false] {
        let server = simulated(0, Quirks::default()).await;
        if schedules {
            advertise_scheduling(&server);
        }
        let account = Account::at(&server);
        let calendar = account.calendar("Work").await;
        server.calendar("alice", "work").put("theirs.ics", ics).unwrap();
        let mut replica = Replica::default();
        replica.pull(&account, &calendar).await;
        let object = replica.objects.values().next().unwrap();
        for with_raw in [true, false] {
            let mut to = target(object);
            to.raw = to.raw.filter(|_| with_raw);
            let change = match retitled(object, "Ours") {
                Action::Update { content, changed, .. } => Action::Update {
                    target: to.clone(),
                    content,
                    changed,
                },
                other => other,
            };
            for action in [change, Action::Delete { target: to }] {
                let push = account.connector.push().unwrap();
                let asked = push
                    .notified(&account.ctx, &calendar, &write(3, action))
                    .await
                    .unwrap();
                let expected: &[&str] = if schedules { &["bob@example.org"] } else { &[] };
                assert_eq!(asked, expected);
            }
        }
    }
}

#[tokio::test]
async fn an_event_without_people_costs_one_request() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::at(&server);
    let calendar = account.calendar("Work").await;
    let mark = server.log().mark();
    account
        .write(
            &calendar,
            write(
                1,
                Action::Create {
                    content: content("Alone"),
                },
            ),
        )
        .await
        .unwrap();
    assert_eq!(server.log().since(mark).len(), 1);
}
