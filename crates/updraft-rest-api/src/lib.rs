//! `updraft-rest-api`.
