//! A few requests over a real connection: start, serve, stop.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use updraft_runtime::{OnExit, Tasks};

use crate::app::App;

const LONG: Duration = Duration::from_secs(10);

async fn ask(connection: &mut TcpStream, request: &str) -> String {
    tokio::time::timeout(LONG, exchange(connection, request))
        .await
        .expect("an answer in time")
}

async fn exchange(connection: &mut TcpStream, request: &str) -> String {
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = connection.read(&mut part).await.unwrap();
        answer.extend(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "closed early: {text}");
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse::<usize>().ok());
        let has_no_body = request.starts_with("HEAD");
        if has_no_body || length.is_some_and(|length| body.len() >= length) || read == 0 {
            return text.into_owned();
        }
    }
}

#[tokio::test]
async fn a_server_answers_several_requests_on_one_connection_and_stops_when_told() {
    let app = App::new().await;
    let bearer = app.token("vic").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, shutdown) = (Tasks::new(), CancellationToken::new());
    let serve = app.server.serve(listener, shutdown.clone());
    tasks.spawn("api-server", OnExit::Log, serve);

    let mut connection = TcpStream::connect(address).await.unwrap();
    let version = ask(
        &mut connection,
        "GET /api/v2/version HTTP/1.1\r\nhost: x\r\ncorrelation-id: abc\r\n\r\n",
    )
    .await;
    assert!(version.starts_with("HTTP/1.1 200"), "{version}");
    assert!(version.contains("correlation-id: abc"), "{version}");
    let dags = ask(
        &mut connection,
        &format!("GET /api/v2/dags HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\n\r\n"),
    )
    .await;
    assert!(dags.contains("\"total_entries\":3"), "{dags}");
    let head = ask(
        &mut connection,
        "HEAD /api/v2/version HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");

    drop(connection);
    shutdown.cancel();
    assert!(tasks.drain(LONG).await, "the server stops");
    assert_eq!(tasks.failure(), None);
}
