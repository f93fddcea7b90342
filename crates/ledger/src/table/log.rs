//! Reading and writing the table's log.
