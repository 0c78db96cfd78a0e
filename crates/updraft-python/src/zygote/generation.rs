//! One zygote process in service: spawn orders in, children and their exits out.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::control::{Command, Control, Event, PACKET_BYTES_MAX};
use super::launch::{Launched, Process};
use super::{Error, Versions, ZygoteConfig};
use crate::child::{ChildHandle, ChildKind, ChildStatus, ExitReport};
use crate::proc;
use crate::process_tree::{self, CHILD_VARIABLE};

/// Orders that wait for the zygote. Senders wait beyond it.
const ORDERS_MAX: usize = 256;

/// Orders that the zygote has not answered. They must fit the buffer of its socket: while we
/// waited to send, nobody would read the exits, and the zygote might wait for that.
const WAITING_MAX: usize = 32;

/// Children between two looks at the memory of the zygote.
const CHILDREN_PER_LOOK: u64 = 100;

/// How callers reach a generation.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) pid: u32,
    pub(super) versions: Versions,
    pub(super) orders: mpsc::Sender<Order>,
}

/// What callers ask of a generation.
#[derive(Debug)]
pub(super) enum Order {
    Spawn(Spawn),
    /// A successor is ready: fork no more, and end with the last child.
    Drain,
}

/// One child wanted.
#[derive(Debug)]
pub(super) struct Spawn {
    pub(super) kind: ChildKind,
    pub(super) environment: Vec<(String, String)>,
    pub(super) reply: oneshot::Sender<Result<ChildHandle, Error>>,
}

/// What a generation tells the supervisor.
#[derive(Debug)]
pub(super) enum Notice {
    /// It has grown old. It goes on until it is told to drain.
    WantsSuccessor { number: u64 },
    /// A child had to import these.
    Learned { modules: Vec<String> },
    /// The process is gone.
    Ended { number: u64, error: Error },
}

/// Runs one generation.
#[derive(Debug)]
pub(super) struct Service {
    number: u64,
    control: Control,
    process: Process,
    orders: mpsc::Receiver<Order>,
    notices: mpsc::Sender<Notice>,
    waiting: HashMap<u64, Waiting>,
    running: HashMap<i32, oneshot::Sender<ExitReport>>,
    next_seq: u64,
    age: Age,
}

#[derive(Debug)]
struct Waiting {
    marker: String,
    reply: oneshot::Sender<Result<ChildHandle, Error>>,
}

/// Decides when a process has become too old.
#[derive(Debug)]
struct Age {
    children: u64,
    children_max: u64,
    rss_at_start: u64,
    growth_bytes_max: u64,
    reported: bool,
}

impl Service {
    /// Puts a process into service; the caller runs the second part.
    pub(super) fn new(
        number: u64,
        launched: Launched,
        config: &ZygoteConfig,
        notices: mpsc::Sender<Notice>,
    ) -> (Generation, Self) {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let pid = launched.process.pid;
        let generation = Generation {
            pid,
            versions: launched.versions,
            orders: sender,
        };
        let service = Self {
            number,
            control: launched.control,
            process: launched.process,
            orders,
            notices,
            waiting: HashMap::new(),
            running: HashMap::new(),
            next_seq: 0,
            age: Age {
                children: 0,
                children_max: config.children_max,
                rss_at_start: proc::resident_bytes(pid).unwrap_or_default(),
                growth_bytes_max: config.growth_bytes_max,
                reported: false,
            },
        };
        (generation, service)
    }

    /// Serves until the process is gone, or nobody can ask and no child is left.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let result = self.serve().await;
        self.orders.close();
        let Self {
            control,
            mut process,
            waiting,
            running,
            number,
            notices,
            ..
        } = self;
        drop(control);
        let status = process.end().await;
        // Only now: whoever waits for a child must find it re-parented to us.
        drop(running);
        drop(waiting);
        let error = Error::StartFailed {
            reason: format!("it ended in service ({status})"),
            output: process.output(),
        };
        debug!(zygote = process.pid, %status, "zygote ended");
        // The supervisor is gone when the whole process stops.
        drop(notices.send(Notice::Ended { number, error }).await);
        result
    }

    async fn serve(&mut self) -> Result<(), Error> {
        let mut accepting = true;
        while accepting || !self.running.is_empty() || !self.waiting.is_empty() {
            let may_order = accepting && self.waiting.len() < WAITING_MAX;
            tokio::select! {
                order = self.orders.recv(), if may_order => match order {
                    Some(Order::Spawn(spawn)) => self.on_spawn(spawn).await?,
                    Some(Order::Drain) => {
                        // Orders already in the channel are still served.
                        self.orders.close();
                    }
                    None => {
                        accepting = false;
                        self.send(&Command::Drain).await?;
                    }
                },
                packet = self.control.receive() => {
                    match packet.map_err(Error::io("receive from the zygote"))? {
                        Some((event, fds)) => self.on_event(event, fds),
                        None => return Ok(()),
                    }
                }
                () = self.process.collect_output() => {}
            }
        }
        Ok(())
    }

    async fn on_spawn(&mut self, spawn: Spawn) -> Result<(), Error> {
        let seq = self.next_seq;
        self.next_seq += 1;
        let bytes: usize = spawn
            .environment
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes > PACKET_BYTES_MAX / 2 {
            // Half a packet, because JSON may need two bytes for one.
            drop(spawn.reply.send(Err(Error::EnvironmentTooLarge {
                max: PACKET_BYTES_MAX / 2,
                found: bytes,
            })));
            return Ok(());
        }
        let marker = process_tree::child_marker(self.process.pid, seq);
        let env = spawn
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain([(CHILD_VARIABLE, marker.as_str())])
            .collect();
        self.send(&Command::Spawn {
            seq,
            kind: spawn.kind,
            env,
        })
        .await?;
        self.waiting.insert(
            seq,
            Waiting {
                marker,
                reply: spawn.reply,
            },
        );
        Ok(())
    }

    fn on_event(&mut self, event: Event, fds: Vec<OwnedFd>) {
        match event {
            Event::Spawned { seq, pid } => self.on_spawned(seq, pid, fds),
            Event::Refused { seq, error } => {
                if let Some(waiting) = self.waiting.remove(&seq) {
                    drop(waiting.reply.send(Err(Error::Refused { reason: error })));
                }
            }
            Event::Exited {
                pid,
                status,
                cpu_secs,
                max_rss_kib,
                modules,
            } => {
                if !modules.is_empty() {
                    // Nothing but speed is lost with it.
                    drop(self.notices.try_send(Notice::Learned { modules }));
                }
                let report = ExitReport {
                    status: if status < 0 {
                        ChildStatus::Signaled(-status)
                    } else {
                        ChildStatus::Exited(status)
                    },
                    cpu: Duration::try_from_secs_f64(cpu_secs).ok(),
                    max_rss_bytes: Some(max_rss_kib * 1024),
                };
                if let Some(exit) = self.running.remove(&pid) {
                    // Nobody may be interested any more.
                    let _ = exit.send(report);
                }
            }
            Event::Ready { .. } | Event::PreloadRefused => {
                warn!(zygote = self.process.pid, "zygote was ready twice")
            }
        }
    }

    fn on_spawned(&mut self, seq: u64, pid: i32, fds: Vec<OwnedFd>) {
        let Some(waiting) = self.waiting.remove(&seq) else {
            warn!(seq, pid, "zygote forked a child that nobody asked for");
            return;
        };
        let (exit, reported) = oneshot::channel();
        self.running.insert(pid, exit);
        let child = ChildHandle::from_fds(Pid::from_raw(pid), waiting.marker, fds, reported)
            .map_err(Error::io("take over a new child"));
        // A caller who gave up drops the sockets, and the child ends by itself.
        drop(waiting.reply.send(child));
        if self.age.is_over(self.process.pid) {
            // A full channel only delays it until the next child.
            let notice = Notice::WantsSuccessor {
                number: self.number,
            };
            self.age.reported = self.notices.try_send(notice).is_ok();
        }
    }

    async fn send(&self, command: &Command<'_>) -> Result<(), Error> {
        self.control
            .send(command)
            .await
            .map_err(Error::io("send to the zygote"))
    }
}

impl Age {
    /// Counts a child and looks at the process now and then.
    fn is_over(&mut self, pid: u32) -> bool {
        self.children += 1;
        if self.reported {
            return false;
        }
        let grown = self.children.is_multiple_of(CHILDREN_PER_LOOK)
            && proc::resident_bytes(pid)
                .is_some_and(|rss| rss > self.rss_at_start + self.growth_bytes_max);
        self.children >= self.children_max || grown
    }
}
