//! From DataFusion's errors to the engine's: which file is gone, which data is bad, which limit
//! was reached. Bad data found while a filter runs inside the Parquet decoder loses its type on the
//! way out (the decoder keeps only text), so it is left in a [`BadDataSlot`] as well.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::DataFusionError;

use crate::Error;

/// Where an expression that runs inside the scan leaves what it found wrong with the data.
#[derive(Clone, Debug, Default)]
pub struct BadDataSlot(Arc<Mutex<Option<String>>>);

impl BadDataSlot {
    /// Leaves `text`, unless something was left before.
    pub fn put(&self, text: &str) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(|| text.to_owned());
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Sorts an error of the query engine into ours.
pub fn classify(error: DataFusionError, bad_data: &BadDataSlot, limit_bytes: usize) -> Error {
    if let Some(text) = bad_data.take() {
        return Error::BadData(text);
    }
    if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return Error::MemoryLimit { limit_bytes };
    }
    let gone = chain(&error).any(|e| {
        let missing = |e: &object_store::Error| matches!(e, object_store::Error::NotFound { .. });
        e.downcast_ref::<object_store::Error>().is_some_and(missing)
            || e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
    });
    if gone { Error::SnapshotGone(Box::new(error)) } else { Error::Query(Box::new(error)) }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |e| cause(*e))
}

/// What an error comes from. Several wrappers print their content but do not name it as source.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(parquet::errors::ParquetError::External(inner)) = error.downcast_ref() {
        return Some(inner.as_ref());
    }
    if let Some(arrow::error::ArrowError::ExternalError(inner)) = error.downcast_ref() {
        return Some(inner.as_ref());
    }
    error.source()
}
