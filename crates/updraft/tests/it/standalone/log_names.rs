//! `[logging] log_filename_template`: what writes logs and what reads them agree.

use updraft_testkit::{RestClient, SECOND};

use super::installation;

const TEMPLATE: &str = "AIRFLOW__LOGGING__LOG_FILENAME_TEMPLATE";

const DAG: &str = "
from airflow.sdk import DAG, task

with DAG('speaks', schedule=None):

    @task(retries=1, retry_delay=0)
    def speak(number, ti=None):
        print('this is try', ti.try_number, 'of', number)
        if ti.try_number == 1:
            raise ValueError('once more')

    speak.expand(number=[7])
";

/// Runs the Dag; gives the name of the run, and what the log of each try says.
fn run(client: &RestClient) -> String {
    client.wait_for_dag("speaks", 90 * SECOND);
    let run = client.trigger("speaks");
    assert_eq!(client.wait_for_run("speaks", &run, 90 * SECOND), "success");
    run
}

#[track_caller]
fn assert_both_tries_are_read(client: &RestClient, run: &str) {
    for number in [1, 2] {
        let path = format!(
            "/api/v2/dags/speaks/dagRuns/{}/taskInstances/speak/logs/{number}?map_index=0",
            run.replace('+', "%2B")
        );
        let log = client.get(&path).to_string();
        let line = format!("this is try {number} of 7");
        assert!(log.contains(&line), "`{line}` is not in {log}");
    }
}

#[test]
fn logs_are_written_and_read_where_the_template_says() {
    let mut updraft = installation(&[("speaks.py", DAG)]);
    let logs = updraft.home().path().join("logs");
    let client = updraft.start();
    let old = run(&client);
    assert_both_tries_are_read(&client, &old);
    updraft.stop(60 * SECOND);

    let template = "mine/{{ ti.dag_id }}/{{ ts[:4] }}/{{ ti.run_id | replace(':', '_') }}/\
        {{ ti.task_id }}.{{ ti.map_index }}.{{ try_number }}.txt";
    let mut updraft = updraft.with(TEMPLATE, template);
    let client = updraft.start();
    let new = run(&client);
    assert_both_tries_are_read(&client, &new);
    let folder = format!(
        "mine/speaks/{}/{}",
        &new["manual__".len()..][..4],
        new.replace(':', "_")
    );
    for number in [1, 2] {
        let file = logs.join(format!("{folder}/speak.0.{number}.txt"));
        assert!(file.is_file(), "{} is not there", file.display());
    }
    assert!(!logs.join(format!("dag_id=speaks/run_id={new}")).exists());
    // What was written before the template was set is still found.
    assert_both_tries_are_read(&client, &old);
}

#[test]
fn a_template_that_names_no_file_is_refused_at_the_start() {
    let mut updraft = installation(&[]).with(TEMPLATE, "{{ ti.dag_id }}/{{ ti.start.year }}.log");
    let ended = updraft.run_to_end();
    assert!(!ended.status.success());
    let reason = "[logging] log_filename_template: undefined value";
    assert!(ended.output.contains(reason), "{}", ended.output);
}
