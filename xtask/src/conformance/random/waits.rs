//! Tasks that wait: sensors, and operators that wait for triggers.

use super::dag::Ending;

/// How a sensor waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Waits {
    Pokes,
    Reschedules,
    Defers,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deferral {
    /// Whether the trigger starts instead of the task.
    pub(super) starts_there: bool,
    /// What the trigger does; one for each instance of a mapped task.
    pub(super) events: Vec<TriggerEvent>,
    /// How often the task waits before it goes on.
    pub(super) times: u32,
    pub(super) then: Then,
}

/// What a trigger does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TriggerEvent {
    Fires,
    Raises,
    /// Ends without an event.
    Ends,
    /// Sleeps until time is out.
    Sleeps,
    /// Cannot be imported.
    IsMissing,
    Succeeds,
    Fails,
    Skips,
}

/// What a task does after its triggers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Then {
    Returns,
    Raises,
    Skips,
    FailsFirst,
}

impl TriggerEvent {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fires => "fires",
            Self::Raises => "raises",
            Self::Ends => "ends",
            Self::Sleeps => "sleeps",
            Self::IsMissing => "is missing",
            Self::Succeeds => "succeeds",
            Self::Fails => "fails",
            Self::Skips => "skips",
        }
    }
}

impl Then {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Returns => "returns",
            Self::Raises => "raises",
            Self::Skips => "skips",
            Self::FailsFirst => "fails first",
        }
    }
}

impl Deferral {
    /// How an instance ends whose trigger does this.
    pub(super) fn ending(&self, event: TriggerEvent) -> Ending {
        match (event, self.then) {
            (TriggerEvent::Succeeds, _) | (TriggerEvent::Fires, Then::Returns) => {
                Ending::Returns(String::new())
            }
            (TriggerEvent::Skips, _) | (TriggerEvent::Fires, Then::Skips) => Ending::Skips,
            (TriggerEvent::Fires, Then::FailsFirst) => Ending::FailsUntil(2),
            (TriggerEvent::Fires, Then::Raises)
            | (
                TriggerEvent::Raises
                | TriggerEvent::Ends
                | TriggerEvent::Sleeps
                | TriggerEvent::IsMissing
                | TriggerEvent::Fails,
                _,
            ) => Ending::Raises,
        }
    }
}

/// A sensor around a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sensing {
    pub(super) decorated: bool,
    pub(super) reschedules: bool,
    pub(super) sees: Sees,
    pub(super) mercy: Mercy,
}

/// What a sensor's function does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sees {
    /// Says yes when it is asked for the so-many-th time.
    At(u32),
    /// As above, with a value for XCom.
    ValueAt(u32),
    Never,
    Raises,
    FailsForGood,
    Skips,
}

/// How a sensor takes it that its function fails or that time is out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mercy {
    None,
    Soft,
    Never,
    Silent,
}

impl Sensing {
    /// How the sensor ends, in the words of other tasks.
    pub(super) fn ending(self) -> Ending {
        let merciful = self.mercy == Mercy::Soft || self.mercy == Mercy::Never;
        match self.sees {
            Sees::At(_) | Sees::ValueAt(_) => Ending::Returns(String::new()),
            Sees::Skips => Ending::Skips,
            Sees::Never if self.mercy == Mercy::Soft => Ending::Skips,
            Sees::FailsForGood if merciful => Ending::Skips,
            Sees::Raises if self.mercy == Mercy::Never => Ending::Skips,
            // What fails silently goes on until time is out.
            Sees::Raises if self.mercy == Mercy::Silent => Ending::FailsForGood,
            Sees::Raises => Ending::Raises,
            // A sensor that timed out is not tried again.
            Sees::Never | Sees::FailsForGood => Ending::FailsForGood,
        }
    }
}
