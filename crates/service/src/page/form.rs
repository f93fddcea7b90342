//! The form of the export page: what one may choose by, what was chosen, and the `$filter` that
//! says so.
//!
//! Made from the table of fields ([`controls`]), pure as far as a choice goes ([`period`],
//! [`typed`], [`selection`]). It must not know how an export is made: what it asks for goes
//! through the code of the API.

pub mod controls;
pub mod period;
pub mod selection;
pub mod typed;
