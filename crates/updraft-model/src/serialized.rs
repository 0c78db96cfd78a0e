//! The serialized Dag (version 3), as the Python child sends it.
