//! Any text against both reports: it is answered, and what is accepted goes round through its
//! normal form. A text that is refused says a place inside it.

#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono_tz::Tz;
use libfuzzer_sys::fuzz_target;
use payouts_filter::{Context, Filter, request};
use payouts_model::{Catalog, Report, ReportName, Timestamp};

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::builtin);
static ALIASES: LazyLock<HashMap<String, Vec<String>>> =
    LazyLock::new(|| HashMap::from([("Old".to_owned(), vec!["New".to_owned(), "Newest".to_owned()])]));

/// A request at a fixed instant. The zone comes from the text's length, so that it is no part of
/// the text and every input keeps its meaning.
fn context<'r>(report: &'r Report, text: &str) -> Context<'r> {
    const ZONES: [Tz; 4] = [Tz::UTC, Tz::Europe__Berlin, Tz::Pacific__Apia, Tz::America__Havana];
    let time_zone = ZONES[text.len() % ZONES.len()];
    Context { report, time_zone, now: Timestamp(1_700_000_000_123_456), program_aliases: &ALIASES }
}

fn check(report: &Report, text: &str) {
    let context = context(report, text);
    match Filter::parse(text, &context) {
        Err(error) => {
            let chars = text.chars().count();
            assert!(error.offset + error.length <= chars, "{error:?} lies outside the {chars} characters");
            assert!(!error.message.is_empty());
        }
        Ok(None) => {}
        Ok(Some(filter)) => {
            let again = Filter::parse_normal(&filter.normal_form, report);
            assert_eq!(again, Ok(Some(filter.clone())));
            // At most a small multiple: a day is two comparisons, a name the longest column's.
            assert!(filter.normal_form.len() <= 40 * text.len() + 100, "{}", filter.normal_form);
            let alone = request::read(&context, Some(text), &[]).expect("the filter was accepted");
            assert_eq!(alone.filter, Some(filter));
        }
    }
    // The same text as the value of a parameter of its own.
    for name in ["paymentId", "programName", "payoutStatusUpdateTS"] {
        let parameters = [(name.to_owned(), text.to_owned()), (name.to_owned(), "null".to_owned())];
        if let Ok(asked) = request::read(&context, None, &parameters) {
            let again = Filter::parse_normal(&asked.text, report).expect("a text in normal form");
            assert_eq!(again, asked.filter);
        }
    }
}

fuzz_target!(|text: &str| {
    for report in ReportName::ALL {
        check(CATALOG.report(report), text);
    }
});
