//! The zone in which a cron expression is read.
//!
//! The zone database is the one compiled into the binary: two hosts with different system files
//! must not disagree on when a Dag runs, and this crate reads no files.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::Error;

/// A named zone or a fixed offset.
#[derive(Clone, Debug)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    pub(crate) const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    pub(crate) fn named(name: &str) -> Result<Self, Error> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::utc());
        }
        TimeZoneDatabase::bundled()
            .get(name)
            .map(Self)
            .map_err(|_| Error::UnknownTimeZone {
                name: name.to_owned(),
            })
    }

    pub(crate) fn at_offset(offset: Offset) -> Self {
        Self(TimeZone::fixed(offset))
    }

    pub(crate) fn fixed(offset_secs: i32) -> Result<Self, Error> {
        Offset::from_seconds(offset_secs)
            .map(Self::at_offset)
            .map_err(|_| Error::UnknownTimeZone {
                name: offset_secs.to_string(),
            })
    }

    /// What the clock on the wall shows at an instant.
    pub(crate) fn wall_clock(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    /// The instant at which the clock on the wall shows this.
    ///
    /// A time shown twice means the second showing; a time never shown is moved forward by the
    /// length of the gap. `None` when the instant cannot be represented.
    pub(crate) fn instant(&self, wall_clock: DateTime) -> Option<Timestamp> {
        self.0.to_ambiguous_timestamp(wall_clock).later().ok()
    }

    /// An instant together with the zone, for printing.
    pub(crate) fn zoned(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.0.clone())
    }
}

/// Airflow writes a name, or the offset in seconds of a zone without a name.
impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(
            untagged,
            expecting = "expected a time zone name or an offset in seconds"
        )]
        enum NameOrOffset {
            Name(String),
            Offset(i32),
        }
        match NameOrOffset::deserialize(deserializer)? {
            NameOrOffset::Name(name) => Self::named(&name),
            NameOrOffset::Offset(offset_secs) => Self::fixed(offset_secs),
        }
        .map_err(D::Error::custom)
    }
}
