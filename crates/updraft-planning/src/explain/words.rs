//! The sentence.

use std::fmt;

use jiff::Timestamp;
use updraft_model::TaskId;

use super::{Explanation, Next, SlotFacts, Standing, TriggerFacts};
use crate::Because;
use crate::run_start::RunWaits;

/// How many upstream tasks are named.
const NAMES_MAX: usize = 3;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.task_id)?;
        if self.map_index.is_mapped() {
            write!(f, "[{}]", self.map_index)?;
        }
        write!(f, " {}.", self.standing)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTask => f.write_str("is no task of the Dag"),
            Self::TaskInactive {
                start_date,
                end_date,
                logical_date,
            } => {
                f.write_str("takes no part in the run: its")?;
                let starts_late = start_date.filter(|start| Some(*start) > *logical_date);
                match (starts_late, end_date) {
                    (Some(start), _) => write!(f, " start date {start} is after")?,
                    (None, end) => write!(f, " end date{} is before", Since(" ", *end))?,
                }
                write!(f, " the logical date{}", Since(" ", *logical_date))
            }
            Self::Expanded { count } => write!(
                f,
                "is mapped and has {count} instances here: ask for map index 0 to {}",
                count.saturating_sub(1)
            ),
            Self::Unexpanded => f.write_str("has no such map index here: ask without one"),
            Self::NoInstance => f.write_str("has no instance in the run, which began without it"),
            Self::RunWaits(RunWaits::DagPaused) => f.write_str("waits: the Dag is paused"),
            Self::RunWaits(waits) => write!(f, "waits: its Dag run is queued, and {waits}"),
            Self::Waits(because) => write!(f, "waits: {because}"),
            Self::WaitsForUpstream { because, open } => write_upstream(f, because, open),
            Self::NoSlot(slots) => {
                write!(f, "waits: ")?;
                write_slots(f, *slots)
            }
            Self::Settling => f.write_str(
                "waits: Python is still asked about it, by a weight rule or \
                 `task_instance_mutation_hook`",
            ),
            Self::Next(next) => next.fmt(f),
            Self::NoScheduler { last_heartbeat } => {
                write!(f, "is ready, but no scheduler is alive")?;
                write!(
                    f,
                    "{}",
                    Since(", the last one was heard of at ", *last_heartbeat)
                )
            }
            Self::Queued { since, slots } => {
                write!(f, "is queued{}", Since(" since ", *since))?;
                if slots.running >= slots.total {
                    f.write_str(" and waits for its executor: ")?;
                    write_slots(f, *slots)
                } else {
                    f.write_str(", and a worker is about to begin with it")
                }
            }
            Self::Running {
                since,
                hostname,
                try_number,
                tries,
            } => {
                write!(f, "is running{}", Since(" since ", *since))?;
                write_host(f, hostname)?;
                write!(f, ", try {try_number} of {tries}")
            }
            Self::Restarting { hostname } => {
                f.write_str("was cleared while it ran, and begins again once its process")?;
                write_host(f, hostname)?;
                f.write_str(" has ended")
            }
            Self::Deferred { trigger, timeout } => {
                write_trigger(f, trigger.as_ref())?;
                write!(f, "{}", Since(", at most until ", *timeout))
            }
            Self::AwaitingInput { timeout } => {
                f.write_str("waits for somebody's answer")?;
                write!(f, "{}", Since(", at most until ", *timeout))
            }
            Self::Ended { state, at, because } => {
                write!(f, "ended as {state}{}", Since(" at ", *at))?;
                match because {
                    Some(because) => write!(f, ": {because}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartRun => f.write_str("is next: its Dag run is queued and about to start"),
            Self::State(state, because) => write!(f, "is about to become {state}: {because}"),
            Self::Expand => f.write_str("is about to be expanded"),
        }
    }
}

fn write_upstream(f: &mut fmt::Formatter<'_>, because: &Because, open: &[TaskId]) -> fmt::Result {
    let Because::TriggerRule { rule, upstream } = because else {
        return write!(f, "waits: {because}");
    };
    let missing = upstream.expected.saturating_sub(upstream.done());
    if missing == 0 || open.is_empty() {
        return write!(f, "waits: its {because}");
    }
    let names: Vec<String> = open
        .iter()
        .take(NAMES_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if open.len() > NAMES_MAX { ", …" } else { "" };
    write!(
        f,
        "waits for {missing} of {} upstream task instances ({}{more}), as its trigger rule is {rule}",
        upstream.expected,
        names.join(", ")
    )
}

fn write_slots(f: &mut fmt::Formatter<'_>, slots: SlotFacts) -> fmt::Result {
    let SlotFacts {
        total,
        running,
        queued,
    } = slots;
    write!(
        f,
        "all {total} slots of `[core] parallelism` are taken ({running} running, {queued} queued)"
    )
}

fn write_host(f: &mut fmt::Formatter<'_>, hostname: &str) -> fmt::Result {
    match hostname {
        "" => Ok(()),
        host => write!(f, " on `{host}`"),
    }
}

fn write_trigger(f: &mut fmt::Formatter<'_>, trigger: Option<&TriggerFacts>) -> fmt::Result {
    match trigger {
        Some(trigger) => {
            write!(
                f,
                "is deferred and waits for trigger `{}`",
                trigger.classpath
            )?;
            if trigger.is_taken {
                Ok(())
            } else {
                f.write_str(", which no triggerer has taken")
            }
        }
        None => f.write_str("is deferred, and its trigger has fired"),
    }
}

/// A moment with the words before it, or nothing.
struct Since(&'static str, Option<Timestamp>);

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(at) => write!(f, "{}{at}", self.0),
            None => Ok(()),
        }
    }
}
