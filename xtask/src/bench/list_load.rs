//! A small closed-loop load generator for one GET request: a few keep-alive connections, each
//! asking again as soon as it has its answer.
//!
//! It is written on a bare socket because it shares two cores with the server it measures: what
//! the client spends is missing in the result.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::engine::Engine;

const PATH: &str = "/api/v2/dags?limit=50";
const ROWS_EXPECTED: usize = 50;
const CONNECTIONS: usize = 8;
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(5);

pub(super) fn requests_per_second(engine: &Engine) -> Result<f64> {
    let token = engine
        .rest
        .token()
        .context("the client has not logged in")?;
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
         Accept: application/json\r\n\r\n"
    );
    require_full_answer(engine.port, &request)?;
    count_answers(engine.port, &request, WARM_UP)?;
    let started = Instant::now();
    let answers = count_answers(engine.port, &request, WINDOW)?;
    Ok(answers / started.elapsed().as_secs_f64())
}

/// A fast wrong answer is worth nothing: looks at one of them before counting.
fn require_full_answer(port: u16, request: &str) -> Result<()> {
    let body = Connection::open(port)?.ask(request)?;
    let body: Value = serde_json::from_slice(&body).context("the Dag list is no JSON")?;
    let rows = body["dags"].as_array().map_or(0, Vec::len);
    if rows != ROWS_EXPECTED {
        bail!("`GET {PATH}`: expected {ROWS_EXPECTED} Dags, found {rows}");
    }
    Ok(())
}

fn count_answers(port: u16, request: &str, window: Duration) -> Result<f64> {
    let deadline = Instant::now() + window;
    let ask_until_deadline = || -> Result<u32> {
        let mut connection = Connection::open(port)?;
        let mut answers = 0;
        while Instant::now() < deadline {
            connection.ask(request)?;
            answers += 1;
        }
        Ok(answers)
    };
    let counts: Vec<Result<u32>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(ask_until_deadline))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| bail!("a load thread panicked"))
            })
            .collect()
    });
    let mut total = 0.0;
    for count in counts {
        total += f64::from(count?);
    }
    Ok(total)
}

struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("failed to connect")?;
        stream
            .set_nodelay(true)
            .context("failed to set up a socket")?;
        Ok(Self {
            stream: BufReader::with_capacity(128 * 1024, stream),
        })
    }

    /// Sends `request` and reads one answer with status 200; returns its body.
    fn ask(&mut self, request: &str) -> Result<Vec<u8>> {
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .context("failed to send a request")?;
        let status = self.line()?;
        if !status.starts_with("HTTP/1.1 200") {
            bail!(
                "`GET {PATH}`: expected status 200, found `{}`",
                status.trim_end()
            );
        }
        let mut length = None;
        let mut is_chunked = false;
        loop {
            let header = self.line()?.to_ascii_lowercase();
            if header.trim_end().is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = Some(
                    value
                        .trim()
                        .parse()
                        .context("`content-length` of an answer")?,
                );
            }
            is_chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
        }
        if is_chunked {
            return self.chunked_body();
        }
        self.bytes(length.context("an answer with neither a length nor chunks")?)
    }

    fn chunked_body(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).context("the size of a chunk")?;
            body.extend(self.bytes(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self
            .stream
            .read_line(&mut line)
            .context("failed to read an answer")?;
        if read == 0 {
            bail!("the server closed the connection in the middle of the measurement");
        }
        Ok(line)
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream
            .read_exact(&mut bytes)
            .context("failed to read an answer's body")?;
        Ok(bytes)
    }
}
