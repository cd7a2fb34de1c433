//! The way out: addresses that are refused in every notation, names that lead astray, and honest ones that pass.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hub::egress::{Guard, NameResolver, Policy, Refusal, parse, refusal_of};
use tokio::net::TcpListener;

use crate::server::{calendar_server, connection_to, start_server_with};

/// What names resolve to; each look-up gives the next answer, and the last one again and again.
#[derive(Default)]
struct Names {
    answers: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    fn with(mut self, name: &'static str, answers: &[&str]) -> Self {
        let read = |answer: &&str| answer.split(' ').map(|text| text.parse().unwrap()).collect();
        self.answers.insert(name, answers.iter().map(read).collect());
        self
    }
}

#[async_trait]
impl NameResolver for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let answers = self
            .answers
            .get(name.trim_end_matches('.'))
            .ok_or(io::ErrorKind::NotFound)?;
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(answers[asked.min(answers.len() - 1)].clone())
    }
}

fn guard(names: Names, allowed: &str, ports: &str) -> Guard {
    Guard::new(Policy::parse(allowed, ports).unwrap(), Arc::new(names), &[]).unwrap()
}

async fn verdict(guard: &Guard, text: &str) -> Result<(), Refusal> {
    guard.check(&parse(text)?).await
}

/// Names as strangers register them.
fn strangers() -> Names {
    Names::default()
        .with("localhost", &["127.0.0.1 ::1"])
        .with("foo.localhost", &["127.0.0.1"])
        .with("localtest.example", &["127.0.0.1"])
        .with("10.0.0.1.nip.example", &["10.0.0.1"])
        .with("two-faced.example", &["93.184.215.14 10.0.0.1"])
        .with("mapped.example", &["::ffff:127.0.0.1"])
        .with("metadata.google.internal", &["169.254.169.254"])
        .with("intranet", &["192.168.1.10"])
        .with(
            "good.example",
            &["93.184.215.14 2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
        )
        .with("xn--bcher-kva.example", &["93.184.215.14"])
}

/// Hosts that lead into networks of ours, in notations that clients and libraries are known to read.
const INSIDE: &[&str] = &[
    // Dotted decimal: each network that is not public.
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    // Short forms, decimal, octal, hexadecimal, mixed, padded, with a full stop at the end.
    "127.1",
    "127.0.1",
    "0",
    "10.1",
    "2130706433",
    "2852039166",
    "3232235521",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0300.0250.0.1",
    "0251.0376.0251.0376",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0xA9.0xFE.0xA9.0xFE",
    "0xa9fea9fe",
    "0x7f.0.0.0x1",
    "0177.0.0.01.",
    "127.0.0.1.",
    "169.254.43518",
    "169.16689662",
    "0xA9.254.0251.254",
    "0x00000000007f.1",
    "00000000000177.1",
    // Digits and full stops of other scripts.
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "169｡254｡169｡254",
    "⑯⑨.②⑤④.⑯⑨.②⑤④",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
    // Percent signs.
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "0x7f%2e1",
    // IPv6: itself, and IPv4 in other forms.
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:53aa:64c:0:0:80ff:fffe]",
    "[2001::1]",
    "[fe80::1]",
    "[fe80::5efe:10.0.0.1]",
    "[2606:2800::5efe:a00:1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[5f00::1]",
    "[4000::1]",
    "[2001:2::1]",
    // Names.
    "localhost",
    "LOCALHOST",
    "localhost.",
    "foo.localhost",
    "localtest.example",
    "10.0.0.1.nip.example",
    "two-faced.example",
    "mapped.example",
    "metadata.google.internal",
    "intranet",
    "ｌｏｃａｌｈｏｓｔ",
];

/// What is refused for its form, wherever it leads.
const MALFORMED: &[&str] = &[
    "",
    "good.example",
    "//good.example/",
    "ftp://good.example/",
    "file:///etc/passwd",
    "gopher://good.example/",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "https:good.example",
    "https:/good.example",
    "https:///good.example",
    "https://",
    "https://?x",
    "https://user@good.example/",
    "https://user:secret@good.example/",
    "https://@good.example/",
    "https://:@good.example/",
    "https://good.example@127.0.0.1/",
    "https://127.0.0.1\\@good.example/",
    "https:\\\\good.example",
    "https://good.example\\.evil.example/",
    " https://good.example/",
    "https://good.example/ ",
    "https://good.example/a b",
    "https://good.example/\r\nX-Evil: 1",
    "https://good\texample/",
    "https://good.example\0/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1/",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://0x100000000/",
    "https://127.0.0.1:99999/",
    "https://good.example:0/",
    "https://good.example:22/",
    "https://good.example:6379/",
    "http://good.example/",
    "http://93.184.215.14/",
    "https://a%00b.example/",
    "https://exa\u{ad}\u{200b}<>mple/",
];

#[tokio::test]
async fn nothing_leads_inside_in_any_notation() {
    let guard = guard(strangers(), "", "443, 8443");
    let mut refused = 0;
    for host in INSIDE {
        for scheme in ["https", "http"] {
            let text = format!("{scheme}://{host}/hook");
            let verdict = verdict(&guard, &text).await;
            assert!(verdict.is_err(), "{text} is let out");
            if scheme == "https" {
                let fits = matches!(verdict, Err(Refusal::Forbidden { .. } | Refusal::NotAnAddress(_)));
                assert!(fits, "{text}: {verdict:?}");
            }
        }
        // Nor when it is not checked beforehand, and read by the client's rules alone: what is sent goes nowhere.
        if let Ok(url) = url::Url::parse(&format!("https://{host}/hook")) {
            match guard.client(&url) {
                Err(Refusal::Forbidden { .. }) => {}
                Ok(client) => {
                    let error = client.post(url).send().await.unwrap_err();
                    let refusal = refusal_of(&error);
                    assert!(
                        matches!(refusal, Some(Refusal::Forbidden { .. })),
                        "{host}: {error:?}"
                    );
                }
                Err(other) => panic!("{host}: {other:?}"),
            }
        }
        refused += 1;
    }
    assert!(refused >= 60, "{refused} notations");
    for text in MALFORMED {
        let verdict = verdict(&guard, text).await;
        assert!(verdict.is_err(), "{text:?} is let out");
        let shown = verdict.unwrap_err().to_string();
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn honest_addresses_pass() {
    let guard = guard(strangers(), "", "443, 8000-8999");
    for text in [
        "https://good.example",
        "https://good.example/hooks/concord?key=a%20b#part",
        "https://GOOD.example:443/",
        "https://good.example.:8443/x",
        "https://bücher.example/",
        "https://93.184.215.14/hook",
        "https://8.8.8.8:8080/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
        "https://[2a00:1450:4001:82a::200e]:8999/",
        "https://172.15.255.255/",
        "https://172.32.0.1/",
        "https://100.63.255.255/",
        "https://100.128.0.1/",
        "https://192.0.1.1/",
        "https://11.0.0.1/",
        "https://223.255.255.255/",
        // Not known yet; it is looked up again before anything is sent.
        "https://not-yet.example/",
    ] {
        assert_eq!(verdict(&guard, text).await, Ok(()), "{text}");
    }
}

#[tokio::test]
async fn networks_that_the_settings_name_are_let_through_and_no_others() {
    let guard = guard(strangers(), "10.0.0.0/8, ::1", "80, 443");
    for text in [
        "https://10.1.2.3/",
        "http://10.0.0.1.nip.example/",
        "http://[::1]/",
    ] {
        assert_eq!(verdict(&guard, text).await, Ok(()), "{text}");
    }
    for text in [
        "https://127.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
        "https://192.168.0.1/",
        "http://localhost/",
    ] {
        let verdict = verdict(&guard, text).await;
        assert!(
            matches!(verdict, Err(Refusal::Forbidden { .. })),
            "{text}: {verdict:?}"
        );
    }
    assert_eq!(verdict(&guard, "http://good.example/").await, Err(Refusal::Plain));
}

#[tokio::test]
async fn a_name_that_resolves_differently_the_second_time_reaches_nothing() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let names = Names::default().with("rebinding.example", &["93.184.215.14", "127.0.0.1"]);
    let guard = guard(names, "", "1-65535");
    let url = parse(&format!("https://rebinding.example:{port}/")).unwrap();
    assert_eq!(guard.check(&url).await, Ok(()), "at first it looks honest");
    let error = guard
        .client(&url)
        .unwrap()
        .post(url.clone())
        .send()
        .await
        .unwrap_err();
    assert!(
        matches!(refusal_of(&error), Some(Refusal::Forbidden { address, .. }) if address.is_loopback()),
        "{error:?}"
    );
    let reached = tokio::time::timeout(std::time::Duration::from_millis(50), inside.accept()).await;
    assert!(reached.is_err(), "nobody knocked");
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to() {
    // The name resolves well once, and to a forbidden address ever after: one look-up is all there is.
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let names = Arc::new(Names::default().with("once.example", &["127.0.0.1", "169.254.169.254"]));
    let policy = Policy::parse("127.0.0.0/8", "1-65535").unwrap();
    let guard = Guard::new(policy, Arc::clone(&names) as Arc<dyn NameResolver>, &[]).unwrap();
    let url = parse(&format!("http://once.example:{port}/")).unwrap();
    let sending = tokio::spawn(guard.client(&url).unwrap().post(url.clone()).send());
    let (socket, _) = inside.accept().await.unwrap();
    drop(socket);
    let _ = sending.await.unwrap();
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn connections_are_held_to_the_same_where_the_settings_say_so() {
    let calendars = calendar_server().await;
    let guarded = start_server_with("guard_connections = \"yes\"").await;
    let answer = guarded
        .post("/v1/connections", connection_to(calendars.base_url()))
        .await;
    let error = answer.failure(422, "provider_unreachable");
    assert!(error["message"].as_str().unwrap().contains("egress_"), "{error}");
    let named = calendars.base_url().replace("127.0.0.1", "localhost");
    let answer = guarded.post("/v1/connections", connection_to(&named)).await;
    answer.failure(422, "provider_unreachable");
    let settings = "guard_connections = \"yes\"\negress_allow = \"127.0.0.0/8\"\negress_ports = \"1-65535\"";
    start_server_with(settings).await.connect(&calendars).await;
}
