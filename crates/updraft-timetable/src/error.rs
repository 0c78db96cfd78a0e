//! Why a timetable could not be read or could not answer.

/// What went wrong; each variant is one that some caller treats differently.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value is no `{"__type": …, "__var": …}` map.
    #[error(
        "expected a serialized timetable like {{\"__type\": \"…\", \"__var\": {{…}}}}, found `{found}`"
    )]
    NotATimetable {
        /// The value, as JSON, cut to a readable length.
        found: String,
    },
    /// The type is known, its data is not what that type writes.
    #[error("data of timetable `{type_name}` cannot be read")]
    InvalidData {
        /// Class path as serialized.
        type_name: String,
        /// What serde found.
        #[source]
        source: serde_json::Error,
    },
    /// The expression is not in croniter's grammar.
    #[error("cron expression `{expression}`: {reason}")]
    InvalidCron {
        /// The expression as written.
        expression: String,
        /// Which field, what was expected and what was found.
        reason: String,
    },
    /// The expression is well formed, but the search for a date gave up.
    #[error(
        "cron expression `{expression}` matches no date within {years} years; correct its day, month or year"
    )]
    NoMatchingDate {
        /// The expression as written.
        expression: String,
        /// How far the search went.
        years: i16,
    },
    /// Neither a name of the time zone database nor an offset in seconds.
    #[error("unknown time zone `{name}`: expected an IANA name or an offset from UTC in seconds")]
    UnknownTimeZone {
        /// What stood there.
        name: String,
    },
    /// A timetable that holds other timetables or expressions is put together wrongly.
    #[error("timetable `{type_name}`: {reason}")]
    InvalidComposition {
        /// Class path as serialized.
        type_name: String,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// The timetable is the user's own class: only Python can evaluate it.
    #[error("timetable `{class_path}` is a Python class of the user; ask Python to evaluate it")]
    NeedsPython {
        /// Where Python finds the class.
        class_path: String,
    },
    /// Stepping the schedule did not move forward, so iterating would never end.
    #[error("schedule `{schedule}` does not advance past {at}; its period must be positive")]
    NotAdvancing {
        /// Summary of the schedule.
        schedule: String,
        /// The instant it is stuck at.
        at: jiff::Timestamp,
    },
    /// The arithmetic left the years that can be represented.
    #[error("schedule `{schedule}` leaves the range of dates when stepped from {at}")]
    OutOfRange {
        /// Summary of the schedule.
        schedule: String,
        /// The instant it was stepped from.
        at: jiff::Timestamp,
    },
    /// Partitions were asked of a timetable whose assets define them.
    #[error(
        "partitions of timetable `{type_name}` come from its assets; ask their partition mappers"
    )]
    PartitionsOfAssets {
        /// Class name of the timetable.
        type_name: String,
    },
    /// The value is no condition over assets.
    #[error("asset condition: expected {expected}, found `{found}`")]
    NotAnAssetCondition {
        /// What should stand there.
        expected: &'static str,
        /// The value, as JSON, cut to a readable length.
        found: String,
    },
    /// The value is no partition mapper, or one whose parts do not fit together.
    #[error("partition mapper `{type_name}`: {reason}")]
    InvalidMapper {
        /// Class path as serialized.
        type_name: String,
        /// The rule that is broken.
        reason: String,
    },
    /// The key was not written with the timetable's key format.
    #[error(
        "Partition key '{key}' does not match the timetable's key_format '{key_format}': {reason}"
    )]
    InvalidPartitionKey {
        /// The key as given.
        key: String,
        /// The timetable's `key_format`.
        key_format: String,
        /// Where they differ.
        reason: String,
    },
    /// The key is not one that the mappers of the timetable make.
    #[error("Partition key '{key}' is invalid for this timetable's mappers: {reason}")]
    InvalidMappedKey {
        /// The key as given.
        key: String,
        /// What the mapper found.
        reason: String,
    },
    /// The key format cannot be written out.
    #[error("key format `{key_format}`: {reason}")]
    InvalidKeyFormat {
        /// The format as written.
        key_format: String,
        /// Which directive is at fault.
        reason: String,
    },
}
