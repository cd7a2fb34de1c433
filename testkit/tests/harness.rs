//! The harness works: against a real Radicale, through the counting proxy, over TLS, and with plain processes.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::time::Duration;

use reqwest::{Method, StatusCode};
use testkit::corpus;
use testkit::harness::{CountingProxy, Fault, FaultAction, Program, Radicale, TlsFront, TlsIdentity};

const LIMIT: Duration = Duration::from_secs(20);

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn multiget(collection: &str, names: &[&str]) -> String {
    let hrefs: String = names
        .iter()
        .map(|name| format!("<d:href>{collection}{name}</d:href>"))
        .collect();
    format!(
        "<c:calendar-multiget xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\">\
         <d:prop><d:getetag/><c:calendar-data/></d:prop>{hrefs}</c:calendar-multiget>"
    )
}

#[tokio::test]
async fn a_private_radicale_serves_a_loaded_collection() {
    let radicale = Radicale::start().await.unwrap();
    let events = corpus::events(20, 1);
    let loaded = radicale
        .load_collection(
            "alice",
            "team",
            events.iter().map(|event| (&event.name, &event.ics)),
        )
        .unwrap();
    assert_eq!(loaded, 20);

    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    let url = radicale.collection_url("alice", "team").unwrap();
    let body = multiget("/alice/team/", &names);
    let answer = radicale.dav("REPORT", url, "alice", 1, &body).await.unwrap();
    assert_eq!(answer.matches("BEGIN:VCALENDAR").count(), 20);
    for event in &events {
        assert!(answer.contains(&event.uid), "{} is served", event.name);
    }
}

#[tokio::test]
async fn radicale_keeps_each_account_to_itself() {
    let radicale = Radicale::start().await.unwrap();
    let event = corpus::events(1, 1).remove(0);
    radicale
        .load_collection("bob", "private", [(&event.name, &event.ics)])
        .unwrap();
    let url = radicale
        .collection_url("bob", "private")
        .unwrap()
        .join(&event.name)
        .unwrap();
    let http = client();
    let get = |user: &str, password: &str| http.get(url.clone()).basic_auth(user, Some(password)).send();
    let bob = &radicale.other_credentials;
    assert_eq!(
        get(&bob.user, &bob.password).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(
        get(&bob.user, "wrong").await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let alice = &radicale.credentials;
    assert_eq!(
        get(&alice.user, &alice.password).await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    assert!(!format!("{bob:?}").contains(&bob.password));
}

#[tokio::test]
async fn another_client_of_radicale_puts_and_deletes() {
    let radicale = Radicale::start().await.unwrap();
    let event = corpus::events(1, 1).remove(0);
    radicale
        .load_collection::<&str, &str>("alice", "team", [])
        .unwrap();
    let etag = radicale
        .put("alice", "team", "new.ics", &event.ics, None)
        .await
        .unwrap();
    let stored = radicale
        .read_item("alice", "team", "new.ics")
        .unwrap()
        .expect("the file is there");
    assert!(stored.contains(&event.uid));

    let changed = event
        .ics
        .replace("VERSION:2.0\r\n", "VERSION:2.0\r\nX-WR-CALDESC:changed\r\n");
    radicale
        .put("alice", "team", "new.ics", &changed, Some(&etag))
        .await
        .unwrap();
    let stale = radicale
        .put("alice", "team", "new.ics", &event.ics, Some(&etag))
        .await
        .unwrap_err();
    assert!(stale.to_string().contains("412"), "{stale}");
    assert_eq!(radicale.items("alice", "team").unwrap().len(), 1);

    radicale.delete("alice", "team", "new.ics").await.unwrap();
    assert_eq!(radicale.read_item("alice", "team", "new.ics").unwrap(), None);
    assert!(radicale.delete("alice", "team", "new.ics").await.is_err());
}

#[tokio::test]
async fn a_stopped_radicale_leaves_no_process() {
    let radicale = Radicale::start().await.unwrap();
    let process = format!("/proc/{}", radicale.pid());
    assert!(std::path::Path::new(&process).exists());
    drop(radicale);
    assert!(!std::path::Path::new(&process).exists());
}

#[tokio::test]
async fn the_proxy_counts_writes_and_reads_at_a_real_radicale() {
    let radicale = Radicale::start().await.unwrap();
    radicale
        .load_collection::<&str, &str>("alice", "team", [])
        .unwrap();
    let proxy = CountingProxy::start(radicale.base_url()).await.unwrap();
    let event = corpus::events(1, 1).remove(0);
    let url = proxy.base_url().unwrap().join("alice/team/one.ics").unwrap();
    let http = client();
    let send = |method: Method, body: String| {
        let alice = &radicale.credentials;
        http.request(method, url.clone())
            .basic_auth(&alice.user, Some(&alice.password))
            .body(body)
            .send()
    };
    assert_eq!(
        send(Method::PUT, event.ics.clone()).await.unwrap().status(),
        StatusCode::CREATED
    );
    let read = send(Method::GET, String::new()).await.unwrap();
    assert!(read.headers().contains_key("etag"), "headers pass");
    assert!(read.text().await.unwrap().contains(&event.uid), "the body passes");
    assert_eq!(
        send(Method::DELETE, String::new()).await.unwrap().status(),
        StatusCode::OK
    );

    assert_eq!(
        proxy.by_method(),
        [("DELETE", 1), ("GET", 1), ("PUT", 1)]
            .map(|(m, n)| (m.into(), n))
            .into()
    );
    let writes: Vec<Method> = proxy.writes().into_iter().map(|request| request.method).collect();
    assert_eq!(writes, [Method::PUT, Method::DELETE]);
    proxy.forget();
    assert!(proxy.writes().is_empty());
}

#[tokio::test]
async fn the_proxy_injects_statuses_delays_and_broken_connections() {
    let radicale = Radicale::start().await.unwrap();
    let proxy = CountingProxy::start(radicale.base_url()).await.unwrap();
    let page = proxy.base_url().unwrap().join(".web/").unwrap();
    let http = client();
    let get = || http.get(page.clone()).send();

    let unavailable = FaultAction::Status(StatusCode::SERVICE_UNAVAILABLE, "busy".to_owned());
    proxy.inject(Fault::new(unavailable).method(Method::GET).nth(2));
    assert_eq!(get().await.unwrap().status(), StatusCode::OK);
    let refused = get().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.text().await.unwrap(), "busy");
    assert_eq!(get().await.unwrap().status(), StatusCode::OK);

    proxy.inject(Fault::new(FaultAction::Close).path_contains(".web").times(2));
    assert!(get().await.is_err() && get().await.is_err());
    assert_eq!(get().await.unwrap().status(), StatusCode::OK);

    let before = std::time::Instant::now();
    proxy.inject(Fault::new(FaultAction::Delay(Duration::from_millis(150))));
    assert_eq!(get().await.unwrap().status(), StatusCode::OK);
    assert!(before.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_lost_answer_at_radicale_is_a_write_that_happened() {
    let radicale = Radicale::start().await.unwrap();
    radicale
        .load_collection::<&str, &str>("alice", "team", [])
        .unwrap();
    let proxy = CountingProxy::start(radicale.base_url()).await.unwrap();
    proxy.inject(Fault::new(FaultAction::LoseAnswer).method(Method::PUT));
    let event = corpus::events(1, 1).remove(0);
    let alice = &radicale.credentials;
    let answer = client()
        .put(proxy.base_url().unwrap().join("alice/team/one.ics").unwrap())
        .basic_auth(&alice.user, Some(&alice.password))
        .body(event.ics)
        .send()
        .await;
    assert!(answer.is_err(), "the answer is lost");
    assert!(
        radicale.read_item("alice", "team", "one.ics").unwrap().is_some(),
        "the write is not"
    );
    assert_eq!(proxy.writes().len(), 1);
    assert_eq!(proxy.writes()[0].status, None);
}

#[tokio::test]
async fn tls_is_trusted_while_valid_and_refused_when_expired() {
    let radicale = Radicale::start().await.unwrap();
    let upstream = radicale.base_url().socket_addrs(|| None).unwrap()[0];
    for (identity, trusted) in [
        (TlsIdentity::valid().unwrap(), true),
        (TlsIdentity::expired().unwrap(), false),
    ] {
        let front = TlsFront::start(upstream, &identity).await.unwrap();
        let authority = reqwest::Certificate::from_pem(identity.authority_pem.as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .build()
            .unwrap();
        let answer = http
            .get(front.base_url().unwrap().join(".web/").unwrap())
            .send()
            .await;
        match answer {
            Ok(answer) => assert!(trusted && answer.status().is_success()),
            Err(error) => assert!(!trusted && format!("{error:?}").contains("Expired"), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_missing_program_names_the_remedy() {
    let error = Program::new("no-such-program-anywhere")
        .start()
        .map(|_| ())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot start no-such-program-anywhere"),
        "{error}"
    );
    let error = Program::of_workspace("no-such-binary").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("cargo build"), "{error}");
}

#[tokio::test]
async fn a_process_is_read_ended_politely_and_killed() {
    let polite =
        "trap 'echo bye; exit 7' TERM; echo ready to serve; while :; do read -t 1 x < /dev/zero; done";
    let script = Program::new("bash").args(["-c", polite]);
    let mut running = script.start().unwrap();
    let word = running
        .wait_for_line(LIMIT, |line| line.strip_prefix("ready to ").map(str::to_owned))
        .await
        .unwrap();
    assert_eq!(word, "serve");
    assert!(running.resident_bytes().unwrap() > 100_000);
    assert_eq!(running.terminate(LIMIT).await.unwrap().code(), Some(7));
    running
        .wait_for_line(LIMIT, |line| (line == "bye").then_some(()))
        .await
        .unwrap();

    let mut running = script.start().unwrap();
    running
        .wait_for_line(LIMIT, |line| line.contains("ready").then_some(()))
        .await
        .unwrap();
    assert_eq!(running.kill().unwrap().code(), None, "ended by a signal");
    assert!(!running.output().iter().any(|line| line == "bye"));
}

#[tokio::test]
async fn a_process_that_ends_early_shows_what_it_said() {
    let mut running = Program::new("sh")
        .args(["-c", "echo broken config >&2; exit 3"])
        .start()
        .unwrap();
    let error = running
        .wait_for_line(LIMIT, |line| (line == "never").then_some(()))
        .await
        .unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn a_program_runs_to_its_end_and_hands_back_its_output_without_our_own_settings() {
    let program = Program::new("sh").args(["-c", "echo $GREETING; pwd; echo noise >&2"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let printed = program
        .env("GREETING", "hello")
        .folder(&path)
        .run(LIMIT)
        .await
        .unwrap();
    assert_eq!(printed, format!("hello\n{}", path.display()));
    let failed = Program::new("sh")
        .args(["-c", "echo why >&2; exit 4"])
        .run(LIMIT)
        .await
        .unwrap_err();
    assert!(format!("{failed:#}").contains("why"), "{failed:#}");
}
