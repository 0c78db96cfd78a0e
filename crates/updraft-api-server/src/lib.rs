//! `updraft-api-server`.
