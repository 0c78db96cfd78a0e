//! A triggerer of a machine: the real rows and the real books, around a simulated child.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use updraft_execution::{AnswerOptions, Fired, FiredTrigger, LogNames, TriggerEvents};
use updraft_model::TriggerId;
use updraft_store::{Error, TriggerQueues};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::message::{RunTrigger, TriggerEvent};
use updraft_task_comms::session::triggerer::TriggererConfig;
use updraft_triggerer::{Loaded, Roster, TriggerRows, TriggererOptions};

use crate::dags::Fate;

/// A sign of life, and every second time a look at everything.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(30);

/// Few, so that several triggerers share the triggers.
pub(crate) const CAPACITY: usize = 8;

/// One triggerer, as long as its job lives.
pub(crate) struct SimTriggerer {
    pub(crate) rows: TriggerRows,
    pub(crate) roster: Roster,
    /// Away while a report is stored.
    pub(crate) events: Option<TriggerEvents>,
    pub(crate) wants_claim: bool,
    pub(crate) wants_check: bool,
    pub(crate) claims: bool,
    pub(crate) checks: bool,
    pub(crate) loads: bool,
    pub(crate) next_check: Instant,
    pub(crate) beats: u64,
    pub(crate) child: Option<TriggerChild>,
    /// Names the present child, or the last one.
    pub(crate) child_number: u64,
    /// No child and no load before this time since the start.
    pub(crate) not_before: Duration,
    pub(crate) tick: Option<Duration>,
}

/// The child of a triggerer.
#[derive(Default)]
pub(crate) struct TriggerChild {
    /// What runs, each with the number of its start.
    pub(crate) running: BTreeMap<TriggerId, SimTrigger>,
    pub(crate) starts: u64,
    /// What it will tell next.
    pub(crate) news: News,
    pub(crate) is_reporting: bool,
}

/// What triggers did.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) fired: Vec<FiredTrigger>,
    pub(crate) finished: Vec<TriggerId>,
}

/// A trigger that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimTrigger {
    pub(crate) start: u64,
    pub(crate) fate: Fate,
    pub(crate) token: i64,
    pub(crate) after: Duration,
    pub(crate) has_fired: bool,
}

/// The end of a call to the store.
pub(crate) enum TriggerDone {
    Registered(Result<TriggerRows, Error>),
    Claimed(Result<Vec<TriggerId>, Error>),
    Checked(Vec<TriggerId>, Result<BTreeSet<TriggerId>, Error>),
    Loaded(Result<Loaded, Error>),
    Reported {
        child: Option<u64>,
        news: News,
        events: Box<TriggerEvents>,
    },
    Beaten(Result<bool, Error>),
}

impl SimTriggerer {
    pub(crate) fn new(rows: TriggerRows, now: Instant) -> Self {
        Self {
            rows,
            roster: Roster::default(),
            events: Some(TriggerEvents::default()),
            wants_claim: true,
            wants_check: true,
            claims: false,
            checks: false,
            loads: false,
            next_check: now,
            beats: 0,
            child: None,
            child_number: 0,
            not_before: Duration::ZERO,
            tick: None,
        }
    }
}

impl TriggerChild {
    /// Starts a trigger; gives the number of this start.
    pub(crate) fn start(&mut self, run: &RunTrigger) -> SimTrigger {
        let kwargs: Value =
            serde_json::from_str(&run.encrypted_kwargs).expect("simulated arguments are JSON");
        self.starts += 1;
        let trigger = SimTrigger {
            start: self.starts,
            fate: Fate::of(&run.classpath).expect("every trigger is a simulated one"),
            token: kwargs["token"].as_i64().expect("every trigger has a token"),
            after: Duration::from_millis(kwargs["after"].as_u64().unwrap_or(0)),
            has_fired: false,
        };
        self.running.insert(TriggerId(run.id), trigger);
        trigger
    }

    /// The time of a trigger has come. Whether it has another one.
    pub(crate) fn fire(&mut self, id: TriggerId) -> bool {
        let Some(trigger) = self.running.get_mut(&id) else {
            return false;
        };
        let event = |state: Option<&str>| {
            Fired::Event(TriggerEvent {
                payload: JsonText::from(&Value::from(trigger.token)),
                task_instance_state: state.map(str::to_owned),
                xcoms: None,
                problem: None,
            })
        };
        let fired = match trigger.fate {
            Fate::Fires | Fate::FiresTwice | Fate::FiresAndStays => Some(event(None)),
            Fate::EndsTask(state) => Some(event(Some(state))),
            Fate::Raises => Some(Fired::Failed(Some(vec!["it raised\n".to_owned()]))),
            Fate::EndsSilently => None,
            Fate::Never => return false,
        };
        let fired = fired.map(|fired| FiredTrigger { id, fired });
        self.news.fired.extend(fired);
        let goes_on = match trigger.fate {
            Fate::FiresTwice => !trigger.has_fired,
            Fate::FiresAndStays => return false,
            _ => false,
        };
        trigger.has_fired = true;
        if !goes_on {
            self.end(id);
        }
        goes_on
    }

    /// A trigger ends.
    pub(crate) fn end(&mut self, id: TriggerId) {
        if self.running.remove(&id).is_some() {
            self.news.finished.push(id);
        }
    }
}

pub(crate) fn options(hostname: &str, is_alone: bool, answers: AnswerOptions) -> TriggererOptions {
    TriggererOptions {
        hostname: hostname.to_owned(),
        unixname: "sim".to_owned(),
        log_folder: PathBuf::from("/logs"),
        log_names: LogNames::default(),
        scratch_folder: PathBuf::from("/scratch"),
        capacity: CAPACITY,
        claimed_at_once_max: CAPACITY / 2,
        queues: TriggerQueues::None,
        job_heartbeat: BEAT_EVERY,
        health_check_threshold: 3 * BEAT_EVERY,
        full_scan_interval: 2 * BEAT_EVERY,
        idle_timeout: Duration::from_secs(60),
        session: TriggererConfig::default(),
        masker: MaskerConfig::default(),
        answers,
        is_alone,
    }
}
