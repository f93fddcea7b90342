//! What a test wants to happen where: read from text, and counted as points are reached.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::Point;

/// What becomes of whoever reaches a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Go,
    Error(io::ErrorKind),
    Hang,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Act(Act),
    Kill,
}

/// At which times a rule is at work, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Only(u64),
    From(u64),
}

impl When {
    fn holds(self, time: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Only(n) => time == n,
            Self::From(n) => time >= n,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    point: Point,
    action: Action,
    when: When,
}

/// A plan with the number of times that each point was reached.
#[derive(Debug)]
pub(crate) struct Plan {
    rules: Vec<Rule>,
    trace: Option<PathBuf>,
    pub clock: Option<PathBuf>,
    pub until: Option<PathBuf>,
    reached: Mutex<Vec<u64>>,
}

impl Plan {
    /// Reads a plan; the error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let reached = Mutex::new(vec![0; Point::ALL.len()]);
        let mut plan = Self { rules: Vec::new(), trace: None, clock: None, until: None, reached };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| format!("'{part}' is not of the form point=action"))?;
            match name {
                "trace" => plan.trace = Some(value.into()),
                "clock" => plan.clock = Some(value.into()),
                "until" => plan.until = Some(value.into()),
                name => plan.rules.push(rule(name, value)?),
            }
        }
        Ok(plan)
    }

    /// Counts, traces, and does what the plan has for this time. A kill does not return.
    pub fn at(&self, point: Point) -> Act {
        let time = {
            let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
            let count = &mut reached[point as usize];
            *count += 1;
            // Under the lock, so that a kill elsewhere finds the line written.
            if *count == 1 {
                self.trace(point);
            }
            *count
        };
        match self.rules.iter().find(|r| r.point == point && r.when.holds(time)).map(|r| r.action) {
            None => Act::Go,
            Some(Action::Act(act)) => act,
            // No destructor runs and nothing is flushed: what a kill from outside does.
            Some(Action::Kill) => std::process::abort(),
        }
    }

    fn trace(&self, point: Point) {
        let Some(path) = &self.trace else { return };
        let line = format!("{}\n", point.name());
        let written =
            OpenOptions::new().create(true).append(true).open(path).and_then(|mut f| f.write_all(line.as_bytes()));
        // A test that reads an incomplete trace fails, and this tells it why.
        if let Err(error) = written {
            eprintln!("cannot write the trace {}: {error}", path.display());
        }
    }
}

fn rule(name: &str, value: &str) -> Result<Rule, String> {
    let point = Point::ALL.iter().copied().find(|p| p.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Point::ALL.iter().map(|p| p.name()).collect();
        format!("there is no point '{name}'; the points are {}", names.join(", "))
    })?;
    let (action, when) = value.split_once('@').map_or((value, None), |(action, when)| (action, Some(when)));
    let number = |text: &str| {
        let number = text.parse::<u64>().ok().filter(|n| *n > 0);
        number.ok_or_else(|| format!("'{text}' in '{value}' is not a number of times from 1 on"))
    };
    let when = match when {
        None => When::Always,
        Some(text) => match text.strip_suffix('+') {
            Some(text) => When::From(number(text)?),
            None => When::Only(number(text)?),
        },
    };
    let action = match action {
        "kill" => Action::Kill,
        "hang" => Action::Act(Act::Hang),
        "error" => Action::Act(Act::Error(io::ErrorKind::Other)),
        "full" => Action::Act(Act::Error(io::ErrorKind::StorageFull)),
        "read-only" => Action::Act(Act::Error(io::ErrorKind::ReadOnlyFilesystem)),
        other => return Err(format!("'{other}' is none of kill, hang, error, full, read-only")),
    };
    Ok(Rule { point, action, when })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(plan: &str, point: Point, times: usize) -> Vec<Act> {
        let plan = Plan::parse(plan).unwrap();
        (0..times).map(|_| plan.at(point)).collect()
    }

    #[test]
    fn rules_are_at_work_at_their_times_and_points() {
        let error = Act::Error(io::ErrorKind::Other);
        assert_eq!(acts("export.chunk=error@2", Point::ExportChunk, 3), [Act::Go, error, Act::Go]);
        assert_eq!(acts("export.chunk=hang@2+", Point::ExportChunk, 3), [Act::Go, Act::Hang, Act::Hang]);
        assert_eq!(acts("export.chunk=error", Point::ExportChunk, 2), [error, error]);
        assert_eq!(acts("export.chunk=error", Point::BlobWrite, 1), [Act::Go]);
        let full = Act::Error(io::ErrorKind::StorageFull);
        assert_eq!(acts("export.chunk=error@1,export.chunk=full@2", Point::ExportChunk, 2), [error, full]);
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_refused_with_what_would() {
        for (plan, text) in [
            ("export.chunk", "point=action"),
            ("export.chunks=kill", "there is no point 'export.chunks'; the points are export.accept,"),
            ("export.chunk=explode", "none of kill, hang, error, full, read-only"),
            ("export.chunk=kill@0", "from 1 on"),
        ] {
            let error = Plan::parse(plan).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_point_is_traced_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        let plan = Plan::parse(&format!("trace={}", path.display())).unwrap();
        for point in [Point::BlobWrite, Point::ExportChunk, Point::BlobWrite] {
            assert_eq!(plan.at(point), Act::Go);
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "blob.write\nexport.chunk\n");
    }

    #[test]
    fn names_are_unlike_each_other() {
        let names: std::collections::HashSet<&str> = Point::ALL.iter().map(|p| p.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(Point::ALL.iter().enumerate().all(|(i, p)| *p as usize == i));
    }
}
