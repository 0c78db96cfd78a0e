//! Values that were defaults in Airflow 2 and stand for something else in Airflow 3.

use crate::problem::Warning;
use crate::values::Values;

/// Section, key, and the part of a value that is replaced, if it is there.
const OLD_EXECUTOR: (&str, &str, &str) = ("core", "executor", "SequentialExecutor");

const OLD_LOG_TEMPLATE: (&str, &str, &str) = (
    "logging",
    "log_filename_template",
    "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/\
     {% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}\
     attempt={{ try_number }}.log",
);

/// Replaces the old parts by the present defaults.
pub(crate) fn replace_old_values(values: &mut Values) {
    for (section, key, old) in [OLD_EXECUTOR, OLD_LOG_TEMPLATE] {
        let Some(default) = values.default_of(section, key) else {
            continue;
        };
        let Some(value) = values
            .get(section, key)
            .filter(|value| value.text().contains(old))
        else {
            continue;
        };
        let replaced_by = value.text().replace(old, &default);
        let origin = value.origin.clone();
        let present = value.replaced_by(replaced_by.clone());
        values.replace(section, key, present);
        values.warnings.push(Warning::OldValue {
            section: section.to_owned(),
            key: key.to_owned(),
            replaced_by,
            origin,
        });
    }
}
