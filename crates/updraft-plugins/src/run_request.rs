//! Completes a wish for a run with what only its timetable class knows.

use jiff::Timestamp;
use updraft_dag_run::{InferFrom, RunRequest};
use updraft_model::serialized::SerializedDag;
use updraft_timetable::{DataInterval, Error as TimetableError, Timetable};

use crate::Error;
use crate::plugins::Plugins;
use crate::timetable::ManualRun;

/// What is missing in a request that only Python can say.
struct Missing<'a> {
    /// The class that has to say it.
    asked: String,
    data_interval: bool,
    run_id: bool,
    partition_key: Option<&'a str>,
}

impl Plugins {
    /// Fills in the data interval, the run id and the partition date where they come from a class of
    /// the user. Everything else is left for `plan_dag_run`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn complete_request(
        &self,
        mut request: RunRequest,
        dag: &SerializedDag,
        now: Timestamp,
    ) -> Result<RunRequest, Error> {
        let serialized = &dag.attributes().timetable;
        let Ok(timetable) = Timetable::from_serialized(serialized) else {
            return Ok(request);
        };
        let Some(missing) = missing_in(&request, &timetable) else {
            return Ok(request);
        };
        let given = request.data_interval;
        let infers = request.logical_date.is_some() && given.is_none();
        let infer_from = match request.infer_from {
            InferFrom::LogicalDate => request.logical_date,
            InferFrom::RunAfter => Some(request.run_after.unwrap_or(now)),
        };
        let has_interval = infers || given.is_some();
        let run = ManualRun {
            run_type: request.run_type,
            run_after: match (request.run_after, request.infer_from) {
                (Some(run_after), _) => Some(run_after),
                // Its end, as for every run of the command line and of operators.
                (None, InferFrom::RunAfter) if has_interval => None,
                (None, _) => Some(now),
            },
            data_interval: given.map(|(start, end)| DataInterval { start, end }),
            infer_from: infer_from.filter(|_| infers),
            partition_key: missing.partition_key,
        };
        let completed = self.complete_run(serialized, &missing.asked, &run).await?;
        let (fills_interval, fills_id, fills_date) = (
            missing.data_interval,
            missing.run_id,
            missing.partition_key.is_some(),
        );
        if fills_interval {
            let interval = completed.data_interval;
            request.data_interval = interval.map(|interval| (interval.start, interval.end));
        }
        if fills_id {
            request.run_id = Some(completed.run_id);
        }
        if fills_date {
            request.partition_date = completed.partition_date;
        }
        Ok(request)
    }
}

/// Whether a class of the user has something to say about a run that somebody asks for.
#[must_use]
pub fn needs_python(request: &RunRequest, dag: &SerializedDag) -> bool {
    Timetable::from_serialized(&dag.attributes().timetable)
        .is_ok_and(|timetable| missing_in(request, &timetable).is_some())
}

fn missing_in<'a>(request: &'a RunRequest, timetable: &Timetable) -> Option<Missing<'a>> {
    let is_custom = timetable.custom().is_some();
    let interval = request.logical_date.is_some() && request.data_interval.is_none() && is_custom;
    let run_id = request.run_id.is_none() && timetable.makes_run_ids();
    let key = request
        .partition_key
        .as_deref()
        .filter(|_| request.partition_date.is_none());
    let mapper = key.and_then(|key| match timetable.resolve_partition_date(key) {
        Err(TimetableError::NeedsPython { class_path }) => Some(class_path),
        _ => None,
    });
    let custom = timetable.custom().map(|custom| custom.class_path.clone());
    let partition_key = key.filter(|_| mapper.is_some());
    let asked = mapper.or(custom)?;
    (interval || run_id || partition_key.is_some()).then_some(Missing {
        asked,
        data_interval: interval,
        run_id,
        partition_key,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use updraft_dag_run::RunRequest;
    use updraft_model::{DagRunTriggeredBy, DagRunType};
    use updraft_timetable::Timetable;

    use super::missing_in;

    fn request() -> RunRequest {
        RunRequest {
            logical_date: Some(Timestamp::UNIX_EPOCH),
            ..RunRequest::new(DagRunType::Manual, DagRunTriggeredBy::RestApi)
        }
    }

    #[test]
    fn only_what_a_class_of_the_user_decides_is_asked_for() {
        let built_in = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
        let built_in = Timetable::from_serialized(&built_in).unwrap();
        assert!(missing_in(&request(), &built_in).is_none());

        let custom = json!({"__type": "a.B", "__var": {}});
        let custom = Timetable::from_serialized(&custom).unwrap();
        let wish = request();
        let missing = missing_in(&wish, &custom).unwrap();
        assert!(missing.data_interval && missing.run_id);
        assert_eq!(missing.asked, "a.B");
        let complete = RunRequest {
            run_id: Some("mine".to_owned()),
            data_interval: Some((Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)),
            ..request()
        };
        assert!(missing_in(&complete, &custom).is_none());
    }
}
