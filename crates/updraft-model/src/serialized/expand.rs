//! What a mapped task or a mapped task group expands over, as far as its *length* needs it.

use serde_json::Value;

use super::error::{Error, Place};
use super::fields::{Object, unwrapped, unwrapped_object, wrapper_type};
use super::task::TaskIndex;

/// The arguments of `expand` or `expand_kwargs`. Values stay in the Python child; scheduling needs
/// lengths only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpandInput {
    /// `expand(a=…, b=…)`: the cross product, in the order of the keywords.
    DictOfLists(Vec<(String, ExpandArgument)>),
    /// `expand_kwargs(…)`: one instance per element.
    ListOfDicts(ExpandArgument),
}

/// One argument of an [`ExpandInput`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpandArgument {
    /// Written in the Dag file, of this length.
    Literal(u32),
    /// Comes from XComs.
    XCom(XComArg),
    /// The argument of an enclosing mapped group, which Airflow cannot expand over.
    MappedArgument,
}

/// A reference to what other tasks return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XComArg {
    /// The value of one task.
    Plain {
        /// The task that returns it.
        task: TaskIndex,
        /// The key under which it is stored.
        key: String,
    },
    /// `.map(f)`: as long as its argument.
    Map(Box<XComArg>),
    /// `.zip(…)`: as long as the shortest argument, with a fill value as long as the longest.
    Zip {
        /// What is zipped.
        args: Vec<XComArg>,
        /// Whether `fillvalue` was given.
        has_fill_value: bool,
    },
    /// `.concat(…)`: as long as all arguments together.
    Concat(Vec<XComArg>),
}

impl ExpandInput {
    /// The length when everything is written in the Dag file.
    #[must_use]
    pub fn literal_length(&self) -> Option<u32> {
        self.length(&mut |_| None)
    }

    /// The length, given how to find that of an XCom reference; `None` while one is unknown.
    ///
    /// No keyword at all counts as zero, and a product beyond 32 bits as [`u32::MAX`].
    pub fn length(&self, xcom: &mut impl FnMut(&XComArg) -> Option<u32>) -> Option<u32> {
        let mut one = |argument: &ExpandArgument| match argument {
            ExpandArgument::Literal(length) => Some(*length),
            ExpandArgument::XCom(arg) => xcom(arg),
            ExpandArgument::MappedArgument => None,
        };
        match self {
            Self::DictOfLists(arguments) if arguments.is_empty() => Some(0),
            Self::DictOfLists(arguments) => {
                arguments.iter().try_fold(1_u32, |total, (_, argument)| {
                    Some(total.saturating_mul(one(argument)?))
                })
            }
            Self::ListOfDicts(argument) => one(argument),
        }
    }

    /// Calls `visit` for every task whose XCom is referred to.
    pub fn for_each_task(&self, visit: &mut impl FnMut(TaskIndex)) {
        let mut one = |argument: &ExpandArgument| {
            if let ExpandArgument::XCom(arg) = argument {
                arg.for_each_task(visit);
            }
        };
        match self {
            Self::DictOfLists(arguments) => arguments.iter().for_each(|(_, a)| one(a)),
            Self::ListOfDicts(argument) => one(argument),
        }
    }

    /// Reads `{"type": …, "value": …}`.
    pub(super) fn parse(
        place: &Place,
        key: &str,
        value: &Value,
        task: &impl Fn(&str) -> Option<TaskIndex>,
    ) -> Result<Self, Error> {
        let object = value
            .as_object()
            .ok_or_else(|| place.expected(key, "a map with `type` and `value`", value))?;
        let inner = object.get("value").unwrap_or(&Value::Null);
        match object.get("type").and_then(Value::as_str) {
            Some("dict-of-lists") => {
                let arguments = unwrapped_object(inner)
                    .ok_or_else(|| place.expected(key, "a map of arguments", inner))?;
                arguments
                    .iter()
                    .map(|(name, argument)| {
                        Ok((
                            name.clone(),
                            ExpandArgument::parse(place, key, argument, task)?,
                        ))
                    })
                    .collect::<Result<_, _>>()
                    .map(Self::DictOfLists)
            }
            Some("list-of-dicts") => {
                ExpandArgument::parse(place, key, inner, task).map(Self::ListOfDicts)
            }
            _ => Err(place.expected(key, "the type dict-of-lists or list-of-dicts", value)),
        }
    }
}

impl ExpandArgument {
    fn parse(
        place: &Place,
        key: &str,
        value: &Value,
        task: &impl Fn(&str) -> Option<TaskIndex>,
    ) -> Result<Self, Error> {
        match wrapper_type(value) {
            Some("xcomref") => {
                let reference = unwrapped_object(value)
                    .ok_or_else(|| place.expected(key, "an XCom reference", value))?;
                XComArg::parse(place, key, reference, task).map(Self::XCom)
            }
            Some("mapped_argument") => Ok(Self::MappedArgument),
            _ => {
                let length = match unwrapped(value) {
                    Value::Array(items) => items.len(),
                    Value::Object(items) => items.len(),
                    _ => return Err(place.expected(key, "a list or a map", value)),
                };
                u32::try_from(length)
                    .map(Self::Literal)
                    .map_err(|_| place.error(key, "expected fewer than 2^32 elements"))
            }
        }
    }
}

impl XComArg {
    /// The length, given how to find that of one task's XCom; `None` while one is unknown.
    pub fn length(&self, plain: &mut impl FnMut(TaskIndex, &str) -> Option<u32>) -> Option<u32> {
        match self {
            Self::Plain { task, key } => plain(*task, key),
            Self::Map(arg) => arg.length(plain),
            Self::Zip {
                args,
                has_fill_value,
            } => {
                let lengths = lengths(args, plain)?;
                if *has_fill_value {
                    lengths.into_iter().max()
                } else {
                    lengths.into_iter().min()
                }
            }
            Self::Concat(args) => {
                let lengths = lengths(args, plain)?;
                Some(lengths.into_iter().fold(0, u32::saturating_add))
            }
        }
    }

    fn for_each_task(&self, visit: &mut impl FnMut(TaskIndex)) {
        match self {
            Self::Plain { task, .. } => visit(*task),
            Self::Map(arg) => arg.for_each_task(visit),
            Self::Zip { args, .. } | Self::Concat(args) => {
                for arg in args {
                    arg.for_each_task(visit);
                }
            }
        }
    }

    fn parse(
        place: &Place,
        key: &str,
        object: &Object,
        task: &impl Fn(&str) -> Option<TaskIndex>,
    ) -> Result<Self, Error> {
        let args = || {
            let items = object.get("args").and_then(Value::as_array);
            let items = items.ok_or_else(|| place.error(key, "XCom reference without `args`"))?;
            items
                .iter()
                .map(|item| Self::parse_nested(place, key, item, task))
                .collect::<Result<Vec<_>, _>>()
        };
        match object.get("type").and_then(Value::as_str) {
            None | Some("") => Self::parse_plain(place, key, object, task),
            Some("map") => {
                let arg = object.get("arg").unwrap_or(&Value::Null);
                Self::parse_nested(place, key, arg, task).map(|arg| Self::Map(Box::new(arg)))
            }
            Some("zip") => Ok(Self::Zip {
                args: args()?,
                has_fill_value: object
                    .get("fillvalue")
                    .is_some_and(|value| wrapper_type(value) != Some("arg_not_set")),
            }),
            Some("concat") => args().map(Self::Concat),
            Some(other) => Err(place.error(key, format!("unknown XCom reference type `{other}`"))),
        }
    }

    fn parse_nested(
        place: &Place,
        key: &str,
        value: &Value,
        task: &impl Fn(&str) -> Option<TaskIndex>,
    ) -> Result<Self, Error> {
        let object = unwrapped_object(value)
            .ok_or_else(|| place.expected(key, "an XCom reference", value))?;
        Self::parse(place, key, object, task)
    }

    fn parse_plain(
        place: &Place,
        key: &str,
        object: &Object,
        task: &impl Fn(&str) -> Option<TaskIndex>,
    ) -> Result<Self, Error> {
        let task_id = object
            .get("task_id")
            .and_then(Value::as_str)
            .ok_or_else(|| place.error(key, "XCom reference without `task_id`"))?;
        let index = task(task_id).ok_or_else(|| {
            place.error(
                key,
                format!("XCom reference to task `{task_id}`, which the Dag does not have"),
            )
        })?;
        let xcom_key = object.get("key").and_then(Value::as_str);
        Ok(Self::Plain {
            task: index,
            key: xcom_key.unwrap_or(crate::xcom::XCOM_RETURN_KEY).to_owned(),
        })
    }
}

/// All lengths, or `None` when one is unknown.
fn lengths(
    args: &[XComArg],
    plain: &mut impl FnMut(TaskIndex, &str) -> Option<u32>,
) -> Option<Vec<u32>> {
    args.iter().map(|arg| arg.length(plain)).collect()
}
