//! Everything between us and the user's Python: finding or making an interpreter with Airflow in
//! it, keeping one warm process of it (the **zygote**), and forking a child per unit of work.
//!
//! This crate does not know what a task is. It hands out children as process plus sockets; what
//! is said over the sockets belongs to `updraft-task-comms`, and what becomes of a child to the
//! worker and the Dag processor.
//!
//! Start with [`provision`] for the interpreter and [`Zygote`] for the children.

mod channels;
mod child;
mod environment;
mod fds;
mod interpreter;
mod leftovers;
mod one_shot;
mod proc;
mod process_tree;
mod provision;
mod shim;
mod zygote;

pub use channels::Channels;
pub use child::{ChildExit, ChildHandle, ChildKind, ChildStatus, ExitReport};
pub use environment::for_children as environment_for_children;
pub use fds::send_frame_with_fd;
pub use interpreter::{AirflowInstallation, ExampleBundle, Interpreter};
pub use leftovers::kill_leftovers;
pub use one_shot::{Printed, run_part};
pub use process_tree::{hide_from_children, signal_tree};
pub use provision::{ProvisionError, ProvisionRequest, PythonRuntime, provision};
pub use zygote::{Error, Versions, Zygote, ZygoteConfig};
