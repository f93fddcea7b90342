//! Earnings: every column of the report, tied to a payment of the same participant.
use super::world::{Participant, World};
use crate::Error;
use arrow::array::RecordBatch;
use payouts_model::Report;
pub(super) fn write(
    _report: &Report,
    _world: &World,
    _chunk: &[Participant],
    _write: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    Ok(())
}
