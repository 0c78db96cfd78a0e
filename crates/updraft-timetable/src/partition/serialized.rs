//! Reads mappers, windows and wait policies from a serialized Dag.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::temporal::{Period, Temporal};
use super::wait_policy::WaitPolicy;
use super::window::{Direction, Unit, Window};
use super::{Kind, PartitionMapper};
use crate::Error;
use crate::zone::Zone;

/// Where Airflow's own classes live.
const BUILT_IN: &str = "airflow.partition_mappers.";

/// Mappers within mappers are written by hand; deeper is a mistake.
const DEPTH_MAX: usize = 16;

/// How much of a value an error message repeats.
const FOUND_CHARS_MAX: usize = 120;

impl PartitionMapper {
    /// Reads a serialized mapper; a class that Airflow does not ship is kept for Python.
    ///
    /// # Errors
    /// [`Error::InvalidMapper`] when it is none, or its parts do not fit together.
    pub fn from_serialized(value: &Value) -> Result<Self, Error> {
        read_mapper(value, 0)
    }
}

/// `{"__type": class path, "__var": data}`.
struct Encoded<'a> {
    class_path: &'a str,
    data: &'a Value,
    depth: usize,
}

fn read_mapper(value: &Value, depth: usize) -> Result<PartitionMapper, Error> {
    let encoded = Encoded::of(value, depth)?;
    #[derive(Deserialize)]
    struct Common {
        #[serde(default)]
        max_downstream_keys: Option<u32>,
    }
    let kind = encoded.mapper()?;
    let max_downstream_keys = match &kind {
        // Its data is its own.
        Kind::Custom { .. } => None,
        _ => encoded.read::<Common>()?.max_downstream_keys,
    };
    Ok(PartitionMapper {
        kind,
        serialized: value.clone(),
        max_downstream_keys,
    })
}

impl<'a> Encoded<'a> {
    fn of(value: &'a Value, depth: usize) -> Result<Self, Error> {
        let class_path = value.get("__type").and_then(Value::as_str);
        let found = || value.to_string().chars().take(FOUND_CHARS_MAX).collect();
        match class_path {
            Some(class_path) if depth <= DEPTH_MAX => Ok(Self {
                class_path,
                data: value.get("__var").unwrap_or(&Value::Null),
                depth,
            }),
            Some(class_path) => Err(Error::InvalidMapper {
                type_name: class_path.to_owned(),
                reason: format!("lies deeper than {DEPTH_MAX} mappers"),
            }),
            None => Err(Error::InvalidMapper {
                type_name: found(),
                reason: "expected a map with a class path `__type` and data `__var`".to_owned(),
            }),
        }
    }

    fn mapper(&self) -> Result<Kind, Error> {
        let class = self.class_path.strip_prefix(BUILT_IN);
        Ok(match class.unwrap_or_default() {
            "identity.IdentityMapper" => Kind::Identity,
            "fixed_key.FixedKeyMapper" => Kind::FixedKey(self.member("downstream_key")?),
            "allowed_key.AllowedKeyMapper" => Kind::AllowedKey(self.member("allowed_keys")?),
            "chain.ChainMapper" => Kind::Chain(self.mappers()?),
            "product.ProductMapper" => Kind::Product {
                delimiter: match self.data.get("delimiter") {
                    Some(_) => self.member("delimiter")?,
                    None => "|".to_owned(),
                },
                mappers: self.mappers()?,
            },
            "temporal.StartOfHourMapper" => self.start_of(Period::Hour)?,
            "temporal.StartOfDayMapper" => self.start_of(Period::Day)?,
            "temporal.StartOfWeekMapper" => self.start_of(Period::Week)?,
            "temporal.StartOfMonthMapper" => self.start_of(Period::Month)?,
            "temporal.StartOfQuarterMapper" => self.start_of(Period::Quarter)?,
            "temporal.StartOfYearMapper" => self.start_of(Period::Year)?,
            "temporal.FanOutMapper" => Kind::FanOut {
                upstream: self.inner("upstream_mapper")?,
                window: self.window()?,
                downstream: self.inner("downstream_mapper")?,
            },
            "base.RollupMapper" => self.rollup()?,
            _ => Kind::Custom {
                class_path: self.class_path.to_owned(),
            },
        })
    }

    fn start_of(&self, period: Period) -> Result<Kind, Error> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(default = "Zone::utc")]
            timezone: Zone,
            input_format: String,
            output_format: String,
        }
        let data: Data = self.read()?;
        Temporal::new(
            period,
            data.timezone,
            &data.input_format,
            &data.output_format,
        )
        .map(Kind::StartOf)
    }

    fn rollup(&self) -> Result<Kind, Error> {
        let upstream = self.inner("upstream_mapper")?;
        let window = self.window()?;
        let fits = match (&window, &upstream.kind) {
            (Window::Custom { .. }, _) | (_, Kind::Custom { .. }) => true,
            (Window::Dates { .. }, kind) => matches!(kind, Kind::StartOf(_)),
            (Window::Segments(_), kind) => !matches!(kind, Kind::StartOf(_)),
        };
        if !fits {
            return Err(self.invalid(
                "its window and its upstream mapper must both be about dates, or neither",
            ));
        }
        Ok(Kind::Rollup {
            upstream,
            window,
            wait_policy: self.wait_policy()?,
        })
    }

    fn window(&self) -> Result<Window, Error> {
        #[derive(Deserialize)]
        struct Dates {
            direction: Direction,
        }
        let encoded = self.encoded("window")?;
        let class = encoded.class_path.strip_prefix(BUILT_IN);
        let unit = match class.unwrap_or_default() {
            "window.HourWindow" => Unit::Hour,
            "window.DayWindow" => Unit::Day,
            "window.WeekWindow" => Unit::Week,
            "window.MonthWindow" => Unit::Month,
            "window.QuarterWindow" => Unit::Quarter,
            "window.YearWindow" => Unit::Year,
            "window.SegmentWindow" => return encoded.member("segments").map(Window::Segments),
            _ => {
                return Ok(Window::Custom {
                    class_path: encoded.class_path.to_owned(),
                });
            }
        };
        let Dates { direction } = encoded.read()?;
        Ok(Window::Dates { unit, direction })
    }

    fn wait_policy(&self) -> Result<WaitPolicy, Error> {
        if self.data.get("wait_policy").is_none() {
            return Ok(WaitPolicy::All);
        }
        let encoded = self.encoded("wait_policy")?;
        let class = encoded.class_path.strip_prefix(BUILT_IN);
        Ok(match class.unwrap_or_default() {
            "wait_policy.WaitForAll" => WaitPolicy::All,
            "wait_policy.MinimumCount" => match encoded.member("n")? {
                0 => return Err(encoded.invalid("`n` must not be 0: it would never wait")),
                n => WaitPolicy::MinimumCount(n),
            },
            _ => WaitPolicy::Custom {
                class_path: encoded.class_path.to_owned(),
            },
        })
    }

    fn mappers(&self) -> Result<Vec<PartitionMapper>, Error> {
        let mappers = self.data.get("mappers").and_then(Value::as_array);
        let mappers = mappers.ok_or_else(|| self.invalid("expected a list `mappers`"))?;
        if mappers.len() < 2 {
            return Err(self.invalid("expected two mappers or more"));
        }
        mappers
            .iter()
            .map(|mapper| read_mapper(mapper, self.depth + 1))
            .collect()
    }

    fn inner(&self, key: &str) -> Result<Box<PartitionMapper>, Error> {
        let mapper = self.data.get(key).unwrap_or(&Value::Null);
        read_mapper(mapper, self.depth + 1).map(Box::new)
    }

    fn encoded(&self, key: &str) -> Result<Encoded<'a>, Error> {
        Encoded::of(self.data.get(key).unwrap_or(&Value::Null), self.depth + 1)
    }

    fn member<T: DeserializeOwned>(&self, key: &str) -> Result<T, Error> {
        let member = self.data.get(key).unwrap_or(&Value::Null);
        T::deserialize(member).map_err(|error| self.invalid(&format!("`{key}`: {error}")))
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // A mapper without settings may come without data.
        let empty = Value::Object(serde_json::Map::new());
        let data = if self.data.is_null() {
            &empty
        } else {
            self.data
        };
        T::deserialize(data).map_err(|error| self.invalid(&error.to_string()))
    }

    fn invalid(&self, reason: &str) -> Error {
        Error::InvalidMapper {
            type_name: self.class_path.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
