//! One request, as a row of the list.

use askama::Template;
use payouts_model::{ErrorCode, Export, Failure, Role, Status, Timestamp, Viewer};
use payouts_store::Visible;

use super::For;
use super::copies::Copies;
use crate::app::App;
use crate::http::links;
use crate::page::labels;
use crate::page::layout::{Shell, When};

/// Longer texts are copied from the request's own page.
const COPY_BYTES_MAX: usize = 2 * 1024;

/// A request as one viewer sees it.
#[derive(Template)]
#[template(path = "list_row.html")]
pub struct Row<'a> {
    /// For addresses and forms.
    pub shell: &'a Shell,
    /// The id.
    pub id: String,
    /// Queued, Processing, Completed or Failed.
    pub status: &'static str,
    /// The chip's colour.
    pub tone: &'static str,
    /// What the state means just now, in a few words.
    pub note: Option<Note>,
    /// Rows done and expected, while it is being made.
    pub progress: Option<(u64, u64)>,
    /// The report.
    pub report: &'static str,
    /// The format.
    pub format: String,
    /// The filter in words.
    pub words: String,
    /// The filter as it was asked, if it is short enough for a row.
    pub text: Option<String>,
    /// Who asked.
    pub who: String,
    /// When.
    pub asked_at: When,
    /// Data rows.
    pub rows: Option<u64>,
    /// The file's size.
    pub size: Option<String>,
    /// When the file goes.
    pub file_until: Option<When>,
    /// Until when a link that is made now works.
    pub link_until: Option<When>,
    /// There is a file to download.
    pub file: bool,
    /// Why it was given up, and what to do.
    pub failure: Option<(String, &'static str)>,
    /// What to know.
    pub warnings: Vec<String>,
    /// It may be deleted by the viewer.
    pub deletable: bool,
    /// An operator holds it.
    pub held: bool,
    /// What to copy, if it is short.
    pub copies: Option<Copies>,
}

/// A few words about a state; the number in them is shown in the browser's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    before: String,
    number: Option<String>,
    after: &'static str,
}

impl<'a> Row<'a> {
    /// The row of what `of` sees.
    pub fn new(app: &App, of: For<'a>, visible: &Visible, now: Timestamp) -> Self {
        let Visible { export, full, queue_position } = visible;
        let link = links::file_link(app, of.base, of.viewer, visible, now);
        let gone = export.status == Status::Completed && (export.file.is_none() || export.file_expired(now));
        let report = app.catalog.report(export.report);
        let text = export.query.text.trim();
        let copies = (text.len() <= COPY_BYTES_MAX).then(|| Copies::new(report, of.base, export));
        Self {
            shell: of.shell,
            id: export.id.to_string(),
            status: export.status.as_str(),
            tone: tone(export.status, gone),
            note: note(export, *full, *queue_position, gone),
            progress: progress(export, *full),
            report: labels::report(export.report),
            format: export.query.format.to_string(),
            words: app.page.words.of(report, export),
            text: (!text.is_empty() && text.len() <= COPY_BYTES_MAX).then(|| text.to_owned()),
            who: who(of.viewer, export),
            asked_at: When::new(export.created_at),
            rows: (*full && export.status == Status::Completed).then_some(export.progress.rows_done),
            size: export.file.as_ref().filter(|_| *full).map(|file| labels::size(file.size_bytes)),
            file_until: export.file_expires_at.filter(|_| link.is_some() && export.held_at.is_none()).map(When::new),
            link_until: link.as_ref().map(|link| When::new(link.expires_at)),
            file: link.is_some(),
            failure: export.failure.as_ref().map(|failure| (failure.message.clone(), what_to_do(failure))),
            warnings: export.warnings.iter().map(|w| w.message.clone()).collect(),
            deletable: may_delete(of.viewer, export),
            held: export.held_at.is_some(),
            copies,
        }
    }
}

/// Who asked, to the one who looks.
pub fn who(viewer: &Viewer, export: &Export) -> String {
    if viewer.principal == export.principal { "You".into() } else { export.principal.to_string() }
}

/// Whether a DELETE by the viewer would be obeyed.
pub fn may_delete(viewer: &Viewer, export: &Export) -> bool {
    export.held_at.is_none() && (viewer.role == Role::Admin || viewer.principal == export.principal)
}

fn tone(status: Status, gone: bool) -> &'static str {
    match status {
        Status::Queued => "",
        Status::Processing => "busy",
        Status::Completed if gone => "",
        Status::Completed => "good",
        Status::Failed => "bad",
    }
}

fn note(export: &Export, full: bool, queue_position: u64, gone: bool) -> Option<Note> {
    let words = |words: &str| Some(Note { before: words.to_owned(), number: None, after: "" });
    match export.status {
        Status::Queued if queue_position > 0 => {
            let number = Some(labels::grouped(queue_position));
            Some(Note { before: "Place ".into(), number, after: " in the queue" })
        }
        Status::Queued => words("Begins in a moment"),
        Status::Processing if !full => None,
        Status::Processing => match export.progress.rows_expected {
            None => words("Counting the rows"),
            Some(_) if export.progress.rows_done == 0 => words("Reading the rows"),
            Some(expected) if expected == export.progress.rows_done => words("Checking the file"),
            Some(expected) => {
                let percent = u128::from(export.progress.rows_done) * 100 / u128::from(expected.max(1));
                let number = Some(labels::grouped(expected));
                Some(Note { before: format!("{percent}% of "), number, after: " rows" })
            }
        },
        Status::Completed if gone => words("The file is gone"),
        Status::Completed if export.held_at.is_some() => words("Kept by the operator"),
        Status::Completed | Status::Failed => None,
    }
}

fn progress(export: &Export, full: bool) -> Option<(u64, u64)> {
    let expected = export.progress.rows_expected.filter(|_| full && export.status == Status::Processing)?;
    Some((export.progress.rows_done, expected.max(1)))
}

/// What helps after a failure.
fn what_to_do(failure: &Failure) -> &'static str {
    match failure.code {
        ErrorCode::StorageFull => "Deleting requests whose files you have helps, too, and so does choosing fewer rows.",
        ErrorCode::StorageLimit => {
            "Delete requests whose files you have, choose fewer rows, or ask the operator for room."
        }
        ErrorCode::SnapshotGone => "Run it again: it will then read the data as they are now.",
        ErrorCode::RequestObsolete => "Ask anew: the columns or values that it names are no longer there.",
        ErrorCode::LedgerUnreadable => {
            "Tell the operator: the data cannot be read. Running it again will not help before that."
        }
        _ if failure.retryable => "Run it again. If it fails again, tell the operator the request's id.",
        _ => "Ask for something narrower, or tell the operator the request's id.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_to_do() {
        for code in ErrorCode::ALL {
            for retryable in [true, false] {
                let text = what_to_do(&Failure { code: *code, message: String::new(), retryable });
                assert!(text.ends_with('.') && text.len() > 20, "{code}");
            }
        }
    }
}
