//! A server that talks nonsense, says nothing, or repeats what it was sent.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use hub::redis::{Address, Budgets, Nodes, look};
use model::ConnectionId;
use secrecy::SecretString;
use testkit::harness::until;

use super::fake::Fake;
use super::{LIMIT, Link};

const PASSWORD: &str = "hunter2";

/// Where a node is with a server: turns are had, nothing panics, nothing is repeated.
async fn goes_on_with(name: &str, fake: &Fake) {
    let link = Link::to(&fake.url);
    let rate = NonZeroU32::new(200).unwrap();
    let budget = Budgets::new(link.redis.clone(), Nodes::new(2)).of(&ConnectionId::new(1, 7), rate);
    for _ in 0..20 {
        let turn = tokio::time::timeout(LIMIT, budget.turn()).await;
        turn.map_err(|_| name).unwrap();
    }
    let tried = async || (fake.asked.load(Ordering::SeqCst) > 0).then_some(());
    until(name, LIMIT, tried).await.unwrap();
    assert!(!link.redis.is_up(), "{name}");
    let address = Address::parse(&SecretString::from(fake.url.as_str()), &[]).unwrap();
    let reason = look(&address).await.err().ok_or(name).unwrap();
    let text = format!("{reason} {reason:?} {address} {address:?}").to_lowercase();
    assert!(!text.contains(PASSWORD), "{name}: {text}");
    link.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_makes_no_sense_is_one_that_is_not_there() {
    let deep = "*1\r\n".repeat(100_000);
    let answers: [(&str, &[u8]); 12] = [
        ("silence", b""),
        (
            "another protocol",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        ),
        ("noise", &[0xff; 4096]),
        ("always well", b"+OK\r\n"),
        ("always nothing", b"$-1\r\n"),
        ("an answer without end", b"$536870912\r\nxxxxxxxx"),
        ("a list without end", b"*2147483647\r\n:1\r\n"),
        ("an impossible length", b"$-9223372036854775808\r\n"),
        ("a number too large", b":99999999999999999999999999\r\n"),
        ("a list in a list in a list", deep.as_bytes()),
        (
            "what it was sent",
            b"-ERR unknown command 'AUTH' with args 'ada' 'hunter2'\r\n",
        ),
        ("loading", b"-LOADING Redis is loading the dataset in memory\r\n"),
    ];
    for (name, answer) in answers {
        let answer = answer.to_vec();
        let fake = Fake::start(PASSWORD, move |_| Some(answer.clone())).await;
        goes_on_with(name, &fake).await;
    }
    let fake = Fake::start(PASSWORD, |_| None).await;
    goes_on_with("hanging up", &fake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turns_bad_is_given_up_and_no_wait_of_its_making_is_kept() {
    let turns = AtomicUsize::new(0);
    let fake = Fake::start(PASSWORD, move |words| {
        Some(match words[0].as_str() {
            // The first is the look whether it works.
            "EVALSHA" if turns.fetch_add(1, Ordering::SeqCst) == 0 => b"*2\r\n:1\r\n:0\r\n".to_vec(),
            "EVALSHA" => b"*2\r\n:1\r\n:9223372036854775807\r\n".to_vec(),
            "PING" => b"+PONG\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        })
    })
    .await;
    let link = Link::to(&fake.url);
    link.is(true).await;
    let rate = NonZeroU32::new(200).unwrap();
    let budget = Budgets::new(link.redis.clone(), Nodes::new(2)).of(&ConnectionId::new(1, 7), rate);
    tokio::time::timeout(LIMIT, budget.turn()).await.unwrap();
    assert_eq!(link.redis.outages(), 1);
    link.end().await;
}

#[tokio::test]
async fn nobody_there_is_said_in_words() {
    let address = SecretString::from("redis://ada:hunter2@127.0.0.1:1/");
    let reason = look(&Address::parse(&address, &[]).unwrap()).await.unwrap_err();
    assert!(reason.to_string().contains("cannot be reached"), "{reason}");
    let socket = SecretString::from("unix:///nowhere/at/all.sock?pass=hunter2");
    let reason = look(&Address::parse(&socket, &[]).unwrap()).await.unwrap_err();
    assert!(!format!("{reason} {reason:?}").contains(PASSWORD));
}
