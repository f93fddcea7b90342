//! The steps of an attempt with their times, for the manifest, the metrics and traces.

use std::sync::Arc;

use payouts_model::{Clock, Export, ReportName, Timestamp};
use payouts_package::manifest::{Extras, Step};
use tracing::{Span, debug_span};

use crate::metrics;

/// What an attempt has done so far.
#[derive(Debug)]
pub(super) struct Trail {
    clock: Arc<dyn Clock>,
    report: ReportName,
    steps: Vec<Step>,
    current: (&'static str, Timestamp),
    span: Span,
    /// The version that is read, once it is fixed.
    pub data_version: Option<u64>,
    /// The newest import in it.
    pub data_as_of: Option<Timestamp>,
}

impl Trail {
    /// Begins with the step `plan`, after the time in the queue.
    pub(super) fn new(export: &Export, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let began = export.started_at.unwrap_or(now);
        let queued = Step::new("queue", export.created_at, Some(began));
        metrics::step_took(export.report, "queue", began.ms_since(export.created_at));
        Self {
            clock,
            report: export.report,
            steps: vec![queued],
            current: ("plan", now),
            span: span_of("plan"),
            data_version: export.data_version,
            data_as_of: None,
        }
    }

    /// Ends the current step and begins another.
    pub(super) fn next(&mut self, step: &'static str) {
        let now = self.clock.now();
        self.next_at(step, now);
    }

    /// The same, at an instant that is known from elsewhere.
    pub(super) fn next_at(&mut self, step: &'static str, at: Timestamp) {
        let (name, began) = std::mem::replace(&mut self.current, (step, at));
        metrics::step_took(self.report, name, at.ms_since(began));
        self.steps.push(Step::new(name, began, Some(at)));
        self.span = span_of(step);
    }

    /// The span of the current step, for what is done in it.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// What the manifest says of it, the last step ended now or, if it failed, not ended.
    pub(super) fn into_extras(mut self, ended: bool) -> Extras {
        let (name, began) = self.current;
        let at = ended.then(|| self.clock.now());
        if let Some(at) = at {
            metrics::step_took(self.report, name, at.ms_since(began));
        }
        self.steps.push(Step::new(name, began, at));
        let Self { clock: _, report: _, steps, current: _, span: _, data_version, data_as_of } = self;
        Extras { data_version, data_as_of, steps, ..Extras::default() }
    }
}

/// For traces alone: at the level that logs leave out, and within the span of the attempt.
fn span_of(step: &'static str) -> Span {
    debug_span!("step", otel.name = step, job.step = step)
}
