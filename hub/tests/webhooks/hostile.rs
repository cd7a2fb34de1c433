//! Clients that mean no good: slow, idle, half open, many. The service answers others meanwhile.

use std::time::{Duration, Instant};

use connector_memory::delivery;
use hub::listener::HEADERS_WITHIN;
use hub::webhooks::BODY_WITHIN;
use testkit::harness::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kill::size;
use crate::scene::{LIMIT, Scene, WORK};

async fn open(scene: &Scene) -> TcpStream {
    TcpStream::connect(scene.server.address()).await.unwrap()
}

/// How long a good delivery takes to be answered 200.
async fn good(scene: &Scene, id: &str) -> Duration {
    let begun = Instant::now();
    // A connection of its own each time: the first is the one that has to get in.
    let answered = async || {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let body = delivery::body(&[delivery::dirty(WORK)]);
        let now_ms = connector_sdk::Clock::now_ms(&connector_sdk::SystemClock);
        let headers = delivery::headers(&scene.secret, id, now_ms, &body).unwrap();
        let url = format!("{}{}", scene.server.base_url(), scene.hook);
        let answer = http.post(url).headers(headers).body(body).send().await;
        answer.is_ok_and(|answer| answer.status() == 200).then_some(())
    };
    until("a good delivery's answer", LIMIT, answered).await.unwrap();
    begun.elapsed()
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up_and_holds_up_nobody() {
    let scene = Scene::start().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = open(&scene).await;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx",
            scene.hook
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let took = good(&scene, "msg_1").await;
    assert!(took < BODY_WITHIN, "{took:?} beside fifty slow bodies");
    let mut answer = Vec::new();
    let whole = tokio::time::timeout(LIMIT, slow[0].read_buf(&mut answer)).await;
    assert!(whole.unwrap().unwrap() > 0);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn idle_and_half_open_connections_give_way_to_those_that_work() {
    let most = 100;
    let scene = Scene::start_with(&format!("max_connections = {most}\n"), |make| make).await;
    let mut idle = Vec::new();
    for number in 0..size(300, 10_000) {
        let Ok(mut stream) = TcpStream::connect(scene.server.address()).await else {
            continue;
        };
        if number % 2 == 0 {
            // Half a head, and never the rest.
            let _ = stream.write_all(b"POST /hooks/conn_1 HTTP/1.1\r\nhost:").await;
        }
        idle.push(stream);
        if number % 100 == 50 {
            let took = good(&scene, &format!("msg_{number}")).await;
            assert!(
                took < HEADERS_WITHIN,
                "{took:?} beside {} idle connections",
                idle.len()
            );
        }
    }
    let took = good(&scene, "msg_last").await;
    println!(
        "{} idle or half open, at most {most} kept: a delivery took {took:?}",
        idle.len()
    );
}

#[tokio::test]
async fn garbage_costs_its_sender_the_connection_and_nobody_else_anything() {
    let scene = Scene::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"POST /hooks/x HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /hooks/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n",
        b"GET /hooks/\xff\xfe HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
    ] {
        let mut stream = open(&scene).await;
        stream.write_all(bytes).await.unwrap();
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the connection ends");
        assert!(
            !rest.starts_with(b"HTTP/1.1 2"),
            "{}",
            String::from_utf8_lossy(&rest)
        );
    }
    // A head without end.
    let mut stream = open(&scene).await;
    let line = b"x-filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";
    let _ = stream.write_all(b"GET /hooks/x HTTP/1.1\r\n").await;
    for _ in 0..2_000 {
        if stream.write_all(line).await.is_err() {
            break;
        }
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 2"));
    assert!(good(&scene, "msg_1").await < LIMIT);
}
