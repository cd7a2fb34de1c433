//! Streams of changes: resumed at every point, narrowed, kept apart, ended resumably when a client is slow.

use std::sync::Arc;

use ::sync::ports::{Effect, Store as _};
use ::sync::state::{FeedAction, FeedEntry, Origin};
use connector_sdk::SystemClock;
use futures::StreamExt as _;
use hub::feed::{End, Feed, Follower, Limits, News, Refused};
use model::{ConnectionId, OrganizationId};
use serde_json::Value;
use store::{ChangeFilter, SqliteStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use crate::server::{LIMIT, TestServer, start_server};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn organization(server: &TestServer) -> OrganizationId {
    let store = server.server.state().unscoped_store();
    store.organizations().await.unwrap().remove(0).id
}

fn entry(kind: &str, subject: &str, changed: Vec<String>) -> Effect {
    Effect::Feed(FeedEntry {
        action: FeedAction::Updated,
        subject: subject.to_owned(),
        kind: kind.to_owned(),
        version: 1,
        changed,
        origin: Origin::Hub,
        at: 0,
    })
}

async fn commit(store: &SqliteStore, organization: &OrganizationId, effects: Vec<Effect>) {
    store.commit(organization, None, effects).await.unwrap();
}

/// Commits so many changes, a few in each commit.
async fn pour(store: &SqliteStore, organization: &OrganizationId, count: usize) {
    let mut left = count;
    while left > 0 {
        let some = left.min(1 + left % 4);
        let effects = (0..some).map(|_| entry("event", "rec_1", Vec::new())).collect();
        commit(store, organization, effects).await;
        left -= some;
    }
}

async fn next(follower: &mut Follower) -> News {
    tokio::time::timeout(LIMIT, follower.next()).await.unwrap()
}

/// Everything up to this `seq`.
async fn told_until(follower: &mut Follower, last: i64) -> Vec<i64> {
    let mut told = Vec::new();
    while told.last() != Some(&last) {
        match next(follower).await {
            News::Change(change) => told.push(change.change.seq),
            News::End { reason, after } => panic!("{reason:?} after {after}"),
        }
    }
    told
}

async fn connect(server: &TestServer, query: &str, key: &str) -> Socket {
    let url = server
        .url(&format!("/v1/changes/stream{query}"))
        .replace("http://", "ws://");
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

/// The next message with a meaning: a change, or the close.
async fn heard(socket: &mut Socket) -> Result<Value, Option<CloseFrame>> {
    let told = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => return Err(frame),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(LIMIT, told).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_while_changes_pour_in_gets_each_exactly_once() {
    let server = start_server().await;
    let organization = organization(&server).await;
    let state = server.server.state().clone();
    let store = state.unscoped_store().clone();
    let begin = store.latest_seq(&organization).await.unwrap();
    let last = begin + 900;
    pour(&store, &organization, 300).await;
    let pouring = tokio::spawn({
        let (store, organization) = (store.clone(), organization.clone());
        async move { pour(&store, &organization, 600).await }
    });
    let mut following = Vec::new();
    for place in 0..60 {
        let (feed, organization) = (state.feed().clone(), organization.clone());
        following.push(tokio::spawn(async move {
            let after = begin + place * 5;
            let follower = feed.follow(&organization, Some(after), ChangeFilter::default());
            let told = told_until(&mut follower.await.unwrap(), last).await;
            assert!(
                told.iter().copied().eq(after + 1..=last),
                "after {after}: {told:?}"
            );
        }));
        tokio::task::yield_now().await;
    }
    for follower in following {
        follower.await.unwrap();
    }
    pouring.await.unwrap();
}

#[tokio::test]
async fn a_stream_resumed_at_every_point_loses_and_doubles_nothing() {
    let server = start_server().await;
    let organization = organization(&server).await;
    let store = server.server.state().unscoped_store();
    pour(store, &organization, 30).await;
    let last = store.latest_seq(&organization).await.unwrap();
    for after in 0..last {
        let mut socket = connect(&server, &format!("?after={after}"), &server.key).await;
        for expected in after + 1..=last {
            let change = heard(&mut socket).await.unwrap();
            assert_eq!(change["seq"], expected, "after {after}");
        }
    }
    let beyond = server
        .get(&format!("/v1/changes/stream?after={}", last + 1))
        .await
        .failure(409, "conflict");
    assert_eq!(beyond["details"]["head"], last);
}

#[tokio::test]
async fn a_slow_follower_is_let_go_where_it_can_resume_and_others_go_on() {
    let server = start_server().await;
    let organization = organization(&server).await;
    let store = server.server.state().unscoped_store();
    let limits = Limits {
        followers: 2,
        queue: 8,
    };
    let stop = CancellationToken::new();
    let feed = Feed::new(store.clone(), Arc::new(SystemClock), stop.clone(), limits);
    let everything = ChangeFilter::default();
    let mut slow = feed
        .follow(&organization, None, everything.clone())
        .await
        .unwrap();
    let mut fast = feed
        .follow(&organization, None, everything.clone())
        .await
        .unwrap();
    let third = feed.follow(&organization, None, everything.clone()).await;
    assert!(matches!(third, Err(Refused::TooMany(2))));
    let begin = slow.after();
    // Both sit at the reader.
    pour(store, &organization, 1).await;
    told_until(&mut slow, begin + 1).await;
    told_until(&mut fast, begin + 1).await;

    for seq in begin + 2..=begin + 30 {
        commit(store, &organization, vec![entry("event", "rec_1", Vec::new())]).await;
        assert_eq!(told_until(&mut fast, seq).await, [seq]);
    }
    assert_eq!(feed.followers(&organization), 1, "the seat is free already");
    let mut seen = Vec::new();
    let after = loop {
        match next(&mut slow).await {
            News::Change(told) => seen.push(told.change.seq),
            News::End { reason, after } => {
                assert_eq!(reason, End::Slow);
                break after;
            }
        }
    };
    assert!(
        seen.iter().copied().eq(begin + 2..=begin + 9),
        "what waited is told: {seen:?}"
    );
    assert_eq!(after, begin + 9);
    drop(slow);
    let mut back = feed.follow(&organization, Some(after), everything).await.unwrap();
    let rest = told_until(&mut back, begin + 30).await;
    assert!(rest.iter().copied().eq(after + 1..=begin + 30), "{rest:?}");

    stop.cancel();
    for follower in [&mut back, &mut fast] {
        let end = next(follower).await;
        assert!(
            matches!(end, News::End { reason: End::Stopping, after } if after == begin + 30),
            "{end:?}"
        );
    }
    drop((back, fast));
    assert_eq!(feed.followers(&organization), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_reads_nothing_is_closed_with_the_place_to_resume_from() {
    let server = start_server().await;
    let organization = organization(&server).await;
    let store = server.server.state().unscoped_store();
    let mut socket = connect(&server, "", &server.key).await;
    let begin = store.latest_seq(&organization).await.unwrap();
    // More than the buffers of two sockets hold, and then more than may wait.
    let paths = || {
        (0..1_500)
            .map(|number| format!("overrides.2026-03-02.{number:05}"))
            .collect()
    };
    for _ in 0..60 {
        let effects = (0..10).map(|_| entry("event", "rec_1", paths())).collect();
        commit(store, &organization, effects).await;
    }
    let feed = server.server.state().feed();
    crate::scene::eventually("the socket to be let go", || feed.followers(&organization) == 0).await;
    let mut last = begin;
    let frame = loop {
        match heard(&mut socket).await {
            Ok(change) => {
                last += 1;
                assert_eq!(change["seq"], last);
            }
            Err(frame) => break frame.unwrap(),
        }
    };
    assert_eq!(u16::from(frame.code), 1013, "{frame:?}");
    assert_eq!(frame.reason.as_str(), format!("slow; go on with after={last}"));
    assert!(last < begin + 600, "it was let go before the end");
    let mut socket = connect(&server, &format!("?after={last}"), &server.key).await;
    assert_eq!(heard(&mut socket).await.unwrap()["seq"], last + 1);
}

#[tokio::test]
async fn a_stream_tells_what_was_asked_for_and_nothing_of_others() {
    let server = start_server().await;
    let stranger = server.other_tenant().await;
    let mine = organization(&server).await;
    let store = server.server.state().unscoped_store();
    let theirs = store.organizations().await.unwrap().remove(1).id;
    let (one, two) = (ConnectionId::new(1, 1), ConnectionId::new(2, 2));
    let mut of_one = connect(&server, &format!("?connection_id={one}"), &server.key).await;
    let mut of_kinds = connect(&server, "?kind=task,event", &server.key).await;
    let mut of_stranger = connect(&server, &format!("?connection_id={one},{two}"), &stranger).await;
    let effects = vec![
        entry("connection", two.as_str(), Vec::new()),
        entry("event", "rec_1", Vec::new()),
        entry("connection", one.as_str(), Vec::new()),
        entry("task", "rec_2", Vec::new()),
    ];
    commit(store, &mine, effects).await;
    commit(
        store,
        &theirs,
        vec![entry("connection", two.as_str(), vec!["theirs".to_owned()])],
    )
    .await;

    let change = heard(&mut of_one).await.unwrap();
    assert_eq!(
        (&change["id"], &change["connections"][0]),
        (&one.to_string().into(), &one.to_string().into())
    );
    assert_eq!(heard(&mut of_kinds).await.unwrap()["kind"], "event");
    assert_eq!(heard(&mut of_kinds).await.unwrap()["kind"], "task");
    let change = heard(&mut of_stranger).await.unwrap();
    assert_eq!(
        change["changed"],
        serde_json::json!(["theirs"]),
        "only their own: {change}"
    );
    let listed = server
        .get(&format!("/v1/changes?connection_id={two}&kind=connection,event"))
        .await
        .json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    for query in ["?kind=", "?connection_id=x", "?kind=a,,b"] {
        let path = format!("/v1/changes/stream{query}");
        server.get(&path).await.failure(400, "invalid_query");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sockets_each_get_their_part() {
    let server = start_server().await;
    let organization = organization(&server).await;
    let store = server.server.state().unscoped_store().clone();
    let mut sockets = Vec::new();
    for number in 0..200 {
        sockets.push(connect(&server, &format!("?kind=kind{}", number % 20), &server.key).await);
    }
    let state = server.server.state();
    assert_eq!(state.feed().followers(&organization), 200);
    let pouring = tokio::spawn(async move {
        for number in 0..100 {
            let kind = format!("kind{}", number % 20);
            commit(
                &store,
                &organization,
                vec![entry(&kind, &format!("rec_{number}"), Vec::new())],
            )
            .await;
        }
    });
    for (place, socket) in sockets.iter_mut().enumerate() {
        for round in 0..5 {
            let change = heard(socket).await.unwrap();
            assert_eq!(change["id"], format!("rec_{}", place % 20 + round * 20));
        }
    }
    pouring.await.unwrap();
}
