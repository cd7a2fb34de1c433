//! Servers that lie, and messages that nobody should send.

use connector_sdk::{Change, Connector as _, ErrorKind, Known};
use serde_json::json;
use testkit::conformance::context;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::account::{Account, FOLDER, USER, changes, message};

#[tokio::test]
async fn what_cannot_be_understood_is_set_aside_and_the_rest_is_read() {
    let account = Account::start(&[]).await.unwrap();
    let deep = (0..3_000).fold("Subject: deep\r\n".to_owned(), |raw, level| {
        raw + &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")
    });
    let wrong =
        "Subject: =?utf-99?Q?=FF=?=\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\u{fe}\u{ff}";
    let cut = "Subject: cut\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: im";
    for raw in [deep.as_str(), wrong, cut, "\r\n\r\n", "no header at all"] {
        account.server.append(USER, FOLDER, raw.as_bytes()).unwrap();
    }
    account
        .server
        .append(USER, FOLDER, message("good").as_bytes())
        .unwrap();
    let mut known = Known::new();
    let pages = account.pull(None, &mut known).await.unwrap();
    let all = changes(&pages);
    assert_eq!(all.len(), 6, "nothing is lost");
    let read = |subject: &str| {
        all.iter().any(|change| {
            matches!(change, Change::Present(object)
                if object.content.fields.get("subject").is_some_and(|found| found == subject))
        })
    };
    assert!(read("good") && read("cut") && read("deep"));
    assert!(
        all.iter()
            .any(|change| matches!(change, Change::Unreadable { reason, .. } if !reason.is_empty())),
        "{all:?}"
    );
}

#[tokio::test]
async fn a_large_message_is_read_by_its_beginning() {
    let account = Account::start(&[]).await.unwrap();
    let mut raw =
        "Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n\
        Content-Type: image/png\r\nContent-Disposition: attachment; filename=a.png\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n"
            .to_owned();
    while raw.len() < 9 << 20 {
        raw.push_str("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWj\r\n");
    }
    raw.push_str("--b--\r\n");
    account.server.append(USER, FOLDER, raw.as_bytes()).unwrap();
    let mut known = Known::new();
    let pages = account.pull(None, &mut known).await.unwrap();
    let all = changes(&pages);
    let [Change::Present(object)] = all[..] else {
        panic!("{} changes", all.len())
    };
    assert!(object.raw.len() < 1 << 20, "{} bytes", object.raw.len());
    assert_eq!(object.content.fields["is_partial"], true);
    assert_eq!(object.content.fields["body"]["text"], "hello");
    assert_eq!(object.content.fields["attachments"][0]["name"], "a.png");
    assert!(object.content.fields["size_bytes"].as_i64().unwrap() > 9 << 20);
}

/// A server that greets, takes the login and then says something; what a pull comes to.
async fn told(script: &'static [(&'static str, &'static str)]) -> connector_sdk::Error {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("imap://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let greeting = script.iter().find(|(word, _)| word.is_empty());
                let greeting = greeting.map_or("* OK [CAPABILITY IMAP4rev1] hello\r\n", |(_, text)| *text);
                stream.write_all(greeting.as_bytes()).await?;
                let mut buffer = vec![0; 4_096];
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return Ok::<(), std::io::Error>(());
                    }
                    let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let (tag, command) = line.split_once(' ').unwrap_or(("x", ""));
                    let found = script
                        .iter()
                        .find(|(word, _)| !word.is_empty() && command.contains(word));
                    let answer = match found {
                        Some((_, answer)) => answer.replace("TAG", tag),
                        None if command.starts_with("CAPABILITY") => {
                            format!("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n")
                        }
                        None => format!("{tag} OK done\r\n"),
                    };
                    stream.write_all(answer.as_bytes()).await?;
                }
            });
        }
    });
    let login = json!({"username": "ada", "password": "hunter2 is it"});
    let context = context(&url, &login, &json!({"security": "none"})).unwrap();
    let connector = connector_imap::connector();
    let error = connector.pull().unwrap().collections(&context).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    error
}

#[tokio::test]
async fn servers_that_lie_end_with_an_error_and_without_a_crash() {
    for (script, kind) in [
        (
            &[("", "HTTP/1.1 400 Bad Request\r\n\r\n")][..],
            ErrorKind::Unexpected,
        ),
        (&[("", "* BYE too busy\r\n")], ErrorKind::Unavailable),
        (
            &[("LOGIN", "TAG NO hunter2 is it is wrong\r\n")],
            ErrorKind::Unauthorized,
        ),
        (
            &[("LOGIN", "TAG NO [UNAVAILABLE] later\r\n")],
            ErrorKind::Unavailable,
        ),
        (&[("LOGIN", "other OK done\r\n")], ErrorKind::Unavailable),
        (
            &[("LIST", "* LIST () \"/\" {99999999999}\r\n")],
            ErrorKind::Unexpected,
        ),
        (
            &[("LIST", "* LIST nonsense\r\nTAG OK done\r\n")],
            ErrorKind::Unexpected,
        ),
        (&[("LIST", "* BYE\r\n")], ErrorKind::Unavailable),
        (&[("LIST", "TAG BAD what\r\n")], ErrorKind::Unexpected),
    ] {
        let error = told(script).await;
        assert_eq!(error.kind, kind, "{script:?}: {error}");
    }
}
