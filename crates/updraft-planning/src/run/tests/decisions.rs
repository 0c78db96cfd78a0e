//! Whole passes, as recorded from Airflow.

use super::*;

#[test]
fn passes_decide_as_airflow_does() {
    check_vectors("scheduling_decisions", |_| true, &[], check_rounds);
}

#[test]
fn passes_decide_as_airflow_does_for_random_dags() {
    check_vectors("random_decisions", |_| true, &[], check_rounds);
}

#[test]
fn whole_random_runs_go_as_in_airflow() {
    check_vectors("random_runs", |_| true, &[], check_rounds);
}

/// Repeated passes end where the recorded ones, continued to their end, would.
#[test]
fn the_fixpoint_is_where_single_passes_lead() {
    check_vectors(
        "scheduling_decisions",
        |_| true,
        &[],
        |vector| {
            let dag = SerializedDag::parse(vector["dag"].clone()).unwrap();
            let mut one_by_one = view_of(&dag, vector);
            let together = {
                let plan = plan_to_fixpoint(&one_by_one, instant(NOW));
                let mut rows = one_by_one.task_instances.clone();
                apply(&plan, &mut rows);
                (plan.end, rows)
            };
            let mut end = None;
            for _ in 0..20 {
                let plan = super::super::plan_pass(&one_by_one, instant(NOW));
                apply(&plan, &mut one_by_one.task_instances);
                end = plan.end;
                if end.is_some() {
                    break;
                }
            }
            expect_eq("end", together.0, end)?;
            let listed = |rows: &[_]| states(rows).to_string();
            expect_eq(
                "rows",
                listed(&together.1),
                listed(&one_by_one.task_instances),
            )
        },
    );
}

fn check_rounds(vector: &Value) -> Result<(), String> {
    let dag = SerializedDag::parse(vector["dag"].clone()).unwrap();
    let mut view = view_of(&dag, vector);
    for round in vector["rounds"].as_array().unwrap() {
        let mut board = Board::new(&view, instant(NOW));
        let result = board.run_pass();
        let end = board.decide(&result);
        let mut ready: Vec<Value> = result
            .ready
            .iter()
            .map(|at| {
                let task_id = board.task_of(*at).task_id.as_str();
                json!([task_id, board.instances[*at].map_index.0])
            })
            .collect();
        ready.sort_by_key(Value::to_string);
        let plan = board.into_plan();
        apply(&plan, &mut view.task_instances);

        expect_eq(
            "schedulable",
            Value::Array(ready),
            round["schedulable"].clone(),
        )?;
        expect_eq("tis", states(&view.task_instances), round["tis"].clone())?;
        let state = end.as_ref().map_or("running", |end| end.state.as_str());
        expect_eq("run", json!(state), round["dag_run_state"].clone())?;
        let callback = end.and_then(|end| end.callback).map(|callback| {
            let last = callback
                .last_ti
                .map(|(task, index)| json!([task.as_str(), index.0]));
            json!({"is_failure": callback.is_failure, "msg": callback.msg, "last_ti": last})
        });
        expect_eq(
            "callback",
            callback.unwrap_or_default(),
            round["callback"].clone(),
        )?;
        for event in round["then"].as_array().into_iter().flatten() {
            happen(&mut view, event);
        }
    }
    Ok(())
}

/// What a worker did between two passes: task, map index, state, the length it returned, and
/// whether it returned something as one of many.
fn happen(view: &mut super::super::RunView<'_>, event: &Value) {
    let task_id = TaskId::new(event[0].as_str().unwrap());
    let row = view
        .task_instances
        .iter_mut()
        .find(|row| row.task_id == task_id && json!(row.map_index.0) == event[1]);
    let row = row.unwrap();
    row.state = event[2].as_str().unwrap().parse().unwrap();
    row.end_date = row.state.is_finished().then(|| instant(NOW));
    if let Some(length) = event[3].as_u64() {
        let length = u32::try_from(length).unwrap();
        view.xcoms.mapped_lengths.insert(task_id, length);
    } else if event[4] == json!(true) {
        *view.xcoms.return_value_counts.entry(task_id).or_default() += 1;
    }
}

fn view_of<'a>(dag: &'a SerializedDag, vector: &Value) -> super::super::RunView<'a> {
    let mut rows = Vec::new();
    for (number, before) in (1..).zip(vector["before"].as_array().unwrap()) {
        let state = TaskInstanceState::from_nullable(before[2].as_str()).unwrap();
        let map_index = i32::try_from(before[1].as_i64().unwrap()).unwrap();
        let mut row = row(number, before[0].as_str().unwrap(), map_index, state);
        let minutes = jiff::SignedDuration::from_mins(i64::try_from(number).unwrap());
        row.end_date = match state {
            TaskInstanceState::UpForRetry => Some(instant(NOW)),
            _ if state.is_finished() => Some(instant("2026-01-01T00:00:00Z") + minutes),
            _ => None,
        };
        rows.push(row);
    }
    let mut view = view(dag, rows);
    for xcom in vector["xcoms"].as_array().unwrap() {
        let task_id = TaskId::new(xcom["task_id"].as_str().unwrap());
        if xcom["key"] == json!("skipmixin_key") {
            let decision = SkipDecision::parse(&xcom["value"]);
            let key = (task_id, MapIndex::UNMAPPED);
            view.xcoms.skip_decisions.insert(key, decision);
        } else if xcom["map_index"].as_i64() >= Some(0) {
            *view.xcoms.return_value_counts.entry(task_id).or_default() += 1;
        } else if let Some(length) = xcom["task_map_length"].as_u64() {
            let length = u32::try_from(length).unwrap();
            view.xcoms.mapped_lengths.insert(task_id, length);
        }
    }
    view
}

fn states(rows: &[super::super::TaskInstanceView]) -> Value {
    rows.iter()
        .map(|row| {
            json!([
                row.task_id.as_str(),
                row.map_index.0,
                row.state.to_nullable()
            ])
        })
        .collect()
}
