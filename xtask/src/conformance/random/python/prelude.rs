//! The functions and operators that random Dag files bring along.

/// The function whose results are the callbacks of tasks and Dags.
pub(super) const NOTE: &str = "\
def note(event):
    def callback(context):
        CALLBACKS.mkdir(exist_ok=True)
        ti = context.get(\"ti\")
        subject = \"\" if event.startswith(\"run\") else f\" {ti.task_id}[{ti.map_index}] try {ti.try_number}\"
        with (CALLBACKS / f\"{context['dag_run'].dag_id}.txt\").open(\"a\") as file:
            file.write(f\"{event}{subject}\\n\")

    return callback
";

/// What sensors ask that say yes after some pokes: a rescheduled one is a new process every time.
pub(super) const POKED: &str = "\
def poked(name, times):
    SENSORS.mkdir(exist_ok=True)
    with (SENSORS / name).open(\"a+\") as pokes:
        pokes.write(\".\")
        return pokes.tell() >= times
";

/// Adds a name to a list; returns the list.
pub(super) const NOTED: &str = "\
def noted(name, line):
    ORDER.mkdir(exist_ok=True)
    with (ORDER / name).open(\"a+\") as file:
        file.write(f\"{line}\\n\")
        file.seek(0)
        return file.read().split()
";

/// Takes one of some places for a moment; fails when all are taken.
pub(super) const TAKEN: &str = "\
def taken(name, count):
    PLACES.mkdir(exist_ok=True)
    for number in range(count):
        place = PLACES / f\"{name}-{number}\"
        try:
            place.touch(exist_ok=False)
        except FileExistsError:
            continue
        time.sleep(0.3)
        place.unlink()
        return True
    raise RuntimeError(f\"more than {count} at once in {name}\")
";

/// An operator that waits for triggers.
pub(super) const WAITS: &str = "\
class Waits(BaseOperator):
    def __init__(self, *, event, times=1, then=\"returns\", **kwargs):
        super().__init__(**kwargs)
        self.event, self.times, self.then = event, times, then

    def execute(self, context):
        self.wait(1)

    def wait(self, number):
        self.defer(
            trigger=Pulse(self.event, payload={\"number\": number}),
            method_name=\"go_on\",
            kwargs={\"number\": number},
            timeout=datetime.timedelta(seconds=1) if self.event == \"sleeps\" else None,
        )

    def go_on(self, context, number, event=None):
        if number < self.times:
            self.wait(number + 1)
        if self.then == \"raises\" or self.then == \"fails first\" and context[\"ti\"].try_number == 1:
            raise ValueError(\"fails on purpose\")
        if self.then == \"skips\":
            raise AirflowSkipException(\"skipped on purpose\")
        return [number, event]
";

/// An operator whose trigger runs before it does.
pub(super) const STARTS_THERE: &str = "\
class StartsThere(BaseOperator):
    start_from_trigger = True

    def __init__(self, *, event, then=\"returns\", **kwargs):
        super().__init__(**kwargs)
        self.event, self.then = event, then
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=\"conformance_triggers.NoSuchTrigger\"
            if event == \"is missing\"
            else \"conformance_triggers.Pulse\",
            trigger_kwargs={\"event\": event, \"payload\": {\"first\": True}},
            next_method=\"go_on\",
            timeout=datetime.timedelta(seconds=1) if event == \"sleeps\" else None,
        )

    def execute(self, context):
        return \"started here\"

    def go_on(self, context, event=None):
        if self.then == \"raises\" or self.then == \"fails first\" and context[\"ti\"].try_number == 1:
            raise ValueError(\"fails on purpose\")
        if self.then == \"skips\":
            raise AirflowSkipException(\"skipped on purpose\")
        return event
";
