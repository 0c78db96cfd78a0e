//! The Dag processor: notices Dag files, has them parsed in Python children, stores what they hold.
//!
//! A file is parsed when it is new or has changed, when something beside it in its bundle has
//! changed, when somebody asks, and every so often in any case, because a Dag may depend on what no
//! file says. Each parse is a forked child with limits on time and output; whatever a file does to
//! its child becomes an import error of that file and disturbs nothing else. Callbacks that the
//! scheduler requests run in children of the same kind.
//!
//! It does not schedule, and it does not know Python: user code is the child's business.
//!
//! Start with [`DagProcessor`] in `processor.rs`, which is the loop; [`files`] decides what is
//! parsed when; [`child`] runs one parse; [`content`] reads what it found.

mod bundle;
mod callbacks;
mod child;
mod content;
mod dag_hash;
mod discovery;
mod files;
mod import_log;
mod options;
mod parse;
mod processor;
mod watch;

pub use bundle::Bundle;
pub use content::{Content, Parsing};
pub use discovery::{DiscoveryRules, IgnoreSyntax};
pub use files::FileKey;
pub use options::DagProcessorOptions;
pub use processor::DagProcessor;
