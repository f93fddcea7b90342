//! One claim from beginning to end: the file is made under a heartbeat, then published, or the
//! claim is let go of.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use payouts_blob::BlobName;
use payouts_model::chunk::Beyond;
use payouts_model::sheet::{DIGITS_MAX, TEXT_UNITS_MAX};
use payouts_model::{Export, Status, Timestamp, Warning};
use payouts_package::Packaged;
use payouts_package::manifest::{Extras, Manifest};
use payouts_store::{Claim, Completion, LetGo, ManifestText};
use tracing::{Instrument, error, info, info_span, warn};

use super::fault::{Broken, Fault};
use super::heart::{Heart, Progress};
use super::slots::Slot;
use super::trail::Trail;
use super::{file, writing::Writing};
use crate::metrics::{self, Busy, Outcome};
use crate::shutdown::Stop;
use crate::{App, traces};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The delay before the second attempt, in milliseconds; each later one waits four times as long,
/// up to the maximum.
const RETRY_FIRST_MS: i64 = 500;
pub(super) const RETRY_MAX_MS: i64 = 60_000;
/// Tries at telling the store how an attempt ended, and the wait between them in milliseconds.
/// After that the lease runs out by itself.
const TELL_TRIES: u32 = 5;
const TELL_AGAIN_MS: u64 = 200;
/// After an attempt that took so long, in milliseconds, free memory is given back: the next one needs
/// not lie on top of what it left.
const GIVING_BACK_MS_MIN: i64 = 500;

/// How the making ended.
enum Ended {
    Sealed(Packaged),
    Broken(Broken),
    /// The service is stopping and the grace is over.
    Stopped,
}

/// Runs an attempt to its end, in `slot`. Never panics, and leaves no file unless it is published.
pub(super) async fn run(app: &Arc<App>, claim: Claim, mut slot: Slot, stop: &Stop) {
    let export = &claim.export;
    let attempt = export.failed_attempts + 1;
    let span = info_span!("attempt", export.id = %export.id, tenant.id = %export.tenant, job.attempt = attempt, fence = claim.fence);
    traces::join(&span, claim.trace.as_deref());
    async {
        let _busy = Busy::begin();
        let began_at = app.clock.now();
        app.signals.changed(export.id);
        let outcome = work(app, &claim, &mut slot, stop).await;
        metrics::attempt_ended(export.report, outcome);
        let duration_ms = app.clock.now().ms_since(began_at);
        info!(report = %export.report, outcome = ?outcome, duration_ms, "attempt ended");
        app.signals.changed(export.id);
        if duration_ms >= GIVING_BACK_MS_MIN {
            tokio::task::spawn_blocking(payouts_memory::give_back);
        }
    }
    .instrument(span)
    .await;
}

async fn work(app: &Arc<App>, claim: &Claim, slot: &mut Slot, stop: &Stop) -> Outcome {
    let progress = Arc::new(Progress::default());
    let heart = Heart::start(app, claim, progress.clone());
    let mut trail = Trail::new(&claim.export, app.clock.clone());
    let mut writing: Option<Writing> = None;
    let ended = tokio::select! {
        biased;
        () = heart.lost() => Ended::Broken(Broken::Lost),
        () = stop.over() => Ended::Stopped,
        made = AssertUnwindSafe(file::make(app, claim, slot, &progress, &mut trail, &mut writing)).catch_unwind() => match made {
            Ok(Ok(packaged)) => Ended::Sealed(packaged),
            Ok(Err(broken)) => Ended::Broken(broken),
            Err(payload) => Ended::Broken(Broken::Fault(Fault::panicked(&*payload))),
        },
    };
    // The heart beats until the store knows the end: sealing and telling take time too.
    if let Ended::Sealed(packaged) = ended {
        return publish(app, claim, packaged, trail).await;
    }
    if let Some(writing) = writing {
        writing.abandon().await;
    }
    delete_file(app, claim).await;
    match ended {
        Ended::Broken(Broken::Fault(fault)) => give_up(app, claim, fault, trail).await,
        Ended::Stopped => let_go(app, claim, LetGo::HandBack, Outcome::HandedBack).await,
        Ended::Broken(Broken::TooLarge { rows_expected }) => {
            let_go(app, claim, LetGo::PutOff { rows_expected }, Outcome::PutOff).await
        }
        Ended::Broken(Broken::Lost) | Ended::Sealed(_) => Outcome::Lost,
    }
}

/// Flips the row to Completed; the file is deleted if the claim was lost in the meantime.
async fn publish(app: &Arc<App>, claim: &Claim, packaged: Packaged, trail: Trail) -> Outcome {
    let export = &claim.export;
    let file = packaged.file_info(claim.fence, export.query.format, download_name(export));
    let reproducible_until = reproducible_until(app, export);
    let warnings = beyond(packaged.beyond);
    let extras = Extras { reproducible_until, warnings: warnings.clone(), ..trail.into_extras(true) };
    let manifest = Manifest::completed(export, &packaged, &file.download_name, extras);
    // There may be tens of thousands of sums.
    drop(packaged);
    let manifest = kept(manifest);
    let (rows, size_bytes) = (file.rows, file.size_bytes);
    let now = app.clock.now();
    let file_expires_at = now.plus_ms(app.config.retention.file_days.saturating_mul(DAY_MS));
    let completion = Completion { file, manifest, file_expires_at, reproducible_until, warnings };
    let mut unsure = false;
    for _ in 0..TELL_TRIES {
        let told = match app.store.complete(claim, completion.clone(), now).await {
            // After a commit that may have taken effect, "lost" can mean "done by us".
            Ok(false) if unsure => app.store.owns_file(export.id, claim.fence).await,
            told => told,
        };
        match told {
            Ok(true) => {
                metrics::file_published(export.report, rows, size_bytes);
                info!(rows, size_bytes, "published");
                return Outcome::Completed;
            }
            Ok(false) => {
                delete_file(app, claim).await;
                return Outcome::Lost;
            }
            Err(error) => {
                unsure = true;
                warn!(error = &error as &dyn std::error::Error, "cannot publish yet");
                tokio::time::sleep(Duration::from_millis(TELL_AGAIN_MS)).await;
            }
        }
    }
    // Whether it was published is unknown, so the file stays: the sweeper deletes it if not.
    error!("cannot publish: the lease is left to run out");
    Outcome::Lost
}

fn kept(manifest: Manifest) -> ManifestText {
    ManifestText::written(|out| manifest.write_json(out)).expect("writing into memory cannot fail")
}

/// What the caller should know of values that the format could not hold as they are.
fn beyond(Beyond { as_text, cut }: Beyond) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if as_text > 0 {
        let message = format!(
            "{as_text} numbers or dates are in the file as text: a spreadsheet keeps {DIGITS_MAX} digits, and days from \
             1900-03-01 to 9999-12-31. They are exact, but its formulas leave them out. The manifest's totals have them."
        );
        warnings.push(Warning { code: "ValuesAsText".into(), message });
    }
    if cut > 0 {
        let message = format!(
            "{cut} texts are longer than the {TEXT_UNITS_MAX} characters of a spreadsheet's cell and end in … there. \
             Any other format has them whole."
        );
        warnings.push(Warning { code: "TextsCut".into(), message });
    }
    warnings
}

/// Until when the data version of an Export stays readable: it was the newest when its first attempt
/// began. Of a table that something else writes nothing can be promised.
fn reproducible_until(app: &App, export: &Export) -> Option<Timestamp> {
    let keep_ms = app.config.retention.version_days.saturating_mul(DAY_MS);
    let own = !app.config.sources.contains_key(&export.report);
    export.started_at.filter(|_| own).map(|at| at.plus_ms(keep_ms))
}

/// Lets go after a fault: for another attempt, or for good.
async fn give_up(app: &Arc<App>, claim: &Claim, fault: Fault, trail: Trail) -> Outcome {
    let Fault { passing, failure, cause } = fault;
    warn!(cause, passing, code = %failure.code, "attempt broke off");
    let export = &claim.export;
    let manifest = Some(kept(Manifest::failed(export, failure.clone(), trail.into_extras(false))));
    if passing {
        let delay_ms = (RETRY_FIRST_MS << (2 * export.failed_attempts.min(8))).min(RETRY_MAX_MS);
        let not_before = app.clock.now().plus_ms(delay_ms);
        let_go(app, claim, LetGo::Retry { failure, manifest, not_before }, Outcome::Retried).await
    } else {
        let_go(app, claim, LetGo::Fail { failure, manifest }, Outcome::Failed).await
    }
}

async fn let_go(app: &App, claim: &Claim, how: LetGo, outcome: Outcome) -> Outcome {
    for _ in 0..TELL_TRIES {
        match app.store.let_go(claim, how.clone(), app.config.attempts_max, app.clock.now()).await {
            Ok(Some(Status::Failed)) => {
                if let LetGo::Retry { failure, .. } | LetGo::Fail { failure, .. } = how {
                    metrics::export_failed(failure.code);
                }
                return Outcome::Failed;
            }
            Ok(Some(_)) => return outcome,
            Ok(None) => return Outcome::Lost,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot let go yet");
                tokio::time::sleep(Duration::from_millis(TELL_AGAIN_MS)).await;
            }
        }
    }
    error!("cannot let go: the lease is left to run out");
    Outcome::Lost
}

/// Deletes what this attempt may have sealed. Only this attempt has this name.
async fn delete_file(app: &App, claim: &Claim) {
    let name = BlobName::ExportFile { export: claim.export.id, fence: claim.fence };
    if let Err(error) = app.blobs.delete(name).await {
        warn!(
            error = &error as &dyn std::error::Error,
            "cannot delete the file of a broken attempt: it is left to the sweeper"
        );
    }
}

/// The name that a download is saved under: report, day of the request, and enough of the id to
/// tell two of them apart (its end: it begins with the time).
fn download_name(export: &Export) -> String {
    let id = export.id.0.simple().to_string();
    format!("{}-{}-{}.{}", export.report, export.created_at.date(), &id[24..], export.query.format.extension())
}
