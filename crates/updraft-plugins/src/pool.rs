//! Helpers at work: one task that takes questions in, hands them out and watches over helpers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use updraft_runtime::OnExit;

use crate::desk::{Assignment, Desk, HelperId};
use crate::helper::{self, HelperContext, Report};
use crate::question::Ask;

/// Questions on their way to the pool. Who asks waits beyond it.
const ASKS_MAX: usize = 256;

/// How often idle helpers are looked at.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// A group of helpers.
pub(crate) struct Pool {
    context: HelperContext,
    /// A helper without work ends after so long: it costs memory.
    idle_timeout: Duration,
    desk: Desk,
    helpers: HashMap<HelperId, Slot>,
    asks: mpsc::Receiver<Ask>,
    reports: mpsc::Receiver<Report>,
    reporter: mpsc::Sender<Report>,
    /// The zygote whose children answer.
    zygote: Option<u32>,
}

struct Slot {
    asks: mpsc::Sender<Ask>,
    zygote: Option<u32>,
    idle_since: Instant,
}

impl Pool {
    /// Starts the pool; it ends when the sender is dropped.
    pub(crate) fn start(
        name: &'static str,
        context: HelperContext,
        helpers_max: usize,
        idle_timeout: Duration,
    ) -> mpsc::Sender<Ask> {
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        // Every helper has one report to make at a time, and one for its end.
        let (reporter, reports) = mpsc::channel(helpers_max.max(2) * 4);
        let tasks = context.tasks.clone();
        let pool = Self {
            zygote: context.zygote.pid(),
            context,
            idle_timeout,
            desk: Desk::new(helpers_max),
            helpers: HashMap::new(),
            asks,
            reports,
            reporter,
        };
        tasks.spawn(name, OnExit::Log, pool.run());
        sender
    }

    async fn run(mut self) -> Result<(), Infallible> {
        let shutdown = self.context.tasks.shutdown();
        let mut tidy = interval(TIDY_INTERVAL);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                ask = self.asks.recv() => match ask {
                    Some(ask) => {
                        self.look_for_new_python();
                        self.desk.on_ask(ask, Instant::now().into_std());
                    }
                    None => break,
                },
                Some(report) = self.reports.recv() => self.on_report(report),
                _ = tidy.tick(), if !self.helpers.is_empty() => self.tidy(),
            }
            self.assign();
        }
        Ok(())
    }

    fn assign(&mut self) {
        while let Some(assignment) = self.desk.next(Instant::now().into_std()) {
            let (id, ask) = match assignment {
                Assignment::ToIdle(id, ask) => (id, ask),
                Assignment::ToNew(id, ask) => {
                    self.start_helper(id);
                    (id, ask)
                }
            };
            let unsent = match self.helpers.get(&id) {
                Some(slot) => slot
                    .asks
                    .try_send(ask)
                    .err()
                    .map(|error| error.into_inner()),
                None => Some(ask),
            };
            if let Some(ask) = unsent {
                // It died a moment ago, and its report is on the way: somebody else is asked.
                self.helpers.remove(&id);
                let now = Instant::now().into_std();
                self.desk
                    .on_done(id, crate::desk::Verdict::NotAsked, false, now);
                self.desk.on_ask(ask, now);
            }
        }
    }

    fn start_helper(&mut self, id: HelperId) {
        let (sender, asks) = mpsc::channel(1);
        self.helpers.insert(
            id,
            Slot {
                asks: sender,
                zygote: self.context.zygote.pid(),
                idle_since: Instant::now(),
            },
        );
        let (context, reporter) = (self.context.clone(), self.reporter.clone());
        let tasks = context.tasks.clone();
        tasks.spawn("plugins.helper", OnExit::Log, async move {
            Box::pin(helper::run(id, context, asks, reporter)).await;
            Ok::<(), Infallible>(())
        });
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Done {
                id,
                verdict,
                is_alive,
            } => {
                let current = self.zygote;
                let is_current = self.helpers.get_mut(&id).is_some_and(|slot| {
                    slot.idle_since = Instant::now();
                    slot.zygote == current
                });
                let stays = is_alive && is_current;
                if !stays {
                    self.helpers.remove(&id);
                }
                self.desk
                    .on_done(id, verdict, stays, Instant::now().into_std());
            }
            Report::Ended(id) => {
                self.helpers.remove(&id);
                self.desk.on_ended(id);
            }
        }
    }

    /// Ends helpers that have had nothing to do for long, or that an older Python answers in.
    fn tidy(&mut self) {
        self.look_for_new_python();
        let now = Instant::now();
        let idle: Vec<HelperId> = self
            .desk
            .idle()
            .filter(|id| {
                self.helpers
                    .get(id)
                    .is_none_or(|slot| now.duration_since(slot.idle_since) >= self.idle_timeout)
            })
            .collect();
        for id in idle {
            self.helpers.remove(&id);
            self.desk.on_ended(id);
        }
    }

    fn look_for_new_python(&mut self) {
        let Some(pid) = self.context.zygote.pid() else {
            return;
        };
        if self.zygote.replace(pid) != Some(pid) {
            for id in self.desk.on_new_python() {
                self.helpers.remove(&id);
            }
        }
    }
}
