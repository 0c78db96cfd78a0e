//! Loads what the planner needs to know about a run.

use jiff::SignedDuration;
use updraft_model::DagRunType;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::SerializedDag;
use updraft_planning::run::{
    PastFacts, PreviousRun, PreviousRunRule, RunFacts, RunView, SkipDecision, TaskInstanceView,
    ViewNeeds, XComFacts,
};
use updraft_store::{Error, SlimTaskInstance, Tx};

/// Loads the view of one run with as few queries as its Dag allows: one, for most.
pub(crate) async fn load_view<'a>(
    tx: &mut Tx,
    dag: &'a SerializedDag,
    needs: &ViewNeeds,
    run: &DagRun,
    max_task_retry_delay: SignedDuration,
) -> Result<RunView<'a>, Error> {
    let rows = tx
        .load_slim_task_instances(&run.dag_id, &run.run_id)
        .await?;
    Ok(RunView {
        dag,
        run: facts_of(run),
        task_instances: rows.into_iter().map(view_of).collect(),
        xcoms: load_xcom_facts(tx, needs, run).await?,
        past: load_past_facts(tx, needs, run).await?,
        max_task_retry_delay,
    })
}

/// The columns of a run that decide something.
pub(crate) fn facts_of(run: &DagRun) -> RunFacts {
    RunFacts {
        state: run.state,
        run_type: run.run_type,
        logical_date: run.logical_date,
        queued_at: run.queued_at,
        start_date: run.start_date,
        end_date: run.end_date,
        backfill_sort_ordinal: None,
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

async fn load_xcom_facts(tx: &mut Tx, needs: &ViewNeeds, run: &DagRun) -> Result<XComFacts, Error> {
    let (dag_id, run_id) = (&run.dag_id, &run.run_id);
    let decisions = tx
        .load_skip_xcoms(dag_id, run_id, &needs.skip_decisions_of)
        .await?;
    Ok(XComFacts {
        mapped_lengths: tx
            .load_mapped_lengths(dag_id, run_id, &needs.mapped_lengths_of)
            .await?,
        return_value_counts: tx
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

async fn load_past_facts(tx: &mut Tx, needs: &ViewNeeds, run: &DagRun) -> Result<PastFacts, Error> {
    let (Some(rule), Some(logical_date)) = (needs.previous_run, run.logical_date) else {
        return Ok(PastFacts::default());
    };
    let except = match rule {
        PreviousRunRule::Any => None,
        PreviousRunRule::NotManual => Some(DagRunType::Manual),
    };
    let previous = match tx
        .find_previous_run(&run.dag_id, logical_date, except)
        .await?
    {
        Some(previous) => Some(PreviousRun {
            logical_date: previous.logical_date,
            states: tx
                .load_states_of_tasks(&run.dag_id, &previous.run_id, &needs.past_tasks)
                .await?,
        }),
        None => None,
    };
    let seen = tx
        .load_tasks_seen_before(&run.dag_id, logical_date, &needs.tasks_seen)
        .await?;
    Ok(PastFacts {
        previous,
        tasks_seen: seen.into_iter().collect(),
    })
}
