//! A writer of new files on a thread of its own, so that rows are merged while others are encoded.
//!
//! Invariant: files are only left on disk by [`Background::finish`]; a writer that is dropped has
//! deleted them when the drop returns.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;

use crate::Error;
use crate::table::{FileWriter, NewFile};

/// Batches that may wait for the encoder.
const WAITING_MAX: usize = 4;

enum Step {
    Write(RecordBatch),
    Finish,
}

/// See the module.
pub(super) struct Background {
    steps: Option<SyncSender<Step>>,
    thread: Option<JoinHandle<Result<Vec<NewFile>, Error>>>,
}

impl Background {
    /// Moves `writer` to a thread.
    pub fn start(mut writer: FileWriter) -> Self {
        let (steps, taken) = sync_channel(WAITING_MAX);
        let thread = std::thread::spawn(move || {
            for step in taken {
                match step {
                    Step::Write(batch) => writer.write(&batch)?,
                    Step::Finish => return writer.finish(),
                }
            }
            Ok(Vec::new())
        });
        Self { steps: Some(steps), thread: Some(thread) }
    }

    /// Appends rows. An error may be that of an earlier batch.
    pub fn write(&mut self, batch: RecordBatch) -> Result<(), Error> {
        match &self.steps {
            Some(steps) if steps.send(Step::Write(batch)).is_ok() => Ok(()),
            _ => self.end().map(|_| ()),
        }
    }

    /// Closes the files and hands them out.
    pub fn finish(mut self) -> Result<Vec<NewFile>, Error> {
        if let Some(steps) = &self.steps {
            // Nobody there: the thread has failed, and its error comes from the end.
            let _ = steps.send(Step::Finish);
        }
        self.end()
    }

    fn end(&mut self) -> Result<Vec<NewFile>, Error> {
        drop(self.steps.take());
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(Error::Invalid("the writer of new files has failed before".into())),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.steps.take());
        if let Some(thread) = self.thread.take() {
            // Whatever it says, its files are deleted with its writer.
            let _ = thread.join();
        }
    }
}
