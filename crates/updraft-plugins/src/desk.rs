//! Who is served when. Pure: questions, helpers and the time go in, assignments come out.
//!
//! A class is asked one thing at a time, so that one that hangs holds one helper and no more. One
//! that has hung before waits until its penalty is over, and then shares a single place with all
//! others of its kind: what has never hung is not kept waiting by what has.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::question::Ask;

/// Questions that wait for a helper.
const WAITING_MAX: usize = 1_000;

/// Left alone for so long after the first time, then twice as long each time.
const PENALTY_FIRST: Duration = Duration::from_secs(15);

/// The longest penalty: a class that was mended outside of the plugins folder is found again.
const PENALTY_MAX: Duration = Duration::from_secs(15 * 60);

/// Classes whose penalties are remembered.
const PENALTIES_MAX: usize = 1_000;

/// Names a helper.
pub(crate) type HelperId = u64;

/// What waits and who works.
#[derive(Debug)]
pub(crate) struct Desk {
    helpers_max: usize,
    waiting: VecDeque<Ask>,
    idle: BTreeSet<HelperId>,
    working: HashMap<HelperId, Arc<str>>,
    penalties: HashMap<Arc<str>, Penalty>,
    next_helper: HelperId,
}

#[derive(Debug)]
struct Penalty {
    times: u32,
    until: Instant,
    cause: String,
}

/// A question for a helper.
#[derive(Debug)]
pub(crate) enum Assignment {
    /// One that has nothing to do.
    ToIdle(HelperId, Ask),
    /// One that has to be started.
    ToNew(HelperId, Ask),
}

/// What a question came to, as far as the next one is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was answered, or the user's code raised.
    Fine,
    /// It hung or killed its process.
    Harmful(String),
    /// There was no process, which is not the class's fault.
    NotAsked,
}

impl Desk {
    pub(crate) fn new(helpers_max: usize) -> Self {
        Self {
            helpers_max: helpers_max.max(2),
            waiting: VecDeque::new(),
            idle: BTreeSet::new(),
            working: HashMap::new(),
            penalties: HashMap::new(),
            next_helper: 0,
        }
    }

    /// Takes a question in, or answers it with a refusal.
    pub(crate) fn on_ask(&mut self, ask: Ask, now: Instant) {
        let asked = &ask.question.asked;
        let refusal = if let Some(left_alone) = self.penalty_of(asked, now) {
            left_alone
        } else if self.waiting.len() >= WAITING_MAX {
            Error::Busy {
                asked: asked.to_string(),
                waiting: self.waiting.len(),
            }
        } else {
            self.waiting.push_back(ask);
            return;
        };
        // Who asked may have gone.
        let _ = ask.reply.send(Err(refusal));
    }

    /// The next question that can be asked now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Assignment> {
        loop {
            let index = self.waiting.iter().position(|ask| self.may_ask(ask))?;
            let ask = self.waiting.remove(index)?;
            if ask.reply.is_closed() {
                continue;
            }
            let asked = Arc::clone(&ask.question.asked);
            // It may have hung while this one waited.
            if let Some(left_alone) = self.penalty_of(&asked, now) {
                let _ = ask.reply.send(Err(left_alone));
                continue;
            }
            let Some(id) = self.idle.pop_first() else {
                let id = self.next_helper;
                self.next_helper += 1;
                self.working.insert(id, asked);
                return Some(Assignment::ToNew(id, ask));
            };
            self.working.insert(id, asked);
            return Some(Assignment::ToIdle(id, ask));
        }
    }

    /// A helper is done with its question, and ready for another if it is alive.
    pub(crate) fn on_done(&mut self, id: HelperId, verdict: Verdict, is_alive: bool, now: Instant) {
        if let Some(asked) = self.working.remove(&id) {
            match verdict {
                Verdict::Fine => drop(self.penalties.remove(&asked)),
                Verdict::Harmful(cause) => self.punish(asked, cause, now),
                Verdict::NotAsked => {}
            }
        }
        if is_alive {
            self.idle.insert(id);
        }
    }

    /// Helpers that have nothing to do.
    pub(crate) fn idle(&self) -> impl Iterator<Item = HelperId> {
        self.idle.iter().copied()
    }

    /// An idle helper has ended.
    pub(crate) fn on_ended(&mut self, id: HelperId) {
        self.idle.remove(&id);
    }

    /// Another Python answers from now on: what hung may have been mended.
    pub(crate) fn on_new_python(&mut self) -> Vec<HelperId> {
        self.penalties.clear();
        std::mem::take(&mut self.idle).into_iter().collect()
    }

    fn may_ask(&self, ask: &Ask) -> bool {
        let asked = &ask.question.asked;
        let has_place = !self.idle.is_empty() || self.working.len() < self.helpers_max;
        let is_suspect = self.penalties.contains_key(asked);
        let suspects = self
            .working
            .values()
            .filter(|working| self.penalties.contains_key(*working));
        has_place
            && !self.working.values().any(|working| working == asked)
            && !(is_suspect && suspects.count() > 0)
    }

    fn penalty_of(&self, asked: &Arc<str>, now: Instant) -> Option<Error> {
        let penalty = self.penalties.get(asked)?;
        let retry_in = penalty.until.checked_duration_since(now)?;
        (!retry_in.is_zero()).then(|| Error::LeftAlone {
            asked: asked.to_string(),
            cause: penalty.cause.clone(),
            retry_in: Duration::from_secs(retry_in.as_secs().max(1)),
        })
    }

    fn punish(&mut self, asked: Arc<str>, cause: String, now: Instant) {
        if self.penalties.len() >= PENALTIES_MAX {
            self.penalties.retain(|_, penalty| penalty.until > now);
        }
        let times = self
            .penalties
            .get(&asked)
            .map_or(0, |penalty| penalty.times);
        let pause = PENALTY_FIRST
            .saturating_mul(1 << times.min(16))
            .min(PENALTY_MAX);
        self.penalties.insert(
            asked,
            Penalty {
                times: times + 1,
                until: now + pause,
                cause,
            },
        );
    }
}

#[cfg(test)]
mod tests;
