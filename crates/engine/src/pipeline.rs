//! Parts of a scan in, results of jobs out, in order: the threads, the look-ahead and the memory.
//!
//! A few parts of the scan run ahead, each behind a short channel; the driver drains them in
//! sequence and cuts the rows into jobs by position alone; jobs run side by side and come out in
//! the order they were cut. Everything in flight is bounded: batches per part, parts ahead, jobs
//! per plan, and bytes of all plans together. Dropping the stream of results stops all of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use futures::{Stream, StreamExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::layout::Layout;
use crate::scan::{Context, Footers, How, Scan, Selection, Survey};
use crate::{Error, Limits, Plan};

/// Batches that a part of the scan may be ahead of the driver. Decoding is a fraction of the work,
/// and every batch keeps pages of its file in memory.
const BATCHES_AHEAD: usize = 2;

/// With so many batches left of a part, the next one may begin.
const BATCHES_BEFORE_END: u64 = 1;

/// One thread decodes for so many that write: it takes a seventh of the time of what follows, and
/// every part that is being decoded holds its pages and dictionaries.
const DENSE_THREADS: usize = 4;

/// Rows of a batch of the scan. Large enough to amortise, small enough to stay in the cache.
pub(crate) const BATCH_ROWS: usize = 8192;

/// Footers kept for all plans, unless the limit of memory is low: those of some fifty million rows.
const FOOTERS_BYTES: usize = 24 << 20;

/// The budget counts in these.
const BUDGET_UNIT_BYTES: usize = 64 << 10;

/// Of more rows than this it is not remembered which ones are selected: a bit for each.
const SELECTED_ROWS_MAX: u64 = 1 << 28;

/// What a job is assumed to hold: its batches, its text and the compressed text.
const JOB_BYTES: usize = 6 << 20;

/// A run of rows by position, however the scan cut them into batches.
pub(crate) struct Part {
    /// The rows, in order.
    pub batches: Vec<RecordBatch>,
}

struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        // The last owner may be a task of another runtime, where waiting is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The threads of an engine and what its plans share.
#[derive(Clone)]
pub(crate) struct Pipeline {
    _threads: Arc<Threads>,
    handle: Handle,
    context: Context,
    budget: Arc<Semaphore>,
    threads: usize,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// A task that ends with its owner.
struct Owned<T>(JoinHandle<T>);

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Owned<Result<T, Error>> {
    async fn join(mut self) -> Result<T, Error> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(e) => Err(Error::Query(Box::new(e))),
        }
    }
}

impl Pipeline {
    pub fn new(limits: Limits) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits.threads)
            // File reads. More threads would only spread the allocator's free memory.
            .max_blocking_threads(limits.threads)
            .thread_name("engine")
            .enable_all()
            .build()
            .expect("the system can start a thread");
        // Half for the query engine's own operators and half for what is in flight behind them.
        let half = limits.memory_bytes / 2;
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(half)))
            // Footers are kept by the scan.
            .with_metadata_cache_limit(0)
            .build_arc()
            .expect("an environment in memory needs nothing from the system");
        let config = SessionConfig::new().with_batch_size(BATCH_ROWS).with_target_partitions(1);
        let task = Arc::new(TaskContext::default().with_session_config(config).with_runtime(environment));
        Self {
            handle: runtime.handle().clone(),
            _threads: Arc::new(Threads(Some(runtime))),
            context: Context {
                task,
                footers: Arc::new(Footers::new(FOOTERS_BYTES.min(half / 4))),
                limit_bytes: limits.memory_bytes,
            },
            budget: Arc::new(Semaphore::new((half / BUDGET_UNIT_BYTES).max(1))),
            threads: limits.threads,
        }
    }

    /// Threads that jobs run on.
    pub fn threads(&self) -> usize {
        self.threads
    }

    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Looks at what a plan has to read, on the engine's own threads: it may read the ends of files.
    pub async fn survey(&self, plan: &Plan) -> Result<Arc<Survey>, Error> {
        let (plan, context) = (plan.clone(), self.context());
        Owned(self.handle.spawn(async move { Survey::new(&plan, &context).map(Arc::new) })).join().await
    }

    /// A scan of a plan whose rows are read once.
    pub async fn plan(&self, plan: &Plan, layout: &Layout) -> Result<Scan, Error> {
        let survey = self.survey(plan).await?;
        let how = if survey.tests_many() { How::Tested } else { How::Pushed };
        Scan::new(survey, layout.stored(), self.context(), &how)
    }

    /// Which rows of a survey are selected, and how many. Only the columns of the filter are read.
    pub async fn select(&self, survey: &Arc<Survey>) -> Result<Selection, Error> {
        let few = survey.rows_to_test() <= SELECTED_ROWS_MAX;
        let scan = Arc::new(Scan::new(survey.clone(), &[], self.context(), &How::Tested)?);
        let selections = futures::stream::iter(0..scan.parts()).map(|part| {
            let scan = scan.clone();
            Owned(self.handle.spawn(async move { scan.select(part).await })).join()
        });
        let mut selections = selections.buffered(self.threads + 1);
        let mut selection = Selection::default();
        while let Some(selected) = selections.next().await {
            let (rows, which) = selected?;
            selection.add(rows, which.filter(|_| few));
        }
        Ok(selection)
    }

    /// Runs `job` over every run of `rows_per_job` rows; the results in order.
    pub fn run<T, F>(
        &self,
        scan: Scan,
        rows_per_job: usize,
        job: F,
    ) -> impl Stream<Item = Result<T, Error>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Fn(Part) -> Result<T, Error> + Send + Sync + 'static,
    {
        // One more than there are threads, so that none waits for a result to be taken.
        let (results, out) = mpsc::channel(self.threads + 1);
        let flight = Arc::new(Flight::default());
        let driver = Driver {
            handle: self.handle.clone(),
            budget: self.budget.clone(),
            flight: flight.clone(),
            job: Arc::new(job),
            results,
        };
        // Parts of which little is selected are decoded more than they are written: while the first one
        // is awaited, there must be others to decode. Of other parts decoding is a small share.
        let at_once = if scan.any_sparse() { self.threads * 2 } else { self.threads.div_ceil(DENSE_THREADS) };
        let parts = Parts::new(self.handle.clone(), scan, at_once);
        let driver = Owned(self.handle.spawn(driver.drive(parts, rows_per_job)));
        let state = Some((self.clone(), out, driver, flight));
        futures::stream::unfold(state, |state| async move {
            // The pipeline is kept so that its threads outlive the plan.
            let (pipeline, mut out, driver, flight) = state?;
            let Some((result, permit)) = out.recv().await else {
                return match driver.join().await {
                    Ok(()) => None,
                    Err(e) => Some((Err(e), None)),
                };
            };
            let result = Owned::join(result).await;
            drop(permit);
            flight.landed();
            let state = result.is_ok().then_some((pipeline, out, driver, flight));
            Some((result, state))
        })
    }
}

/// Jobs of one plan that were started and not yet taken.
#[derive(Default)]
struct Flight {
    jobs: AtomicUsize,
    changed: Notify,
}

impl Flight {
    fn landed(&self) {
        self.jobs.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// Room in the budget for one more job. A plan that has nothing in flight gets on without, so
    /// that no plan waits for ever for others whose callers are slow.
    async fn take_off(&self, budget: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let units = (JOB_BYTES / BUDGET_UNIT_BYTES) as u32;
        let permit = loop {
            if self.jobs.load(Ordering::Acquire) == 0 {
                break budget.clone().try_acquire_many_owned(units).ok();
            }
            tokio::select! {
                permit = budget.clone().acquire_many_owned(units) => break permit.ok(),
                () = self.changed.notified() => {}
            }
        };
        self.jobs.fetch_add(1, Ordering::AcqRel);
        permit
    }
}

type Landing<T> = (Owned<Result<T, Error>>, Option<OwnedSemaphorePermit>);

struct Driver<T, F> {
    handle: Handle,
    budget: Arc<Semaphore>,
    flight: Arc<Flight>,
    job: Arc<F>,
    results: mpsc::Sender<Landing<T>>,
}

impl<T, F> Driver<T, F>
where
    T: Send + 'static,
    F: Fn(Part) -> Result<T, Error> + Send + Sync + 'static,
{
    async fn drive(self, mut parts: Parts, rows_per_job: usize) -> Result<(), Error> {
        let mut batches = Vec::new();
        let mut rows = 0;
        while let Some(mut batch) = parts.next().await? {
            while rows + batch.num_rows() >= rows_per_job {
                let head = rows_per_job - rows;
                batches.push(batch.slice(0, head));
                batch = batch.slice(head, batch.num_rows() - head);
                if !self.start(Part { batches: std::mem::take(&mut batches) }).await {
                    return Ok(());
                }
                rows = 0;
            }
            if batch.num_rows() > 0 {
                rows += batch.num_rows();
                batches.push(batch);
            }
        }
        if rows > 0 {
            self.start(Part { batches }).await;
        }
        Ok(())
    }

    /// Starts a job; false if nobody waits for results any more.
    async fn start(&self, part: Part) -> bool {
        let permit = self.flight.take_off(&self.budget).await;
        let job = self.job.clone();
        let task = Owned(self.handle.spawn(async move { job(part) }));
        self.results.send((task, permit)).await.is_ok()
    }
}

/// The batches of a part, and how it ended.
type OpenPart = (mpsc::Receiver<RecordBatch>, Owned<Result<(), Error>>);

/// The batches of a scan in sequence, a few parts ahead.
struct Parts {
    handle: Handle,
    scan: Arc<Scan>,
    next: usize,
    /// Parts that are decoded at a time.
    at_once: usize,
    open: VecDeque<OpenPart>,
    /// When the last parts that were opened are decoded, or nearly so.
    ends: VecDeque<oneshot::Receiver<()>>,
}

impl Parts {
    fn new(handle: Handle, scan: Scan, at_once: usize) -> Self {
        Self { handle, scan: Arc::new(scan), next: 0, at_once, open: VecDeque::new(), ends: VecDeque::new() }
    }

    /// Opens the next part; it is decoded once fewer than [`Self::at_once`] of those before it are.
    fn open_next(&mut self) {
        let (batches, receiver) = mpsc::channel(BATCHES_AHEAD);
        let (end, ended) = oneshot::channel::<()>();
        let turn = if self.ends.len() < self.at_once { None } else { self.ends.pop_front() };
        self.ends.push_back(ended);
        let (scan, part) = (self.scan.clone(), self.next);
        let task = async move {
            if let Some(other) = turn {
                // However it ended.
                let _ = other.await;
            }
            read_part(scan, part, batches, end).await
        };
        self.open.push_back((receiver, Owned(self.handle.spawn(task))));
        self.next += 1;
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            // One more than are decoded: it begins while the last batches of another are still taken.
            while self.open.len() <= self.at_once && self.next < self.scan.parts() {
                self.open_next();
            }
            let Some((receiver, _)) = self.open.front_mut() else {
                return Ok(None);
            };
            if let Some(batch) = receiver.recv().await {
                return Ok(Some(batch));
            }
            // The channel also closes when the part failed: only its own word counts.
            if let Some((_, task)) = self.open.pop_front() {
                task.join().await?;
            }
        }
    }
}

/// Sends the batches of a part. `end` goes a little before it is decoded, so that the beginning of
/// the next one, which takes longer than a batch, is not waited for.
async fn read_part(
    scan: Arc<Scan>,
    part: usize,
    batches: mpsc::Sender<RecordBatch>,
    end: oneshot::Sender<()>,
) -> Result<(), Error> {
    let mut stream = scan.open(part)?;
    let mut end = Some(end);
    let mut left = scan.rows(part);
    while let Some(batch) = stream.next().await {
        let mut batch = batch?;
        if let Some(left) = &mut left {
            *left = left.saturating_sub(batch.num_rows() as u64);
            if *left <= BATCHES_BEFORE_END * batch.num_rows() as u64 {
                drop(end.take());
            }
        }
        if scan.sparse(part) {
            batch = compact(batch)?;
        }
        if batches.send(batch).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Views of a few rows keep whole pages of text alive. Copies the text of sparse batches, so that
/// what waits for its chunk is no larger than its rows.
fn compact(batch: RecordBatch) -> Result<RecordBatch, Error> {
    let sparse = |column: &ArrayRef| {
        *column.data_type() == DataType::Utf8View
            && column.as_string_view().data_buffers().iter().map(|b| b.len()).sum::<usize>() > 4096 + column.len() * 256
    };
    if !batch.columns().iter().any(sparse) {
        return Ok(batch);
    }
    let copy = |column: &ArrayRef| {
        if sparse(column) { Arc::new(column.as_string_view().gc()) as ArrayRef } else { column.clone() }
    };
    let columns = batch.columns().iter().map(copy).collect();
    RecordBatch::try_new(batch.schema(), columns).map_err(|e| Error::Query(Box::new(e)))
}
