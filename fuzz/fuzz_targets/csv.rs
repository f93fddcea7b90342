//! Any text as a CSV file to import, with the right header in front of it or without: it is refused
//! with a clear error, or every record of it is counted once, whatever it is cut into; rejects can
//! be imported as they are.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use payouts_fuzz::input::Input;
use payouts_fuzz::place::{Ask, Place, header};
use payouts_fuzz::records::rows;
use payouts_ledger::import::Limits;
use payouts_model::ReportName;

const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

static PLACE: LazyLock<Place> = LazyLock::new(Place::new);

/// Bounds that cut every file into many pieces and let nothing stay in memory.
fn narrow(chunk_bytes: usize) -> Limits {
    Limits { chunk_bytes, memory_bytes: 2048, waiting_rows: 2, range_rows: 4, ..Limits::default() }
}

fuzz_target!(init: { LazyLock::force(&PLACE); }, |data: &[u8]| {
    let mut input = Input(data);
    let (how, shape) = (input.byte(), input.byte());
    let ask = Ask {
        report: ReportName::ALL[usize::from(how & 1) % ReportName::ALL.len()],
        rejects: how & 2 == 0,
        order_type: how & 4 == 0,
        limits: Limits::default(),
    };
    let delimiter = DELIMITERS[usize::from(shape & 3)];
    let given = how & 8 == 0;
    let mut text = if given { header(PLACE.report(ask.report), delimiter) } else { Vec::new() };
    text.extend_from_slice(input.0);

    let done = PLACE.run(&ask, &[text.as_slice()]);
    if let Some(counted) = done.rows() {
        let mut possible = DELIMITERS.iter().filter(|d| !given || **d == delimiter).map(|d| rows(&text, *d));
        assert!(possible.any(|rows| rows == counted), "{counted} rows are counted: {:?}", done.outcome);
    } else if given && ask.rejects {
        panic!("a good header, and a place for bad rows: {}", done.shown());
    }

    let cut = Ask { limits: narrow(512 << (shape >> 2 & 7)), ..ask.clone() };
    let again = PLACE.run(&cut, &[text.as_slice()]);
    let too_long = again.outcome.as_ref().is_err_and(|e| e.to_string().contains("a record of more than"));
    // A header that is cut is no header, and where it is cut is up to the bounds.
    if !too_long && (given || done.rows().is_some() && again.rows().is_some()) {
        assert_eq!(again.shown(), done.shown(), "cut into pieces");
        assert_eq!(again.rejects, done.rejects, "cut into pieces");
    }

    if let (Some(rejects), Ok(outcome)) = (&done.rejects, &done.outcome)
        && outcome.rejected > 0
    {
        let second = PLACE.run(&ask, &[rejects.as_slice()]);
        assert_eq!(second.rows(), Some(outcome.rejected), "the rejects are a file to import: {}", second.shown());
    }
});
