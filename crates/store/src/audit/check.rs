//! Whether a chain is whole, and where it is not. Pure: whoever has the records feeds them in.

use std::collections::VecDeque;

use super::{Entry, Hash, Head};

/// What is wrong with a chain, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Numbers are missing between two records.
    #[error("records are missing: after record {after} comes record {found}")]
    Gap {
        /** the last record before the gap; 0: there is none */
        after: u64,
        /** the first one behind it */
        found: u64,
    },
    /// A record's hash is not that of its number, its text and the hash before it.
    #[error("record {seq} was changed{}: its hash is not that of its content and the hash before it", or_before(*seq))]
    Changed {
        /** the record */
        seq: u64,
    },
    /// The chain is whole, but it is not the one that was seen before.
    #[error(
        "records were rewritten somewhere from record {} to record {seq}: the hash of record {seq} is {found}, and {logged} \
         was noted before",
        agreed + 1
    )]
    Rewritten {
        /** the last record that agrees with a noted head; 0: there is none */
        agreed: u64,
        /** the record whose hash was noted */
        seq: u64,
        /** its hash now */
        found: Hash,
        /** its hash as it was noted */
        logged: Hash,
    },
    /// Records at the end are gone.
    #[error("records are missing at the end: the last is record {last}, and record {noted} was noted before")]
    CutOff {
        /** the last record there is */
        last: u64,
        /** the record that must be there */
        noted: u64,
    },
}

fn or_before(seq: u64) -> String {
    if seq > 1 { format!(" (or the hash of record {})", seq - 1) } else { String::new() }
}

/// A walk along a chain from its beginning.
#[derive(Clone, Debug)]
pub struct Check {
    at: Head,
    agreed: u64,
    noted: VecDeque<Head>,
}

impl Check {
    /// Begins; `noted` are heads that were seen before.
    pub fn new(mut noted: Vec<Head>) -> Self {
        noted.sort();
        let mut check = Self { at: Head::NONE, agreed: 0, noted: noted.into() };
        // A head before the first record says nothing.
        while check.noted.front() == Some(&Head::NONE) {
            check.noted.pop_front();
        }
        check
    }

    /// The next record in the order of numbers.
    pub fn next(&mut self, entry: &Entry) -> Result<(), Broken> {
        if entry.seq != self.at.seq + 1 {
            return Err(Broken::Gap { after: self.at.seq, found: entry.seq });
        }
        let at = self.at.after(&entry.record);
        if at.hash != entry.hash {
            return Err(Broken::Changed { seq: entry.seq });
        }
        self.at = at;
        while let Some(noted) = self.noted.pop_front_if(|noted| noted.seq <= at.seq) {
            if noted != at {
                let Head { seq, hash: logged } = noted;
                return Err(Broken::Rewritten { agreed: self.agreed, seq, found: at.hash, logged });
            }
            self.agreed = at.seq;
        }
        Ok(())
    }

    /// There are no more records. Answers the head.
    pub fn end(self) -> Result<Head, Broken> {
        match self.noted.back() {
            Some(noted) => Err(Broken::CutOff { last: self.at.seq, noted: noted.seq }),
            None => Ok(self.at),
        }
    }
}
