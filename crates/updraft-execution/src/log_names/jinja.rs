//! Templates in Jinja.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use minijinja::value::{Object, ObjectRepr, Value, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use updraft_timetable::isoformat;

use super::{LogDates, Subject};

/// Steps of a template: a loop without end must end.
const STEPS_MAX: u64 = 10_000;

/// The name of the one template there is.
const NAME: &str = "log_filename_template";

#[derive(Debug)]
pub(super) struct Jinja(Environment<'static>);

impl Jinja {
    pub(super) fn parse(template: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.set_fuel(Some(STEPS_MAX));
        environment
            .add_template_owned(NAME, template.to_owned())
            .map_err(reason)?;
        Ok(Self(environment))
    }

    /// Quirk: Airflow gives `ts` and `try_number` to its readers only, who then look for another
    /// file than was written; here both know them.
    pub(super) fn render(&self, subject: &Subject, dates: &LogDates) -> Result<String, String> {
        let template = self.0.get_template(NAME).map_err(reason)?;
        let rendered = template.render(context! {
            ti => task_instance(subject, dates),
            ts => isoformat(dates.date()),
            try_number => subject.key.try_number,
        });
        rendered.map_err(reason)
    }
}

fn reason(error: Error) -> String {
    let detail = error.detail().map(|detail| format!(": {detail}"));
    format!("{}{}", error.kind(), detail.unwrap_or_default())
}

fn task_instance(subject: &Subject, dates: &LogDates) -> Value {
    let key = &subject.key;
    let (start, end) = dates.data_interval.unzip();
    let dag_run = context! {
        dag_id => key.dag_id.as_str(),
        run_id => key.run_id.as_str(),
        logical_date => date(dates.logical_date),
        run_after => date(Some(dates.run_after)),
        data_interval_start => date(start),
        data_interval_end => date(end),
    };
    context! {
        dag_id => key.dag_id.as_str(),
        run_id => key.run_id.as_str(),
        task_id => key.task_id.as_str(),
        map_index => key.map_index.0,
        try_number => key.try_number,
        pool => subject.pool.as_str(),
        queue => subject.queue.as_str(),
        operator => subject.operator.as_str(),
        logical_date => date(dates.logical_date),
        run_after => date(Some(dates.run_after)),
        dag_run,
    }
}

fn date(at: Option<Timestamp>) -> Value {
    at.map_or(Value::from(()), |at| Value::from_object(Date(at)))
}

/// What a template may do with a date, as with Python's.
#[derive(Debug)]
struct Date(Timestamp);

impl Object for Date {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let date = self.0.to_zoned(TimeZone::UTC).datetime();
        let part: i64 = match key.as_str()? {
            "year" => date.year().into(),
            "month" => date.month().into(),
            "day" => date.day().into(),
            "hour" => date.hour().into(),
            "minute" => date.minute().into(),
            "second" => date.second().into(),
            "microsecond" => (date.subsec_nanosecond() / 1000).into(),
            _ => return None,
        };
        Some(part.into())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "isoformat" => {
                from_args::<()>(arguments)?;
                Ok(isoformat(self.0).into())
            }
            "strftime" => {
                let (format,): (&str,) = from_args(arguments)?;
                let date = self.0.to_zoned(TimeZone::UTC);
                let text = strtime::format(format, &date);
                let text = text
                    .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
                Ok(text.into())
            }
            _ => Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("a date has isoformat and strftime, found `{method}`"),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Python's `str` of a date has a blank where `isoformat` has a `T`.
        f.write_str(&isoformat(self.0).replacen('T', " ", 1))
    }
}
