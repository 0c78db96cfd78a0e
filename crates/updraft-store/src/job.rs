//! Rows of `job`: which roles are alive.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::JobId;
use updraft_model::job::{Job, JobState, JobType};

use crate::row::{Columns, assembled, int_array, micros};
use crate::session::Statement;
use crate::{Error, Reader, Tx};

pub(crate) const JOB_COLUMNS: &str = "id, job_type, state, start_date, end_date, latest_heartbeat, hostname, \
                           unixname, pid";

/// What it takes to register a role that starts.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub job_type: JobType,
    pub hostname: String,
    pub unixname: String,
    pub pid: i32,
}

impl Tx {
    /// Registers a starting role.
    pub async fn start_job(&mut self, job: &NewJob, now: Timestamp) -> Result<Job, Error> {
        let statement = sqlx::query(
            "INSERT INTO job (job_type, state, start_date, latest_heartbeat, hostname, unixname, pid)
             VALUES ($1, 'running', $2, $2, $3, $4, $5)
             RETURNING id, job_type, state, start_date, end_date, latest_heartbeat, hostname,
                       unixname, pid",
        )
        .bind(job.job_type.as_str())
        .bind(micros(now))
        .bind(job.hostname.as_str())
        .bind(job.unixname.as_str())
        .bind(job.pid);
        job_from(&self.fetch_one("start a job", statement).await?)
    }

    /// Renews the sign of life. `false`: the job was declared dead meanwhile and must stop.
    pub async fn heartbeat_job(&mut self, id: JobId, now: Timestamp) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE job
                SET latest_heartbeat = $2
              WHERE id = $1 AND state = 'running'",
        )
        .bind(id.0)
        .bind(micros(now));
        Ok(self
            .execute("renew the heartbeat of a job", statement)
            .await?
            == 1)
    }

    /// Ends a job that is still running.
    pub async fn end_job(
        &mut self,
        id: JobId,
        state: JobState,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE job
                SET state = $2, end_date = $3
              WHERE id = $1 AND state = 'running'",
        )
        .bind(id.0)
        .bind(state.as_str())
        .bind(micros(now));
        self.execute("end a job", statement).await?;
        Ok(())
    }

    /// Declares the jobs dead whose last sign of life is older than `since`.
    pub async fn fail_dead_jobs(
        &mut self,
        job_type: JobType,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<JobId>, Error> {
        let statement = sqlx::query(
            "UPDATE job
                SET state = 'failed', end_date = $3
              WHERE job_type = $1 AND state = 'running' AND latest_heartbeat < $2
              RETURNING id",
        )
        .bind(job_type.as_str())
        .bind(micros(since))
        .bind(micros(now));
        self.declare_dead(statement).await
    }

    /// Declares every running job of the type dead but this one, whatever their heartbeats say: a
    /// clock that was put back makes those of a dead process lie in the future.
    pub async fn fail_other_jobs(
        &mut self,
        job_type: JobType,
        own: JobId,
        now: Timestamp,
    ) -> Result<Vec<JobId>, Error> {
        let statement = sqlx::query(
            "UPDATE job
                SET state = 'failed', end_date = $3
              WHERE job_type = $1 AND state = 'running' AND id <> $2
              RETURNING id",
        )
        .bind(job_type.as_str())
        .bind(own.0)
        .bind(micros(now));
        self.declare_dead(statement).await
    }

    async fn declare_dead(&mut self, statement: Statement<'_>) -> Result<Vec<JobId>, Error> {
        self.fetch_all("declare dead jobs", statement)
            .await?
            .iter()
            .map(|row| Columns::of("job", row).big().map(JobId))
            .collect()
    }
}

impl Reader {
    /// How many jobs of the type run and gave a sign of life at `since` or later.
    pub async fn count_alive_jobs(
        &mut self,
        job_type: JobType,
        since: Timestamp,
    ) -> Result<i64, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*)
               FROM job
              WHERE job_type = $1 AND state = 'running' AND latest_heartbeat >= $2",
        )
        .bind(job_type.as_str())
        .bind(micros(since));
        let row = self.fetch_one("count living jobs", statement).await?;
        Columns::of("job", &row).big()
    }

    /// The job of this type with the newest sign of life, for the health page.
    pub async fn find_latest_job(&mut self, job_type: JobType) -> Result<Option<Job>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {JOB_COLUMNS}
               FROM job
              WHERE job_type = $1
              ORDER BY (state = 'running') DESC, latest_heartbeat DESC
              LIMIT 1"
        )))
        .bind(job_type.as_str());
        self.fetch_optional("find a job", statement)
            .await?
            .as_ref()
            .map(job_from)
            .transpose()
    }
}

impl Reader {
    /// The jobs with these ids.
    pub async fn load_jobs(&mut self, ids: &[JobId]) -> Result<BTreeMap<JobId, Job>, Error> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let theirs = self.dialect().one_of_ints("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT {JOB_COLUMNS} FROM job WHERE {theirs}"
        )))
        .bind(int_array(ids.iter().map(|id| id.0)));
        self.fetch_all("load jobs", statement)
            .await?
            .iter()
            .map(|row| job_from(row).map(|job| (job.id, job)))
            .collect()
    }
}

pub(crate) fn job_from(row: &AnyRow) -> Result<Job, Error> {
    let mut columns = Columns::of("job", row);
    Ok(Job {
        id: JobId(columns.big()?),
        job_type: columns.parsed()?,
        state: columns.parsed()?,
        start_date: columns.instant()?,
        end_date: columns.instant_or_null()?,
        latest_heartbeat: columns.instant()?,
        hostname: columns.owned()?,
        unixname: columns.owned()?,
        pid: columns.int()?,
    })
}
