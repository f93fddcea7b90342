//! The suite of accepted and refused filters, as data.
