//! Writing makes no server mail anybody, where that can be helped.

use std::collections::BTreeSet;

use connector_sdk::Action;
use http::Method;
use model::FieldPath;
use serde_json::json;
use simulators::caldav::{CaldavServer, Quirks};
use simulators::faults::{Fault, FaultAnswer, Match};

use crate::account::{Account, simulated};
use crate::writes::{content, stored, target, write};

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
