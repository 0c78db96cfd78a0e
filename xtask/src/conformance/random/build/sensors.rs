//! Random sensors.

use super::Builder;
use crate::conformance::random::dag::{Ending, Form, GroupIndex, Kind, Mapping, TaskIndex};
use crate::conformance::random::waits::{
    Deferral, Mercy, Sees, Sensing, Then, TriggerEvent, Waits,
};

/// Operators of Airflow's that defer.
const DEFERRABLES: [&str; 4] = [
    "DateTimeSensorAsync(SETTINGS, target_time=\"2026-01-01T00:00:00+00:00\")",
    "DateTimeSensorAsync(SETTINGS, target_time=\"{{ ds }}T00:00:00+00:00\", start_from_trigger=True)",
    "DateTimeSensorAsync(SETTINGS, target_time=\"2026-01-01T00:00:00+00:00\", end_from_trigger=True)",
    "TimeDeltaSensor(SETTINGS, delta=datetime.timedelta(seconds=1), deferrable=True)",
];

impl Builder<'_> {
    pub(super) fn sensor(
        &mut self,
        group: Option<GroupIndex>,
        upstream: &[TaskIndex],
    ) -> Vec<TaskIndex> {
        let mut task = self.blank(group, upstream);
        task.rule = self.rule(upstream);
        let reschedules = self.numbers.percent(35);
        task.kind = match self.waitable() {
            Some(target) => Kind::External {
                target,
                waits: if reschedules {
                    Waits::Reschedules
                } else {
                    Waits::Pokes
                },
            },
            None => Kind::Sensor(self.sensing(reschedules)),
        };
        if let Kind::Sensor(sensing) = task.kind {
            task.ending = sensing.ending();
            task.retries = self.numbers.pick(&[0, 0, 1]);
        }
        vec![self.add(task)]
    }

    /// A task that waits for triggers.
    pub(super) fn deferral(
        &mut self,
        group: Option<GroupIndex>,
        upstream: &[TaskIndex],
    ) -> Vec<TaskIndex> {
        let mut task = self.blank(group, upstream);
        task.rule = self.rule(upstream);
        if let Some(target) = self.waitable() {
            let waits = Waits::Defers;
            task.kind = Kind::External { target, waits };
            return vec![self.add(task)];
        }
        if self.numbers.percent(25) {
            task.kind = Kind::Written(self.numbers.pick(&DEFERRABLES).to_owned());
            return vec![self.add(task)];
        }
        let count = if self.numbers.percent(25) {
            self.numbers.between(1, 3)
        } else {
            0
        };
        let deferral = self.triggers(count.max(1));
        task.retries = self.numbers.pick(&[0, 0, 0, 1]);
        task.ending = deferral.ending(deferral.events[0]);
        if count > 0 {
            let items: Vec<i64> = (0..).take(count).collect();
            let endings = deferral.events.iter().map(|event| {
                // Mapped tasks always start with a process: real Airflow asks no trigger first.
                if deferral.starts_there {
                    Ending::Returns(String::new())
                } else {
                    deferral.ending(*event)
                }
            });
            task.by_item = items.iter().copied().zip(endings).collect();
            let form = Form::Literal;
            task.mapping = Some(Mapping { form, items });
        }
        task.kind = Kind::Deferral(deferral);
        vec![self.add(task)]
    }

    fn triggers(&mut self, count: usize) -> Deferral {
        let starts_there = self.numbers.percent(30);
        let events = (0..count)
            .map(|_| {
                self.numbers.weighted(&[
                    (42, TriggerEvent::Fires),
                    (10, TriggerEvent::Succeeds),
                    (7, TriggerEvent::Fails),
                    (7, TriggerEvent::Skips),
                    (11, TriggerEvent::Raises),
                    (6, TriggerEvent::Ends),
                    (8, TriggerEvent::Sleeps),
                    (9, TriggerEvent::IsMissing),
                ])
            })
            .collect();
        let then = self.numbers.weighted(&[
            (70, Then::Returns),
            (10, Then::Raises),
            (10, Then::Skips),
            (10, Then::FailsFirst),
        ]);
        Deferral {
            starts_there,
            events,
            times: if starts_there {
                1
            } else {
                self.numbers.pick(&[1, 1, 1, 2, 3])
            },
            then,
        }
    }

    fn sensing(&mut self, reschedules: bool) -> Sensing {
        let last = if reschedules { 2 } else { 3 };
        let times = u32::try_from(self.numbers.between(1, last)).expect("a small number");
        let sees = self.numbers.weighted(&[
            (40, Sees::At(times)),
            (20, Sees::ValueAt(times)),
            (15, Sees::Never),
            (10, Sees::Raises),
            (7, Sees::FailsForGood),
            (8, Sees::Skips),
        ]);
        let mercy = self.numbers.weighted(&[
            (45, Mercy::None),
            (25, Mercy::Soft),
            (15, Mercy::Never),
            (15, Mercy::Silent),
        ]);
        Sensing {
            decorated: self.numbers.percent(50),
            reschedules,
            sees,
            mercy,
        }
    }

    /// Now and then, a plain task to wait for.
    fn waitable(&mut self) -> Option<TaskIndex> {
        if !self.numbers.percent(30) {
            return None;
        }
        let is_plain = |task: &TaskIndex| {
            self.dag.tasks[*task].mapping.is_none() && self.dag.mapped_group(*task).is_none()
        };
        let plain: Vec<TaskIndex> = (0..self.dag.tasks.len()).filter(is_plain).collect();
        (!plain.is_empty()).then(|| self.numbers.pick(&plain))
    }
}
