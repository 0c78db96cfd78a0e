use super::*;

/// A mapped try of a run with every date.
fn subject(map_index: i32) -> Subject {
    let mut subject = sample();
    subject.key.run_id = "manual__2026-01-05T06:00:00+00:00".into();
    subject.key.map_index = updraft_model::MapIndex(map_index);
    subject.key.try_number = 3;
    subject
}

fn dates() -> LogDates {
    LogDates {
        logical_date: Some("2026-01-05T06:00:00Z".parse().unwrap()),
        run_after: "2026-01-06T06:00:00Z".parse().unwrap(),
        data_interval: None,
    }
}

#[track_caller]
fn named(template: &str, map_index: i32) -> String {
    let names = LogNames::parse(template).unwrap();
    names.0.path(&subject(map_index), &dates()).unwrap()
}

#[track_caller]
fn refusal(template: &str) -> String {
    LogNames::parse(template).unwrap_err().to_string()
}

#[test]
fn the_default_layout_is_what_the_default_template_says() {
    assert!(LogNames::parse(DEFAULT).unwrap().is_default());
    let same = format!("{DEFAULT}{{# and nothing else #}}");
    assert!(!LogNames::parse(&same).unwrap().is_default());
    for map_index in [-1, 0, 7] {
        let expected = subject(map_index).key.log_path();
        assert_eq!(named(&same, map_index), expected);
        assert_eq!(named(DEFAULT, map_index), expected);
    }
}

#[test]
fn jinja_speaks_of_the_try_and_the_dates_of_its_run() {
    for (template, expected) in [
        (
            "{{ ti.dag_id }}/{{ ts }}.log",
            "dag/2026-01-05T06:00:00+00:00.log",
        ),
        (
            "{{ ti.logical_date.strftime('%Y/%m/%d') }}/{{ ti.task_id | upper }}-{{ try_number }}",
            "2026/01/05/TASK-3",
        ),
        (
            "{{ ti.run_id.replace(':', '_') }}",
            "manual__2026-01-05T06_00_00+00_00",
        ),
        (
            "{{ ti.dag_run.run_after.isoformat() }}",
            "2026-01-06T06:00:00+00:00",
        ),
        ("{{ ti.logical_date }}", "2026-01-05 06:00:00+00:00"),
        ("{{ ti.logical_date.year }}/{{ nothing }}x", "2026/x"),
        (
            "a/{% if ti.dag_run.data_interval_end %}b{% else %}c{% endif %}{{ '' }}",
            "a/c",
        ),
        (
            "{{ ti.queue }}/{{ ti.pool }}/{{ ti.operator }}",
            "default/default_pool/PythonOperator",
        ),
    ] {
        assert_eq!(named(template, -1), expected, "{template}");
    }
}

#[test]
fn braces_hold_what_airflow_fills_in() {
    assert_eq!(
        named(
            "{dag_id}/{run_id}/{task_id}/{logical_date}_{data_interval_end}/{try_number}.log",
            -1
        ),
        "dag/manual__2026-01-05T06:00:00+00:00/task/2026-01-05T06:00:00+00:00_/3.log"
    );
    assert_eq!(named("a}}{try_number}", -1), "a}3");
}

#[test]
fn without_a_logical_date_the_time_after_which_it_runs_stands_for_it() {
    let dates = LogDates {
        logical_date: None,
        ..dates()
    };
    for template in ["{logical_date}", "{{ ts }}"] {
        let names = LogNames::parse(template).unwrap();
        let path = names.0.path(&subject(-1), &dates).unwrap();
        assert_eq!(path, "2026-01-06T06:00:00+00:00", "{template}");
    }
}

#[test]
fn templates_that_name_no_file_below_the_folder_are_refused_with_a_reason() {
    for (template, reason) in [
        ("{{ ti.dag_id", "syntax error"),
        ("{{ ti.nothing.more }}", "undefined value"),
        (
            "{{ ti.logical_date.timestamp() }}",
            "a date has isoformat and strftime",
        ),
        ("{% for a in range(99999) %}{{ a }}{% endfor %}", "fuel"),
        ("/{{ ti.dag_id }}", "found `/dag`"),
        ("../{{ ti.dag_id }}", "found `../dag`"),
        ("{{ ti.dag_id }}/", "found `dag/`"),
        ("{{ nothing }}", "found ``"),
        ("{dag_id}/{execution_date}", "found `execution_date`"),
        ("{try_number:02d}", "found `try_number:02d`"),
        ("{dag_id", "its partner"),
        ("dag_id}", "its partner"),
    ] {
        let refused = refusal(template);
        assert!(refused.contains(reason), "{template}: {refused}");
        assert!(
            refused.contains("[logging] log_filename_template"),
            "{refused}"
        );
    }
}

#[test]
fn an_id_that_leads_out_of_the_folder_gets_the_default_name() {
    let names = LogNames::parse("{{ ti.run_id }}/{{ ti.task_id }}.log").unwrap();
    let mut subject = subject(-1);
    subject.key.run_id = "..".into();
    assert!(names.0.path(&subject, &dates()).is_err());
}
