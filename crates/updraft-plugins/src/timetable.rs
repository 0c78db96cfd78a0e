//! Questions to timetable classes of the user.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use updraft_model::DagRunType;
use updraft_timetable::{Custom, DagRunInfo, DataInterval, TimeRestriction, Traits};

use crate::Error;
use crate::facts::{date, parse_date};
use crate::plugins::Plugins;
use crate::question::{Question, Raised};

/// The next scheduled run of a Dag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRun {
    pub info: DagRunInfo,
    /// The id that its timetable gives it.
    pub run_id: String,
}

/// A run that somebody asks for, as far as it is known.
#[derive(Clone, Debug)]
pub struct ManualRun<'a> {
    pub run_type: DagRunType,
    /// `None`: the end of the data interval.
    pub run_after: Option<Timestamp>,
    pub data_interval: Option<DataInterval>,
    /// The date that the data interval follows when none is given; `None` leaves the run without.
    pub infer_from: Option<Timestamp>,
    pub partition_key: Option<&'a str>,
}

/// What a timetable says of such a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedRun {
    pub data_interval: Option<DataInterval>,
    pub run_id: String,
    pub partition_date: Option<Timestamp>,
}

/// The runs between two dates.
#[derive(Clone, Debug)]
pub struct RunsBetween {
    pub runs: Vec<NextRun>,
    /// There are more than were asked for.
    pub is_cut: bool,
    /// What ended the list early.
    pub problem: Option<Error>,
}

impl Plugins {
    /// What a timetable class says of itself. The answer is kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn describe_timetable(&self, timetable: &Custom) -> Result<Traits, Error> {
        let body = json!({ "timetable": serialized(timetable) });
        let question = Question::new(
            "DescribeTimetable",
            &timetable.class_path,
            "its properties",
            &body,
        );
        self.ask_once(question).await
    }

    /// When the next scheduled run is due, if ever. `timetable` is the whole schedule of the Dag,
    /// `asked` the class in it that needs Python.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn next_dagrun(
        &self,
        timetable: &Value,
        asked: &str,
        last: Option<&LastRun>,
        restriction: &TimeRestriction,
    ) -> Result<Option<NextRun>, Error> {
        let body = json!({
            "timetable": timetable,
            "last": last.map(LastRun::to_json),
            "restriction": {
                "earliest": date(restriction.earliest),
                "latest": date(restriction.latest),
                "catchup": restriction.catchup,
            },
        });
        let question = Question::new("NextDagRun", asked, "next_dagrun_info", &body);
        let answer: Option<InfoAnswer> = self.ask(question.clone()).await?;
        answer
            .map(|info| info.read())
            .transpose()
            .map_err(|problem| question.nonsense(problem))
    }

    /// Completes a run that somebody asks for.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn complete_run(
        &self,
        timetable: &Value,
        asked: &str,
        run: &ManualRun<'_>,
    ) -> Result<CompletedRun, Error> {
        let body = json!({
            "timetable": timetable,
            "run_type": run.run_type,
            "run_after": date(run.run_after),
            "data_interval": run.data_interval.map(interval_json),
            "infer_from": date(run.infer_from),
            "partition_key": run.partition_key,
        });
        let question = Question::new("ManualRun", asked, "infer_manual_data_interval", &body);
        let answer: CompletedAnswer = self.ask(question.clone()).await?;
        answer.read().map_err(|problem| question.nonsense(problem))
    }

    /// The runs that a backfill makes between two dates, both inclusive; `limit` of them at most.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dagruns_between(
        &self,
        timetable: &Value,
        asked: &str,
        (earliest, latest): (Timestamp, Timestamp),
        limit: usize,
    ) -> Result<RunsBetween, Error> {
        let body = json!({
            "timetable": timetable,
            "earliest": date(Some(earliest)),
            "latest": date(Some(latest)),
            "limit": limit,
        });
        let question = Question::new("DagRunsBetween", asked, "next_dagrun_info", &body);
        let answer: BetweenAnswer = self.ask(question.clone()).await?;
        let runs: Result<Vec<NextRun>, String> =
            answer.infos.into_iter().map(InfoAnswer::read).collect();
        Ok(RunsBetween {
            runs: runs.map_err(|problem| question.nonsense(problem))?,
            is_cut: answer.is_cut,
            problem: answer.raised.map(|raised| question.raised(raised)),
        })
    }
}

/// A timetable as Python reads it.
fn serialized(timetable: &Custom) -> Value {
    json!({ "__type": timetable.class_path, "__var": timetable.data })
}

/// The run that the next one follows, as it is stored: Python infers an interval that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    pub run_after: Timestamp,
    pub data_interval: Option<DataInterval>,
    pub partition_key: Option<String>,
    pub partition_date: Option<Timestamp>,
}

impl LastRun {
    fn to_json(&self) -> Value {
        json!({
            "run_after": date(Some(self.run_after)),
            "data_interval": self.data_interval.map(interval_json),
            "partition_key": self.partition_key,
            "partition_date": date(self.partition_date),
        })
    }
}

impl From<&DagRunInfo> for LastRun {
    fn from(info: &DagRunInfo) -> Self {
        Self {
            run_after: info.run_after,
            data_interval: info.data_interval,
            partition_key: info.partition_key.clone(),
            partition_date: info.partition_date,
        }
    }
}

impl From<&updraft_model::dag_run::DagRun> for LastRun {
    fn from(run: &updraft_model::dag_run::DagRun) -> Self {
        let interval = run.data_interval_start.zip(run.data_interval_end);
        Self {
            run_after: run.run_after,
            data_interval: interval.map(|(start, end)| DataInterval { start, end }),
            partition_key: run.partition_key.clone(),
            partition_date: run.partition_date,
        }
    }
}

fn interval_json(interval: DataInterval) -> Value {
    json!([date(Some(interval.start)), date(Some(interval.end))])
}

#[derive(Deserialize)]
struct InfoAnswer {
    run_after: String,
    data_interval: Option<(String, String)>,
    partition_date: Option<String>,
    partition_key: Option<String>,
    run_id: String,
}

#[derive(Deserialize)]
struct CompletedAnswer {
    data_interval: Option<(String, String)>,
    run_id: String,
    partition_date: Option<String>,
}

#[derive(Deserialize)]
struct BetweenAnswer {
    infos: Vec<InfoAnswer>,
    is_cut: bool,
    raised: Option<Raised>,
}

impl InfoAnswer {
    fn read(self) -> Result<NextRun, String> {
        Ok(NextRun {
            info: DagRunInfo {
                run_after: parse_date(&self.run_after)?,
                data_interval: interval(self.data_interval)?,
                partition_key: self.partition_key,
                partition_date: self.partition_date.as_deref().map(parse_date).transpose()?,
            },
            run_id: self.run_id,
        })
    }
}

impl CompletedAnswer {
    fn read(self) -> Result<CompletedRun, String> {
        Ok(CompletedRun {
            data_interval: interval(self.data_interval)?,
            run_id: self.run_id,
            partition_date: self.partition_date.as_deref().map(parse_date).transpose()?,
        })
    }
}

fn interval(given: Option<(String, String)>) -> Result<Option<DataInterval>, String> {
    let Some((start, end)) = given else {
        return Ok(None);
    };
    Ok(Some(DataInterval {
        start: parse_date(&start)?,
        end: parse_date(&end)?,
    }))
}
