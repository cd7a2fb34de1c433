//! Finding calendars, and saying clearly why none were found.

use bytes::Bytes;
use connector_sdk::{Access, AuthScheme, Connector as _, Credentials, ErrorKind, Retry};
use serde_json::json;
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig, Config, Quirks};
use simulators::faults::{Fault, FaultAnswer, Match};
use testkit::harness::{Radicale, TlsFront, TlsIdentity};

use crate::account::{Account, PASSWORD, simulated};

#[tokio::test]
async fn a_calendar_says_its_name_colour_zone_and_rights() {
    let server = simulated(1, Quirks::default()).await;
    server
        .add_calendar("alice", CalendarConfig::new("holidays").read_only())
        .unwrap();
    server
        .add_calendar("alice", CalendarConfig::new("tasks").components(["VTODO"]))
        .unwrap();
    let account = Account::at(&server);
    let calendars = account.collections().await.unwrap();
    assert_eq!(
        calendars.len(),
        2,
        "a list of tasks is no calendar of events: {calendars:?}"
    );
    let work = account.calendar("Work").await;
    assert_eq!(work.id.0, server.calendar("alice", "work").path());
    assert_eq!(work.access, Access::ReadWrite);
    assert_eq!(work.fields["color"], "#1badf8");
    assert_eq!(work.fields["zone"], "Europe/Berlin");
    assert_eq!(account.calendar("holidays").await.access, Access::ReadOnly);
}

#[tokio::test]
async fn every_spelling_of_an_answer_is_understood() {
    let spellings = [
        Quirks {
            absolute_hrefs: true,
            ..Quirks::default()
        },
        Quirks {
            dav_without_prefix: true,
            ..Quirks::default()
        },
        Quirks {
            no_well_known: true,
            ..Quirks::default()
        },
    ];
    for quirks in spellings {
        let server = simulated(1, quirks.clone()).await;
        let found = Account::at(&server).collections().await;
        assert_eq!(found.unwrap().len(), 1, "{quirks:?}");
    }
}

#[tokio::test]
async fn a_token_serves_as_well_as_a_password() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::with(server.base_url(), json!({"token": "tok-1"}), &[]);
    assert_eq!(account.collections().await.unwrap().len(), 1);
    let auth = account.connector.auth();
    assert_eq!(auth.schemes(), [AuthScheme::Basic, AuthScheme::Bearer]);
    assert!(auth.refresh(&account.ctx).await.unwrap().is_none());
}

#[tokio::test]
async fn incomplete_credentials_are_named_before_anything_is_sent() {
    let connector = connector_caldav::connector();
    let check = |json: serde_json::Value| {
        connector
            .auth()
            .check(&Credentials::from_json(json.as_object().unwrap()).unwrap())
    };
    for (given, missing) in [
        (json!({}), "credentials.username"),
        (json!({"username": "ada"}), "credentials.password"),
        (json!({"token": ""}), "credentials.token"),
        (
            json!({"username": "a:b", "password": "secret-1"}),
            "credentials.username",
        ),
    ] {
        let error = check(given).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(
            error.message.contains(missing) && !error.to_string().contains("secret-1"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_unauthorized() {
    let server = Radicale::start().await.unwrap();
    let account = Account::new(server.base_url().as_str(), "alice", "wrong-secret");
    let error = account.collections().await.unwrap_err();
    assert_eq!(
        (error.kind, error.retry, error.status),
        (ErrorKind::Unauthorized, Retry::Permanent, Some(401))
    );
    assert!(!format!("{error:?}").contains("wrong-secret"));
}

#[tokio::test]
async fn an_address_where_nothing_listens_says_so() {
    let server = simulated(0, Quirks::default()).await;
    let base = server.base_url().to_owned();
    server.shutdown().await;
    let error = Account::new(&base, "alice", PASSWORD)
        .collections()
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.message.contains("cannot be reached") && error.message.contains("check the address"),
        "{error}"
    );
}

#[tokio::test]
async fn an_expired_certificate_is_named_and_nothing_is_sent() {
    let server = simulated(0, Quirks::default()).await;
    let address = server
        .base_url()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let identity = TlsIdentity::expired().unwrap();
    let front = TlsFront::start(address, &identity).await.unwrap();
    let base = front.base_url().unwrap();
    let roots = [Bytes::from(identity.authority_pem.clone())];
    let login = json!({"username": "alice", "password": PASSWORD});
    let account = Account::with(base.as_str(), login.clone(), &roots);
    let error = account.collections().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.message.contains("certificate") && error.message.contains("expired"),
        "{error}"
    );
    assert!(server.log().entries().is_empty());

    let identity = TlsIdentity::valid().unwrap();
    let front = TlsFront::start(address, &identity).await.unwrap();
    let roots = [Bytes::from(identity.authority_pem.clone())];
    let account = Account::with(front.base_url().unwrap().as_str(), login, &roots);
    assert_eq!(account.collections().await.unwrap().len(), 1);
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let stranger = simulated(1, Quirks::default()).await;
    let server = simulated(1, Quirks::default()).await;
    // `localhost` is another name than 127.0.0.1.
    let target = stranger.base_url().replace("127.0.0.1", "localhost");
    let answer = FaultAnswer {
        status: 301,
        headers: vec![("location".to_owned(), format!("{target}/dav/"))],
        body: String::new(),
    };
    server.faults().always(Match::any(), Fault::Answer(answer));
    let error = Account::at(&server).collections().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unexpected);
    assert!(error.message.contains("localhost"), "{error}");
    assert!(stranger.log().entries().is_empty());
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server = simulated(1, Quirks::default()).await;
    let answer = FaultAnswer {
        status: 302,
        headers: vec![("location".to_owned(), "/round".to_owned())],
        body: String::new(),
    };
    server.faults().always(Match::any(), Fault::Answer(answer));
    let error = Account::at(&server).collections().await.unwrap_err();
    assert!(error.message.contains("circle"), "{error}");
    assert!(server.log().entries().len() < 10);
}

#[tokio::test]
async fn a_place_that_is_not_there_falls_back_to_the_well_known_address() {
    let server = simulated(1, Quirks::default()).await;
    let account = Account::new(
        &format!("{}/no/such/place/", server.base_url()),
        "alice",
        PASSWORD,
    );
    assert_eq!(account.collections().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_account_with_many_calendars_lists_them_all_and_only_its_own() {
    let mut alice = AccountConfig::new("alice").password(PASSWORD);
    for number in 0..30 {
        alice = alice.calendar(CalendarConfig::new(format!("c{number}")));
    }
    let bob = AccountConfig::new("bob")
        .password("other")
        .calendar(CalendarConfig::new("secret"));
    let server = CaldavServer::start(Config::with_account(alice).account(bob))
        .await
        .unwrap();
    let found = Account::at(&server).collections().await.unwrap();
    assert_eq!(found.len(), 30);
    assert!(found.iter().all(|calendar| calendar.name != "secret"));
}
