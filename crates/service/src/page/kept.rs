//! What was found out about one version of a report, for whoever asks the same again.
//!
//! Invariants: a newer version of the data is looked at anew; all that is kept together is bounded, and
//! goes when it has not been used for longest; two who ask at once look once, and if the first gives
//! up the second goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use payouts_model::ReportName;
use tokio::sync::OnceCell;

/// The most entries that are kept, whatever they take.
const KEPT_MAX: usize = 256;

/// Report, version of its data, and what was asked under which scope.
pub type Key = (ReportName, u64, String);

#[derive(Debug)]
struct Entry<V> {
    /// Filled by whoever asks first; others wait for it.
    cell: Arc<OnceCell<Arc<V>>>,
    used: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Kept<V> {
    /// Entries, and how often one was asked for.
    entries: Mutex<(HashMap<Key, Entry<V>>, u64)>,
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<V> Kept<V> {
    /// The place of an entry, to be filled if it is empty.
    pub fn cell(&self, key: Key) -> Arc<OnceCell<Arc<V>>> {
        let mut kept = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (entries, uses) = &mut *kept;
        *uses += 1;
        // Of older data nothing is asked any more.
        entries.retain(|(report, version, _), _| *report != key.0 || *version >= key.1);
        let entry = entries.entry(key).or_insert_with(|| Entry { cell: Arc::default(), used: 0 });
        entry.used = *uses;
        entry.cell.clone()
    }

    /// Lets go of an entry, unless another one stands in its place.
    pub fn forget(&self, key: &Key, cell: &Arc<OnceCell<Arc<V>>>) {
        let mut kept = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.cell, cell)) {
            kept.0.remove(key);
        }
    }

    /// Lets go of what was not used for longest, until the rest fits.
    pub fn bound(&self, bytes_max: usize, bytes_of: impl Fn(&V) -> usize) {
        let mut kept = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let size = |entry: &Entry<V>| entry.cell.get().map_or(0, |value| bytes_of(value));
        let mut bytes: usize = kept.0.values().map(size).sum();
        while bytes > bytes_max || kept.0.len() > KEPT_MAX {
            let Some(oldest) = kept.0.iter().min_by_key(|(_, e)| e.used).map(|(key, _)| key.clone()) else { break };
            bytes -= kept.0.remove(&oldest).as_ref().map_or(0, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_with(entries: &[(u64, &str, usize)]) -> Kept<usize> {
        let kept = Kept::default();
        for (version, what, bytes) in entries {
            kept.cell((ReportName::Payments, *version, (*what).to_owned())).set(Arc::new(*bytes)).unwrap();
            kept.bound(1_000, |bytes| *bytes);
        }
        kept
    }

    fn keys(kept: &Kept<usize>) -> Vec<(u64, String)> {
        let kept = kept.entries.lock().unwrap();
        let mut keys: Vec<_> = kept.0.keys().map(|(_, version, what)| (*version, what.clone())).collect();
        keys.sort();
        keys
    }

    #[test]
    fn what_is_let_go_of_is_looked_at_anew_once() {
        let kept = Kept::<usize>::default();
        let key = || (ReportName::Payments, 1, "a".to_owned());
        let first = kept.cell(key());
        first.set(Arc::new(1)).unwrap();
        kept.forget(&key(), &first);
        let second = kept.cell(key());
        assert!(second.get().is_none(), "it was kept");
        kept.forget(&key(), &first);
        assert!(Arc::ptr_eq(&second, &kept.cell(key())), "another one went in its place");
    }

    #[test]
    fn newer_data_and_lack_of_room_let_go_of_what_is_old() {
        let kept = kept_with(&[(1, "a", 1), (1, "b", 1), (2, "a", 1)]);
        assert_eq!(keys(&kept), [(2, "a".to_owned())]);
        let kept = kept_with(&[(1, "a", 400), (1, "b", 400), (1, "c", 400)]);
        assert_eq!(keys(&kept), [(1, "b".to_owned()), (1, "c".to_owned())], "the oldest makes room");
    }
}
