//! Named points at which a test makes the real binary fail, stand still or die.
//!
//! Every step of an export's and of an import's life calls [`reach`] (on a thread that may block)
//! or [`pass`] (in a task). Unarmed, which is always unless a test asks, that is one relaxed load
//! of an atomic. [`arm`] reads the plan from [`VARIABLE`], and takes it only over a data directory
//! that holds the file [`PERMIT`]: a variable that leaked into an operator's environment stops the
//! start with a message, and never touches data that nobody marked as lost.
//!
//! A plan is a list such as `export.sealed=kill@2,blob.write=full,trace=/tmp/reached`: at a point
//! an action, at every time that it is reached, only the second (`@2`), or from the second on
//! (`@2+`). `trace` names a file to which every point is added when it is first reached; `clock` a
//! file with the milliseconds by which the clock is wrong; `until` a file that ends every standstill once it
//! is there.

mod plan;
mod points;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use plan::{Act, Plan};
pub use points::Point;

/// The environment variable that holds the plan.
pub const VARIABLE: &str = "PAYOUTS_FAULTS";
/// The file in the data directory that says: what is in here may be lost.
pub const PERMIT: &str = "faults-may-lose-this-data";

static ARMED: AtomicBool = AtomicBool::new(false);
static PLAN: OnceLock<Plan> = OnceLock::new();

/// Why faults cannot be armed.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// The directory is not marked.
    #[error(
        "{VARIABLE} is set, which makes this program fail on purpose, and {path} is not marked as data that may be lost: \
         unset the variable; only a test creates the file {PERMIT} there"
    )]
    NotPermitted {
        /// The data directory.
        path: String,
    },
    /// The plan cannot be read.
    #[error("{VARIABLE}: {reason}")]
    Plan {
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// Arms this process if the environment holds a plan; tells whether it did.
///
/// # Errors
/// When there is a plan and the data directory is not marked, or the plan makes no sense.
pub fn arm(data_dir: &Path) -> Result<bool, ArmError> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(false) };
    if !data_dir.join(PERMIT).is_file() {
        return Err(ArmError::NotPermitted { path: data_dir.display().to_string() });
    }
    let text = text.to_string_lossy();
    let plan = Plan::parse(&text).map_err(|reason| ArmError::Plan { reason })?;
    // A second call in one process finds the plan of the first, which is the same.
    PLAN.get_or_init(|| plan);
    ARMED.store(true, Ordering::Release);
    Ok(true)
}

/// How often whoever hangs looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Goes past a point, or does what the plan has for it. Where it hangs it blocks, for ever unless the plan says
/// until when.
///
/// # Errors
/// The one that the plan wants.
#[inline]
pub fn reach(point: Point) -> io::Result<()> {
    if !ARMED.load(Ordering::Relaxed) {
        return Ok(());
    }
    match decide(point) {
        Act::Go => Ok(()),
        Act::Error(kind) => Err(error(point, kind)),
        Act::Hang => {
            while !over() {
                std::thread::park_timeout(LOOK_EVERY);
            }
            Ok(())
        }
    }
}

/// [`reach`] in a task: where it hangs, the thread does not.
///
/// # Errors
/// The one that the plan wants.
pub async fn pass(point: Point) -> io::Result<()> {
    if !ARMED.load(Ordering::Relaxed) {
        return Ok(());
    }
    match decide(point) {
        Act::Go => Ok(()),
        Act::Error(kind) => Err(error(point, kind)),
        Act::Hang => {
            // Without a timer of a runtime, of which this knows nothing.
            let look = std::future::poll_fn(|context| {
                if over() {
                    return Poll::Ready(());
                }
                let waker = context.waker().clone();
                std::thread::spawn(move || {
                    std::thread::park_timeout(LOOK_EVERY);
                    waker.wake();
                });
                Poll::Pending
            });
            look.await;
            Ok(())
        }
    }
}

/// The file that tells by how many milliseconds the clock is wrong, if the plan names one.
pub fn clock_file() -> Option<PathBuf> {
    if !ARMED.load(Ordering::Acquire) {
        return None;
    }
    PLAN.get().and_then(|plan| plan.clock.clone())
}

/// Whether what hangs goes on.
fn over() -> bool {
    PLAN.get().and_then(|plan| plan.until.as_ref()).is_some_and(|path| path.exists())
}

fn decide(point: Point) -> Act {
    PLAN.get().map_or(Act::Go, |plan| plan.at(point))
}

/// An error of the wanted kind. Kinds that the system has are made as the system makes them.
fn error(point: Point, kind: io::ErrorKind) -> io::Error {
    match kind {
        io::ErrorKind::Other => io::Error::other(format!("a fault was injected at {}", point.name())),
        kind => kind.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unarmed_process_goes_past_every_point() {
        for point in Point::ALL {
            reach(*point).unwrap();
        }
        assert_eq!(clock_file(), None);
    }
}
