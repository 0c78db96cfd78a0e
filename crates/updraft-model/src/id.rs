//! Identifiers. Each is its own type, so that two of them never change places in a call.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

/// Declares a text identifier that is cheap to clone.
macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// Takes the text as it is; validation happens where ids enter the system.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(SmolStr::new(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(SmolStr::from(text))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == **other
            }
        }
    };
}

text_id!(
    /// Names a Dag, unique in the installation.
    DagId
);
text_id!(
    /// Names a Dag run, unique within its Dag.
    RunId
);
text_id!(
    /// Names a task within its Dag; contains the task group's prefix, if any.
    TaskId
);
text_id!(
    /// Names a pool.
    PoolName
);
text_id!(
    /// Names a Dag bundle.
    BundleName
);

/// Declares a UUID identifier.
macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id!(
    /// Names one *try* of a task instance: a retry or a clear gives the row a new one, which is
    /// what fences off messages from the older try.
    TaskInstanceId
);
uuid_id!(
    /// Names one version of a Dag's structure.
    DagVersionId
);

/// Declares the number of a row.
macro_rules! row_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id!(
    /// Names a row of `job`: one start of a scheduler, Dag processor or triggerer.
    JobId
);
row_id!(
    /// Names a row of `trigger`.
    TriggerId
);

/// Position of a mapped task instance; [`MapIndex::UNMAPPED`] for one that is not mapped or not
/// expanded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MapIndex(pub i32);

impl MapIndex {
    /// The index of everything that is not an expanded instance.
    pub const UNMAPPED: Self = Self(-1);

    /// Whether this is one instance of an expanded task.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        self.0 >= 0
    }
}

impl std::fmt::Display for MapIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
