//! Loads what the planner needs to know about a run.

use jiff::SignedDuration;
use updraft_model::DagRunType;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::SerializedDag;
use updraft_planning::run::{
    PastFacts, PreviousRun, PreviousRunRule, RunFacts, RunView, SkipDecision, TaskInstanceView,
    ViewNeeds, XComFacts,
};
use updraft_store::{Error, Reader, SlimTaskInstance};

/// The run that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct ViewOf<'a> {
    pub run: &'a DagRun,
    /// `backfill_dag_run.sort_ordinal`, when it belongs to a backfill.
    pub backfill_sort_ordinal: Option<i32>,
    /// `[core] max_task_retry_delay`.
    pub max_task_retry_delay: SignedDuration,
}

/// Loads the view of one run with as few queries as its Dag allows: one, for most.
///
/// # Errors
/// When the store fails.
pub async fn load_view<'a>(
    reader: &mut Reader,
    dag: &'a SerializedDag,
    needs: &ViewNeeds,
    of: &ViewOf<'_>,
) -> Result<RunView<'a>, Error> {
    let run = of.run;
    let rows = reader
        .load_slim_task_instances(&run.dag_id, &run.run_id)
        .await?;
    Ok(RunView {
        dag,
        run: facts_of(of),
        task_instances: rows.into_iter().map(view_of).collect(),
        xcoms: load_xcom_facts(reader, needs, run).await?,
        past: load_past_facts(reader, needs, run).await?,
        max_task_retry_delay: of.max_task_retry_delay,
    })
}

/// The columns of a run that decide something.
fn facts_of(of: &ViewOf<'_>) -> RunFacts {
    let run = of.run;
    RunFacts {
        state: run.state,
        run_type: run.run_type,
        logical_date: run.logical_date,
        queued_at: run.queued_at,
        start_date: run.start_date,
        end_date: run.end_date,
        backfill_sort_ordinal: of.backfill_sort_ordinal,
    }
}

fn view_of(row: SlimTaskInstance) -> TaskInstanceView {
    TaskInstanceView {
        id: row.id,
        task_id: row.task_id,
        map_index: row.map_index,
        state: row.state,
        try_number: row.try_number,
        start_date: row.start_date,
        end_date: row.end_date,
        retry_delay_override_secs: row.retry_delay_override_secs,
        reschedule_date: row.reschedule_date,
        dag_version_id: row.dag_version_id,
    }
}

async fn load_xcom_facts(
    reader: &mut Reader,
    needs: &ViewNeeds,
    run: &DagRun,
) -> Result<XComFacts, Error> {
    let (dag_id, run_id) = (&run.dag_id, &run.run_id);
    let decisions = reader
        .load_skip_xcoms(dag_id, run_id, &needs.skip_decisions_of)
        .await?;
    Ok(XComFacts {
        mapped_lengths: reader
            .load_mapped_lengths(dag_id, run_id, &needs.mapped_lengths_of)
            .await?,
        return_value_counts: reader
            .load_return_value_counts(dag_id, run_id, &needs.return_value_counts_of)
            .await?,
        skip_decisions: decisions
            .into_iter()
            .map(|xcom| {
                // The child writes these itself; a value nobody can read decides nothing.
                let value = serde_json::from_str(&xcom.value).unwrap_or_default();
                ((xcom.task_id, xcom.map_index), SkipDecision::parse(&value))
            })
            .collect(),
    })
}

async fn load_past_facts(
    reader: &mut Reader,
    needs: &ViewNeeds,
    run: &DagRun,
) -> Result<PastFacts, Error> {
    let (Some(rule), Some(logical_date)) = (needs.previous_run, run.logical_date) else {
        return Ok(PastFacts::default());
    };
    let except = match rule {
        PreviousRunRule::Any => None,
        PreviousRunRule::NotManual => Some(DagRunType::Manual),
    };
    let previous = match reader
        .find_previous_run(&run.dag_id, logical_date, except)
        .await?
    {
        Some(previous) => Some(PreviousRun {
            logical_date: previous.logical_date,
            states: reader
                .load_states_of_tasks(&run.dag_id, &previous.run_id, &needs.past_tasks)
                .await?,
        }),
        None => None,
    };
    let seen = reader
        .load_tasks_seen_before(&run.dag_id, logical_date, &needs.tasks_seen)
        .await?;
    Ok(PastFacts {
        previous,
        tasks_seen: seen.into_iter().collect(),
    })
}
