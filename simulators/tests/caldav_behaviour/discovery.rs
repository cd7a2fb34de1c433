//! Finding the calendars, logging in, and what the properties say.

use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig, Config, Quirks, Schemes};

use crate::client::{CALENDAR, Client, server};

#[tokio::test]
async fn discovery_leads_from_the_well_known_address_to_the_calendars() {
    let (_server, client, _) = server().await;
    let redirect = client.send("PROPFIND", "/.well-known/caldav", &[], "").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (301, Some("/dav/"))
    );

    let root = client
        .propfind("/dav/", "0", "<current-user-principal/>")
        .await
        .multistatus();
    let principal = &root.responses[0].properties["current-user-principal"].children[0].text;
    assert_eq!(principal, "/dav/principals/ann%40example.com/");

    let found = client
        .propfind(principal, "0", "<c:calendar-home-set/><nonsense/>")
        .await
        .multistatus();
    let home = &found.responses[0].properties["calendar-home-set"].children[0].text;
    assert_eq!(found.responses[0].missing, ["nonsense"]);

    let wanted = "<resourcetype/><displayname/><ic:calendar-color/><cs:getctag/><sync-token/>\
        <current-user-privilege-set/><supported-report-set/><c:supported-calendar-component-set/>\
        <c:calendar-description/><c:calendar-timezone/>";
    let listed = client.propfind(home, "1", wanted).await.multistatus();
    assert_eq!(listed.responses.len(), 2);
    let calendar = &listed.responses[1];
    assert_eq!(calendar.href, CALENDAR);
    assert_eq!(
        calendar.properties["resourcetype"].names(),
        ["collection", "calendar"]
    );
    assert_eq!(
        (calendar.text("displayname"), calendar.text("calendar-color")),
        (Some("Work"), Some("#1BADF8FF"))
    );
    assert!(calendar.text("getctag").is_some() && calendar.text("sync-token").unwrap().starts_with("urn:"));
    assert_eq!(calendar.missing, ["calendar-description"]);
    for privilege in ["read", "write-content", "bind", "unbind"] {
        assert!(
            calendar.properties["current-user-privilege-set"]
                .names()
                .contains(&privilege),
            "{privilege}"
        );
    }
    for report in [
        "calendar-multiget",
        "calendar-query",
        "sync-collection",
        "free-busy-query",
    ] {
        assert!(
            calendar.properties["supported-report-set"]
                .names()
                .contains(&report),
            "{report}"
        );
    }
    let components = &calendar.properties["supported-calendar-component-set"].children;
    assert_eq!(components[0].attributes["name"], "VEVENT");
    let zone = calendar.text("calendar-timezone").unwrap();
    for line in [
        "TZID:Europe/Berlin",
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        "TZOFFSETTO:+0200",
    ] {
        assert!(zone.contains(line), "{line} in {zone}");
    }
}

#[tokio::test]
async fn a_wrong_login_is_challenged_for_each_scheme_and_other_accounts_are_closed() {
    let (server, client, _) = server().await;
    let anonymous = Client::new(&server);
    for wrong in [
        anonymous.clone(),
        anonymous.clone().basic("ann@example.com", "wrong"),
        anonymous.clone().basic("nobody", "secret"),
        anonymous.clone().bearer("other"),
        anonymous.clone().bearer("secret"),
    ] {
        let reply = wrong.propfind("/dav/", "0", "<resourcetype/>").await;
        let challenges: Vec<_> = reply
            .headers
            .get_all("www-authenticate")
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect();
        assert_eq!(reply.status, 401);
        assert!(
            challenges[0].starts_with("Basic ") && challenges[1].starts_with("Bearer "),
            "{challenges:?}"
        );
    }
    assert_eq!(
        anonymous
            .clone()
            .bearer("token-1")
            .propfind(CALENDAR, "0", "<displayname/>")
            .await
            .status,
        207
    );
    client
        .propfind("/dav/calendars/bob/private/", "0", "<displayname/>")
        .await
        .assert_condition(403, "need-privileges");
    client
        .propfind("/dav/calendars/nobody/x/", "0", "<displayname/>")
        .await
        .assert_condition(403, "need-privileges");

    server.set_tokens("ann@example.com", &["token-2"]).unwrap();
    assert_eq!(
        anonymous
            .clone()
            .bearer("token-1")
            .propfind("/dav/", "0", "<displayname/>")
            .await
            .status,
        401
    );
    server.set_password("ann@example.com", Some("changed")).unwrap();
    assert_eq!(client.propfind("/dav/", "0", "<displayname/>").await.status, 401);
    assert_eq!(
        anonymous
            .basic("ann@example.com", "changed")
            .propfind("/dav/", "0", "<displayname/>")
            .await
            .status,
        207
    );
}

#[tokio::test]
async fn a_scheme_that_is_not_offered_is_neither_accepted_nor_announced() {
    let ann = AccountConfig::new("ann").password("secret").token("token");
    let config = Config {
        schemes: Schemes {
            basic: false,
            bearer: true,
        },
        ..Config::with_account(ann)
    };
    let server = CaldavServer::start(config).await.unwrap();
    let refused = Client::new(&server)
        .basic("ann", "secret")
        .propfind("/dav/", "0", "<displayname/>")
        .await;
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Bearer realm=\"calendars\""))
    );
    assert_eq!(
        Client::new(&server)
            .bearer("token")
            .propfind("/dav/", "0", "<displayname/>")
            .await
            .status,
        207
    );
}

#[tokio::test]
async fn infinite_depth_is_refused_and_options_name_the_classes() {
    let (server, client, _) = server().await;
    client
        .propfind(CALENDAR, "infinity", "<getetag/>")
        .await
        .assert_condition(403, "propfind-finite-depth");
    client
        .send("PROPFIND", CALENDAR, &[], "")
        .await
        .assert_condition(403, "propfind-finite-depth");
    let options = Client::new(&server).send("OPTIONS", CALENDAR, &[], "").await;
    assert_eq!(options.status, 200);
    assert!(options.header("dav").unwrap().contains("calendar-access"));
    assert!(options.header("allow").unwrap().contains("MKCALENDAR"));
}

#[tokio::test]
async fn hrefs_may_be_whole_urls_and_the_well_known_address_may_be_missing() {
    let (server, client, _) = server().await;
    let absolute_hrefs = true;
    server.set_quirks(Quirks {
        absolute_hrefs,
        no_well_known: true,
        dav_without_prefix: true,
        ..Quirks::default()
    });
    assert_eq!(
        client
            .send("PROPFIND", "/.well-known/caldav", &[], "")
            .await
            .status,
        404
    );
    let root = client
        .propfind("/", "0", "<current-user-principal/>")
        .await
        .multistatus();
    let principal = &root.responses[0].properties["current-user-principal"].children[0].text;
    assert_eq!(
        *principal,
        format!("{}/dav/principals/ann%40example.com/", server.base_url())
    );
    let found = client.propfind(principal, "0", "<c:calendar-home-set/>").await;
    assert!(
        found.body.contains("<multistatus xmlns=\"DAV:\""),
        "{}",
        found.body
    );
    assert_eq!(found.multistatus().responses.len(), 1);
}

#[tokio::test]
async fn calendars_are_made_and_deleted() {
    let (_server, client, _) = server().await;
    let path = "/dav/calendars/ann%40example.com/new%20one/";
    let body = "<c:mkcalendar xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><set><prop>\
        <displayname>Ünew &amp; shiny</displayname><c:calendar-description>d</c:calendar-description>\
        </prop></set></c:mkcalendar>";
    assert_eq!(client.send("MKCALENDAR", path, &[], body).await.status, 201);
    let made = client
        .propfind(path, "0", "<displayname/><c:calendar-description/>")
        .await
        .multistatus();
    assert_eq!(made.responses[0].text("displayname"), Some("Ünew & shiny"));
    assert_eq!(made.responses[0].text("calendar-description"), Some("d"));
    client
        .send("MKCALENDAR", path, &[], body)
        .await
        .assert_condition(403, "resource-must-be-null");
    let nested = format!("{path}inner");
    client
        .send("MKCALENDAR", &nested, &[], "")
        .await
        .assert_condition(403, "calendar-collection-location-ok");
    assert_eq!(client.send("DELETE", path, &[], "").await.status, 204);
    assert_eq!(client.propfind(path, "0", "<displayname/>").await.status, 404);
}

#[tokio::test]
async fn a_server_started_from_a_snapshot_keeps_tags_and_tokens_valid() {
    let (server, client, calendar) = server().await;
    let etag = calendar.put("1.ics", crate::client::event("1", "kept")).unwrap();
    let token = client.sync("", None).await.multistatus().sync_token.unwrap();
    let text = serde_json::to_string(&server.snapshot()).unwrap();
    assert!(
        !text.contains("secret") && !text.contains("token-1"),
        "no credentials in a snapshot"
    );
    server.shutdown().await;

    let config = Config::with_account(
        AccountConfig::new("ann@example.com")
            .password("secret")
            .calendar(CalendarConfig::new("ignored")),
    );
    let config = Config {
        snapshot: Some(serde_json::from_str(&text).unwrap()),
        ..config
    };
    let server = CaldavServer::start(config).await.unwrap();
    let client = Client::new(&server).basic("ann@example.com", "secret");
    assert!(client.sync(&token, None).await.multistatus().responses.is_empty());
    let calendar = server.calendar("ann@example.com", "work");
    assert_eq!(calendar.get("1.ics").unwrap().etag, etag);
    calendar
        .edit("1.ics", |ics| ics.replace("kept", "edited"))
        .unwrap();
    assert_eq!(
        client.sync(&token, None).await.multistatus().members(),
        [("1.ics", None)]
    );
}
