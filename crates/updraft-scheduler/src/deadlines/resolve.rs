//! Deadlines whose time the creation of their run could not know: their interval is in a variable,
//! or only a class of the user's knew from when they count, and has said it.

use jiff::{SignedDuration, Timestamp};
use tracing::warn;
use updraft_model::DagRunState;
use updraft_model::deadline::Interval;
use updraft_store::{Tx, UnresolvedDeadline};

use super::{LIMITS_PER_STEP, is_page};
use crate::Error;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Works out the time of a page of deadlines. Whether there may be more.
    pub(super) async fn resolve_deadlines(&mut self, now: Timestamp) -> Result<bool, Error> {
        let mut tx = self.store.write().await?;
        let unresolved = tx.lock_unresolved_deadlines(LIMITS_PER_STEP).await?;
        for each in &unresolved {
            match self.time_of(&mut tx, each).await? {
                // It was met before anybody knew it.
                Ok(time) if has_met(each, time) => tx.delete_deadline(each.deadline.id).await?,
                Ok(time) => {
                    tx.resolve_deadline(each.deadline.id, time, now).await?;
                }
                Err(why) => {
                    let (dag_id, run_id) = (&each.run.dag_id, &each.run.run_id);
                    warn!(%dag_id, %run_id, error = why, "left out a deadline; its run goes on without it");
                    tx.delete_deadline(each.deadline.id).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(is_page(unresolved.len()))
    }

    async fn time_of(
        &self,
        tx: &mut Tx,
        deadline: &UnresolvedDeadline,
    ) -> Result<Result<Timestamp, String>, Error> {
        let Some(alert) = &deadline.alert else {
            return Ok(Err("the Dag version it belongs to is gone".to_owned()));
        };
        let from = deadline.reference_time;
        let length = match Interval::parse(&alert.interval) {
            Ok(Interval::Fixed(length)) => Ok(length),
            Ok(Interval::Variable(key)) => self.length_in_variable(tx, &key).await?,
            Err(bad) => Err(bad.to_string()),
        };
        Ok(length.and_then(|length| {
            from.checked_add(length)
                .map_err(|_| format!("{from} and {length:#} are beyond the calendar"))
        }))
    }

    /// Looks where Airflow looks: in the environment, then in the store.
    async fn length_in_variable(
        &self,
        tx: &mut Tx,
        key: &str,
    ) -> Result<Result<SignedDuration, String>, Error> {
        let from_environment = self.options.environment_variables.get(&key.to_uppercase());
        let value = match from_environment {
            Some(value) => Some(value.clone()),
            None => tx.find_variable(key).await?.map(|variable| variable.value),
        };
        Ok(match value {
            Some(value) => {
                Interval::of_variable(&value).map_err(|bad| format!("variable `{key}`: {bad}"))
            }
            None => Err(format!("there is no variable `{key}`")),
        })
    }
}

fn has_met(deadline: &UnresolvedDeadline, time: Timestamp) -> bool {
    let run = &deadline.run;
    run.state == DagRunState::Success && run.end_date.is_some_and(|ended| ended <= time)
}
