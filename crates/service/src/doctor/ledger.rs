//! The tables, and the versions of them that Exports still need.

use std::collections::BTreeMap;

use payouts_ledger::upkeep;
use payouts_model::ReportName;
use payouts_store::sqlite::OpenExport;

use super::{About, Finding, chain};
use crate::Config;

/// Every table of the configuration.
pub(super) async fn examine(config: &Config, deep: bool, findings: &mut Vec<Finding>) {
    let ledger = match config.ledger() {
        Ok(ledger) => ledger,
        Err(error) => return findings.push(unreadable(&error)),
    };
    for report in ReportName::ALL {
        let own = ledger.clone();
        let examined = tokio::task::spawn_blocking(move || upkeep::examine(&own, report, deep)).await;
        match examined {
            Ok(Ok(problems)) => findings.extend(problems.into_iter().map(|p| {
                let upkeep::Problem { what, mend } = p;
                Finding { about: About::Ledger, what, mend }
            })),
            Ok(Err(error)) => findings.push(unreadable(&error)),
            Err(error) => findings.push(unreadable(&error)),
        }
    }
}

fn unreadable(error: &dyn std::error::Error) -> Finding {
    Finding {
        about: About::Ledger,
        what: format!("it cannot be examined: {}", chain(error)),
        mend: "see what it names; a table that is damaged can be restored from a backup".into(),
    }
}

/// Versions that Exports have begun with and that cannot be read any more.
pub(super) async fn needed_versions(config: &Config, open: &[OpenExport], findings: &mut Vec<Finding>) {
    let mut needed: BTreeMap<(ReportName, u64), Vec<String>> = BTreeMap::new();
    for export in open {
        if let Some(version) = export.data_version {
            needed.entry((export.report, version)).or_default().push(export.export.to_string());
        }
    }
    let Ok(ledger) = config.ledger() else { return };
    for ((report, version), exports) in needed {
        if let Err(error) = ledger.snapshot(report, Some(version)).await {
            findings.push(Finding {
                about: About::Ledger,
                what: format!(
                    "version {version} of {report} cannot be read, and {} began with it: {}",
                    exports.join(", "),
                    chain(&error)
                ),
                mend:
                    "restore the files of that version from a backup before the service takes the export up again, or \
                       let it fail and ask again"
                        .into(),
            });
        }
    }
}
