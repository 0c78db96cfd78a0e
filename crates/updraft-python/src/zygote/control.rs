//! Packets between us and the zygote; the other end is `updraft_shim/zygote.py`.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Versions;
use crate::child::ChildKind;
use crate::fds;

/// The kernel refuses a packet above the socket's send buffer, 208 KiB by default, of which
/// bookkeeping takes a part.
pub(super) const PACKET_BYTES_MAX: usize = 128 * 1024;

/// What we tell the zygote.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Command<'a> {
    Spawn {
        seq: u64,
        kind: ChildKind,
        env: BTreeMap<&'a str, &'a str>,
    },
    Drain,
}

/// What the zygote tells us.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    Ready {
        #[serde(flatten)]
        versions: Versions,
    },
    /// What was learned started a thread when imported; the zygote begins again without it.
    PreloadRefused,
    Spawned {
        seq: u64,
        pid: i32,
    },
    Refused {
        seq: u64,
        error: String,
    },
    Exited {
        pid: i32,
        /// Exit code, or the negative number of the signal.
        status: i32,
        cpu_secs: f64,
        max_rss_kib: u64,
        /// What the child had to import that the zygote could have had.
        modules: Vec<String>,
    },
}

/// Our end of the control socket.
#[derive(Debug)]
pub(super) struct Control {
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
}

impl Control {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: fds::watch(socket)?,
            buffer: vec![0; PACKET_BYTES_MAX],
        })
    }

    /// Sends one packet, waiting while the zygote is behind.
    pub(super) async fn send(&self, command: &Command<'_>) -> io::Result<()> {
        let packet = serde_json::to_vec(command)?;
        self.socket
            .async_io(Interest::WRITABLE, |socket| {
                fds::send(socket.as_fd(), &packet)
            })
            .await
    }

    /// Receives one packet; `None` when the zygote is gone. Cancel-safe.
    pub(super) async fn receive(&mut self) -> io::Result<Option<(Event, Vec<OwnedFd>)>> {
        let buffer = &mut self.buffer;
        let packet = self
            .socket
            .async_io(Interest::READABLE, |socket| {
                fds::receive(socket.as_fd(), buffer)
            })
            .await?;
        if packet.length == 0 {
            return Ok(None);
        }
        let event = serde_json::from_slice(&self.buffer[..packet.length])?;
        Ok(Some((event, packet.fds)))
    }
}
