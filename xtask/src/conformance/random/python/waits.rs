//! Writes tasks that wait.

use super::Writer;
use super::code::trouble;
use crate::conformance::random::dag::{Ending, Task, TaskIndex};
use crate::conformance::random::waits::{Deferral, Mercy, Sees, Sensing, Then, Waits};

impl Writer<'_> {
    pub(super) fn deferral(&mut self, task: &Task, deferral: &Deferral, settings: &str) {
        let name = &task.name;
        let mut with = vec![settings.to_owned()];
        if deferral.times > 1 {
            with.push(format!("times={}", deferral.times));
        }
        if deferral.then != Then::Returns {
            with.push(format!("then=\"{}\"", deferral.then.name()));
        }
        let class = if deferral.starts_there {
            "StartsThere"
        } else {
            "Waits"
        };
        let events = deferral.events.iter();
        let events: Vec<String> = events
            .map(|event| format!("\"{}\"", event.name()))
            .collect();
        let call = match (&task.mapping, events.as_slice()) {
            (None, [event]) => {
                with.push(format!("event={event}"));
                format!("{class}({})", with.join(", "))
            }
            _ => format!(
                "{class}.partial({}).expand(event=[{}])",
                with.join(", "),
                events.join(", ")
            ),
        };
        self.text.line(&format!("{name} = {call}"));
    }

    pub(super) fn external(
        &mut self,
        index: TaskIndex,
        target: TaskIndex,
        waits: Waits,
        settings: &str,
    ) {
        let name = &self.dag.tasks[index].name;
        let (dag_id, target) = (&self.dag.dag_id, self.dag.task_id(target));
        let pace = match waits {
            Waits::Pokes => "poke_interval=0.5",
            Waits::Reschedules => "mode=\"reschedule\", poke_interval=6",
            Waits::Defers => "deferrable=True, poke_interval=1",
        };
        self.text.line(&format!(
            "{name} = ExternalTaskSensor({settings}, external_dag_id=\"{dag_id}\", \
             external_task_id=\"{target}\", skipped_states=[\"skipped\"], \
             failed_states=[\"failed\", \"upstream_failed\"], {pace})"
        ));
    }

    pub(super) fn sensor_body(&self, task: &Task, sensing: Sensing) -> Vec<String> {
        let poked = |times| format!("poked(\"{}-{}\", {times})", self.dag.dag_id, task.name);
        match sensing.sees {
            Sees::At(times) => vec![format!("return {}", poked(times))],
            Sees::ValueAt(times) => vec![format!(
                "return PokeReturnValue(is_done={}, xcom_value={{\"seen\": [{times}]}})",
                poked(times)
            )],
            Sees::Never => vec!["return False".to_owned()],
            Sees::Raises => trouble(&Ending::Raises),
            Sees::FailsForGood => trouble(&Ending::FailsForGood),
            Sees::Skips => trouble(&Ending::Skips),
        }
    }
}

/// How often a sensor looks, and until when. One that reschedules itself waits six seconds: with
/// less, real Airflow now and then takes the end of one poke for the failure of the next.
pub(super) fn sensor_settings(sensing: Sensing) -> Vec<String> {
    let gives_up = sensing.ending() == Ending::FailsForGood || sensing.sees == Sees::Never;
    let pace = match (sensing.reschedules, gives_up) {
        (true, true) => "mode=\"reschedule\", poke_interval=6, timeout=3",
        (true, false) => "mode=\"reschedule\", poke_interval=6",
        (false, true) => "poke_interval=0.2, timeout=1",
        (false, false) => "poke_interval=0.2",
    };
    let mercy = match sensing.mercy {
        Mercy::None => None,
        Mercy::Soft => Some("soft_fail=True"),
        Mercy::Never => Some("never_fail=True"),
        Mercy::Silent => Some("silent_fail=True"),
    };
    [Some(pace), mercy]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}
