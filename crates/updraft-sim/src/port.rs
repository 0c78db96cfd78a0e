//! The keeper of every gate between a role and the store: where calls become slow, fail, lose their
//! answer, or are the last thing that their process does.
//!
//! One actor is driven at a time, so whoever stands at the gate is the one that is driven.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use updraft_runtime::Dice;
use updraft_store::{Change, Gate, Passage};

use crate::actor::ActorId;
use crate::faults::CallRates;

/// Why an actor does not go on at once.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The call takes so long.
    For(Duration),
    /// Somebody else is in a write transaction.
    ForLock,
    /// The process dies here.
    Crash,
}

/// An actor that stands at the gate.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) stop: Stop,
    pub(crate) release: oneshot::Sender<()>,
}

/// A transaction that is in the database for good.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) changes: Vec<Change>,
}

/// The port of one world. Clones share it.
#[derive(Clone)]
pub(crate) struct Port(Arc<Mutex<State>>);

struct State {
    dice: Dice,
    rates: CallRates,
    driven: Option<ActorId>,
    /// Who is in a write transaction.
    writer: Option<ActorId>,
    /// Whether its transaction changed anything that is judged.
    has_written: bool,
    held: Option<Held>,
    commits: Vec<Commit>,
    passed: u64,
    faults: u64,
}

/// What happens to one call.
#[derive(Debug, Default)]
struct Fate {
    pause: Option<Duration>,
    breaks: bool,
    crashes: bool,
}

impl Port {
    pub(crate) fn new(dice: Dice) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice,
            rates: CallRates::default(),
            driven: None,
            writer: None,
            has_written: false,
            held: None,
            commits: Vec::new(),
            passed: 0,
            faults: 0,
        })))
    }

    /// A gate for a store whose calls may fail.
    pub(crate) fn gate(&self) -> Gate {
        let port = self.clone();
        Gate::kept_by(Arc::new(move |passage| {
            let port = port.clone();
            Box::pin(async move { port.pass(passage).await })
        }))
    }

    pub(crate) fn set_rates(&self, rates: CallRates) {
        self.lock().rates = rates;
    }

    /// From now on whoever stands at a gate is `actor`.
    pub(crate) fn enter(&self, actor: ActorId) {
        self.lock().driven = Some(actor);
    }

    /// The actor that just stopped at a gate, if that is why it makes no progress.
    pub(crate) fn take_held(&self) -> Option<Held> {
        self.lock().held.take()
    }

    /// What was committed since the last call.
    pub(crate) fn take_commits(&self) -> Vec<Commit> {
        std::mem::take(&mut self.lock().commits)
    }

    /// `actor` is gone, and with it its transaction. Whether it was in one.
    pub(crate) fn leave(&self, actor: ActorId) -> bool {
        let mut state = self.lock();
        let was_writer = state.writer == Some(actor);
        if was_writer {
            state.writer = None;
        }
        was_writer
    }

    pub(crate) fn writer(&self) -> Option<ActorId> {
        self.lock().writer
    }

    /// Calls that passed, and faults among them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.passed, state.faults)
    }

    async fn pass(&self, passage: Passage) -> io::Result<()> {
        let (actor, fate) = self.arrive(&passage);
        if let Passage::Pause(pause) = passage {
            self.stop(Stop::For(pause)).await;
            return Ok(());
        }
        if let Some(pause) = fate.pause {
            self.stop(Stop::For(pause)).await;
        }
        if fate.breaks {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if passage == Passage::Write {
            while !self.try_write(actor) {
                self.stop(Stop::ForLock).await;
            }
        }
        if fate.crashes {
            self.stop(Stop::Crash).await;
        }
        Ok(())
    }

    fn arrive(&self, passage: &Passage) -> (ActorId, Fate) {
        let mut state = self.lock();
        let actor = state.driven.expect("only a driven actor calls the store");
        state.passed += 1;
        match passage {
            Passage::Committed(changes) => {
                if state.has_written || !changes.is_empty() {
                    state.commits.push(Commit {
                        changes: changes.clone(),
                    });
                }
                state.writer.take_if(|writer| *writer == actor);
            }
            // Its transaction has failed and is gone.
            Passage::Pause(_) => {
                state.writer.take_if(|writer| *writer == actor);
                return (actor, Fate::default());
            }
            Passage::Statement(doing) => {
                let is_writer = state.writer == Some(actor);
                state.has_written |= is_writer && !is_harmless(doing);
            }
            Passage::Read | Passage::Write | Passage::Commit => {}
        }
        (actor, state.fate_at(passage))
    }

    fn try_write(&self, actor: ActorId) -> bool {
        let mut state = self.lock();
        let is_free = state.writer.is_none_or(|writer| writer == actor);
        if is_free {
            state.writer = Some(actor);
            state.has_written = false;
        }
        is_free
    }

    async fn stop(&self, stop: Stop) {
        let (release, released) = oneshot::channel();
        self.lock().held = Some(Held { stop, release });
        if released.await.is_err() {
            // The world is gone, and its actors with it.
            std::future::pending::<()>().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Statements that change no run and no task instance. Looking at every run after every heartbeat
/// would take most of the time.
fn is_harmless(doing: &str) -> bool {
    const BEGINNINGS: [&str; 12] = [
        "load ",
        "look ",
        "find ",
        "count ",
        "lock ",
        "ping ",
        "check ",
        "enter ",
        "renew ",
        "recount ",
        "declare dead ",
        "start a job",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| doing.starts_with(beginning))
}

impl State {
    fn fate_at(&mut self, passage: &Passage) -> Fate {
        let rates = self.rates;
        if matches!(passage, Passage::Statement(_)) {
            let breaks = self.dice.chance(rates.statement_breaks);
            self.faults += u64::from(breaks);
            return Fate {
                breaks,
                ..Fate::default()
            };
        }
        let (shortest, longest) = rates.pause;
        let is_slow = self.dice.chance(rates.slow);
        let fate = Fate {
            pause: is_slow.then(|| self.dice.duration(shortest, longest)),
            breaks: self.dice.chance(rates.breaks),
            crashes: self.dice.chance(rates.crashes),
        };
        self.faults += u64::from(is_slow || fate.breaks || fate.crashes);
        fate
    }
}
