//! The third decoder: Python's zlib over many streams. Skips out loud without Python;
//! `PAYOUTS_TEST_TOOLS=required` turns that into a failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::tables::{Hints, hints, table};
use super::*;

/// Tables in the test.
const TABLES: usize = 400;

/// A Python with zlib; `None` after saying that there is none.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PAYOUTS_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let status = Command::new(&python).args(["-c", "import zlib"]).stderr(Stdio::null()).status();
    if status.is_ok_and(|s| s.success()) {
        return Some(python);
    }
    let required = std::env::var("PAYOUTS_TEST_TOOLS").is_ok_and(|v| v == "required");
    assert!(!required, "missing: {} with zlib", python.display());
    eprintln!("SKIPPED for want of {} with zlib", python.display());
    None
}

/// Streams and what they must inflate to, in the form that `inflate.py` reads.
#[derive(Default)]
struct Cases {
    bytes: Vec<u8>,
    count: usize,
    text_bytes: usize,
}

impl Cases {
    fn add(&mut self, stream: &[u8], text: &[u8]) {
        for part in [stream, text] {
            self.bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            self.bytes.extend_from_slice(part);
        }
        self.count += 1;
        self.text_bytes += text.len();
    }

    fn inflate(&self, python: &Path) -> Output {
        // Where it runs, not where it was built: a folder of build results may serve several checkouts.
        let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let script = Path::new(&root).join("tests/tools/inflate.py");
        let mut child = Command::new(python)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python was there a moment ago");
        // It reads everything before it answers, so this cannot wait for each other.
        child.stdin.take().expect("piped").write_all(&self.bytes).expect("Python reads all of it");
        child.wait_with_output().expect("an end")
    }
}

fn stream_of(text: &[u8], starts: &[u32], columns: usize) -> Vec<u8> {
    [&compress(text, starts, columns)[..], &FINAL_BLOCK].concat()
}

/// Arbitrary tables, the same ones in every run: half with the right hints, half with any; each
/// alone, and all of them joined.
fn many() -> Cases {
    let mut cases = Cases::default();
    let mut runner = TestRunner::deterministic();
    let (mut joined, mut all) = (Vec::new(), Vec::new());
    let mut encoder = Encoder::default();
    for i in 0..TABLES {
        let table = table().new_tree(&mut runner).expect("a table").current();
        let any = hints().new_tree(&mut runner).expect("hints").current();
        let (text, starts) = table.text();
        let hints = if i % 2 == 0 { Hints::Right } else { any };
        let (starts, columns) = hints.of(&text, starts, table.width());
        cases.add(&stream_of(&text, &starts, columns), &text);
        encoder.compress(&text, &starts, columns, &mut joined);
        all.extend_from_slice(&text);
    }
    joined.extend_from_slice(&FINAL_BLOCK);
    cases.add(&joined, &all);
    for (text, starts) in edges() {
        cases.add(&stream_of(&text, &starts, 1), &text);
    }
    cases
}

#[test]
fn python_inflates_every_table() {
    let Some(python) = python() else { return };
    let cases = many();
    assert!(cases.text_bytes > 4 << 20, "{} bytes are too few to mean something", cases.text_bytes);
    let output = cases.inflate(&python);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), format!("{} streams, {} bytes", cases.count, cases.text_bytes));
}

#[test]
fn python_tells_what_is_wrong() {
    let Some(python) = python() else { return };
    let text = b"one,two\r\none,two\r\n".repeat(100);
    let good = stream_of(&text, &[0, 4, 9, 13], 2);
    let mut other = text.clone();
    other[1000] ^= 1;
    let cut = &good[..good.len() - FINAL_BLOCK.len()];
    let longer = [&good[..], b"x"].concat();
    for (stream, text, wrong) in [
        (&good[..], &other, "inflates to another text"),
        (cut, &text, "has no final block"),
        (&longer, &text, "goes on after its final block"),
    ] {
        let mut cases = Cases::default();
        cases.add(stream, text);
        let output = cases.inflate(&python);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(wrong), "{wrong}: {said}");
    }
}
