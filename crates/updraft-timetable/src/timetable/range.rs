//! The runs between two dates, as a backfill creates them.

use jiff::Timestamp;

use super::Timetable;
use crate::{DagRunInfo, Error, TimeRestriction};

/// Runs in ascending order; ends after the first error.
#[derive(Debug)]
pub struct DagRunInfos<'a> {
    timetable: &'a Timetable,
    earliest: Timestamp,
    latest: Timestamp,
    now: Timestamp,
    last: Option<DagRunInfo>,
    is_done: bool,
}

impl Timetable {
    /// Every run with a logical date (partitioned: a partition date) from `earliest` to `latest`,
    /// both inclusive, as if catchup were on.
    ///
    /// Partitions are looked for on the wall clock of the timetable's zone: the bounds' clock in
    /// UTC is read as a clock there.
    #[must_use]
    pub fn dagrun_infos_between(
        &self,
        earliest: Timestamp,
        latest: Timestamp,
        now: Timestamp,
    ) -> DagRunInfos<'_> {
        DagRunInfos {
            timetable: self,
            earliest,
            latest,
            now,
            last: None,
            is_done: false,
        }
    }
}

impl Iterator for DagRunInfos<'_> {
    type Item = Result<DagRunInfo, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.following().transpose();
        match &next {
            Some(Ok(info)) => self.last = Some(info.clone()),
            Some(Err(_)) | None => self.is_done = true,
        }
        next
    }
}

impl DagRunInfos<'_> {
    fn following(&self) -> Result<Option<DagRunInfo>, Error> {
        let next = match self.timetable {
            Timetable::CronPartition(partitions) => {
                let last_date = self.last.as_ref().and_then(|last| last.partition_date);
                let next = match last_date {
                    Some(date) => partitions.following(date)?,
                    None => partitions.first_from(self.earliest)?,
                };
                let latest = partitions.localized(self.latest)?;
                Some(next).filter(|next| next.run_after <= latest)
            }
            Timetable::PartitionedAsset(_) => return Err(self.timetable.partitions_of_assets()),
            timetable => {
                let restriction = TimeRestriction {
                    earliest: Some(self.earliest),
                    latest: Some(self.latest),
                    catchup: true,
                };
                timetable.next_dagrun_info(self.last.as_ref(), &restriction, self.now)?
            }
        };
        if let (Some(last), Some(next)) = (&self.last, &next) {
            self.require_progress(last, next)?;
        }
        Ok(next)
    }

    /// A schedule that stands still would fill the backfill with copies of one run.
    fn require_progress(&self, last: &DagRunInfo, next: &DagRunInfo) -> Result<(), Error> {
        let date = |info: &DagRunInfo| info.logical_date().unwrap_or(info.run_after);
        if date(next) > date(last) {
            return Ok(());
        }
        Err(Error::NotAdvancing {
            schedule: self.timetable.summary(),
            at: date(last),
        })
    }
}
