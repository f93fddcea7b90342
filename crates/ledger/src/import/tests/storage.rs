//! Files, spilling, cleaning up, and the way back from an export.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::table::{CommitNote, WriterOptions};

#[test]
fn files_without_changes_keep_their_names() {
    let place = payments();
    // Four files of a hundred participants each, made big enough not to take in newcomers.
    let table = place.ledger.table(ReportName::Payments).unwrap();
    let rows: Vec<Row> = (1000..1400).map(|i| row(&i.to_string(), "1", "5", T1)).collect();
    place.import(&rows);
    let shape = Shape::new(&place.report).unwrap();
    let mut table_files = place.ledger.table(ReportName::Payments).unwrap();
    let mut adds = Vec::new();
    for batch in Batches::open(&table_files.files()[0], &shape.schema).unwrap() {
        let batch = batch.unwrap();
        let mut writer = table.writer(WriterOptions { rows_per_file: 100, ..WriterOptions::unique() }).unwrap();
        writer.write(&batch).unwrap();
        adds.extend(writer.finish().unwrap());
    }
    table_files
        .commit(table_files.files(), &adds, &CommitNote { operation: "OPTIMIZE".into(), properties: vec![], now: NOW })
        .unwrap();
    table_files = place.ledger.table(ReportName::Payments).unwrap();
    let before = place.file_names();
    assert_eq!((before.len(), table_files.files().len()), (4, 4));

    // Names rows of the second and third file, changes only the third.
    let outcome = place.import(&[row("1150", "1", "5", T1), row("1250", "1", "6", T2)]);
    assert_eq!(counts(&outcome), (0, 1, 1, 0, 0));
    let after = place.file_names();
    assert_eq!((&after[..2], &after[3..]), (&before[..2], &before[3..]));
    assert_ne!(after[2], before[2]);

    // A participant between two files goes to the small one in front of it.
    place.import(&[row("10995", "1", "6", T2)]);
    let last = place.file_names();
    assert_eq!((last.len(), &last[1..]), (4, &after[1..]));
    let rows = place.brief();
    assert_eq!(rows.len(), 401);
    let mut sorted = rows.clone();
    sorted.sort();
    assert_eq!(rows, sorted);
}

#[test]
fn a_tiny_budget_gives_the_same_ledger() {
    let rows: Vec<Row> = (0..3000u32)
        .map(|i| row(&(i * 7919 % 500).to_string(), if i % 3 == 0 { "" } else { "9" }, &format!("{}", i % 50), T1))
        .map(|mut r| {
            if !r.payment.is_empty() {
                r.payment = format!("{}", r.total.len() * 100 + r.total.parse::<usize>().unwrap());
            }
            r
        })
        .collect();
    let usual = payments();
    usual.import(&rows);
    let mut tiny = payments();
    tiny.limits = Limits { memory_bytes: 20_000, chunk_bytes: 2048, waiting_rows: 3, ..Limits::default() };
    tiny.import(&rows);
    assert_eq!(tiny.export(), usual.export());
    // Again, with sets that are decided late.
    let changed: Vec<Row> =
        rows.iter().map(|r| Row { total: format!("{}1", r.total), time: T2.into(), ..r.clone() }).collect();
    let outcomes = (usual.import(&changed), tiny.import(&changed));
    assert_eq!(outcomes.0, outcomes.1);
    assert_eq!(tiny.export(), usual.export());
    assert!(!tiny.root().parent().unwrap().join(".payments.import").exists());
}

#[test]
fn an_export_imported_is_the_same_ledger() {
    let first = payments();
    let mut rows: Vec<Row> = (0..200u32)
        .map(|i| {
            row(
                &format!("{:04}", i % 17),
                &if i % 4 == 0 { String::new() } else { format!("{i:012}") },
                &format!("{}", i % 5),
                T1,
            )
        })
        .collect();
    rows[3].time = "2024-01-01T00:00:00.000001Z".into();
    first.import(&rows);
    let text = first.export();
    let second = payments();
    second.import_text(&text).unwrap();
    assert_eq!(second.export(), text);
    // Shuffled, in two files.
    let mut lines: Vec<&str> = text.lines().skip(1).collect();
    lines.reverse();
    lines.rotate_left(31);
    let third = payments();
    let halves: Vec<PathBuf> = lines
        .chunks(90)
        .enumerate()
        .map(|(i, l)| third.write(&format!("{i}.csv"), format!("{HEADER}\n{}", l.join("\n"))))
        .collect();
    third.run(&third.options(&halves)).unwrap();
    assert_eq!(third.export(), text);
}

#[test]
fn a_sample_survives_export_and_import() {
    let folder = TempDir::new().unwrap();
    let until = chrono::NaiveDate::from_ymd_opt(2026, 6, 30).unwrap();
    let options = crate::sample::Options { rows: 5000, earnings: 700, participants: None, seed: 3, until };
    crate::sample::make(folder.path(), &Catalog::builtin(), &options, &|_, _| {}).unwrap();
    for report in ReportName::ALL {
        let sampled = Place { ledger: Ledger::new(folder.path(), Catalog::builtin(), Sources::new()), ..place(report) };
        let text = sampled.export();
        let copy = place(report);
        copy.import_text(&text).unwrap();
        assert!(copy.export() == text, "{report}: another ledger");
        assert_eq!(sampled.import_text(&text).unwrap().version, None, "{report}");
    }
}

#[test]
fn the_same_input_gives_the_same_file_bytes() {
    let rows: Vec<Row> = (0..500u32).map(|i| row(&(i % 40).to_string(), &i.to_string(), "5", T1)).collect();
    let bytes =
        |place: &Place| std::fs::read(&place.ledger.table(ReportName::Payments).unwrap().files()[0].path).unwrap();
    let (a, mut b) = (payments(), payments());
    b.limits.chunk_bytes = 3000;
    a.import(&rows);
    b.import(&rows);
    assert_eq!(bytes(&a), bytes(&b));
}

#[test]
fn what_a_killed_import_left_is_deleted() {
    let place = payments();
    place.import(&[row("1", "1", "5", T1)]);
    let root = place.root();
    let scratch = root.parent().unwrap().join(".payments.import");
    std::fs::create_dir(&scratch).unwrap();
    let kept = place.file_names()[0].clone();
    let committed = kept.trim_start_matches("part-").rsplit_once('-').unwrap().0.to_owned();
    std::fs::write(scratch.join("prefixes"), format!("abandoned0\n{committed}\n")).unwrap();
    std::fs::write(scratch.join("run-00001"), "x").unwrap();
    std::fs::write(root.join("part-abandoned0-00000.parquet"), "x").unwrap();
    place.import(&[row("2", "1", "5", T1)]);
    assert!(!root.join("part-abandoned0-00000.parquet").exists());
    assert!(root.join(&kept).exists(), "a file that a version names stays");
    assert!(!scratch.exists());
}

#[test]
fn a_failing_import_leaves_nothing() {
    let place = payments();
    place.import(&[row("1", "1", "5", T1)]);
    let names = names_in(&place.root());
    // Fails in the merge, after rows were already written.
    let mut rows: Vec<Row> = (2..20_000).map(|i| row(&i.to_string(), "1", "5", T1)).collect();
    rows.push(row("9999", "1", "6", T1));
    assert!(message(place.import_text(&csv(&rows))).contains("same key and status time"));
    assert_eq!(names_in(&place.root()), names);
    assert_eq!(place.brief(), ["1 1 5.00"]);
}

#[test]
fn imports_wait_for_each_other() {
    let place = payments();
    let files: Vec<PathBuf> =
        (0..4).map(|i| place.write(&format!("{i}.csv"), csv(&[row(&i.to_string(), "1", "5", T1)]))).collect();
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| place.run(&place.options(std::slice::from_ref(file))).unwrap());
        }
    });
    assert_eq!(place.brief().len(), 4);
}

#[test]
fn progress_goes_up_to_the_end() {
    let mut place = payments();
    place.limits.chunk_bytes = 4096;
    let rows: Vec<Row> = (0..1000).map(|i| row(&i.to_string(), "1", "5", T1)).collect();
    let path = place.write("in.csv", csv(&rows));
    let (last, calls) = (AtomicU64::new(0), AtomicU64::new(0));
    let size = std::fs::metadata(&path).unwrap().len();
    run_within(&place.ledger, &place.report, &place.options(&[path]), &place.limits, &|done, all| {
        assert!(done <= all && all == size && last.fetch_max(done, Ordering::Relaxed) <= done);
        calls.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(last.into_inner(), size);
    assert!(calls.into_inner() > 10);
}

#[test]
fn ranges_give_the_same_bytes_and_tell_what_is_wrong_in_order() {
    let mut rows: Vec<Row> = (0..4000u32).map(|i| row(&(i * 7919 % 97).to_string(), &i.to_string(), "5", T1)).collect();
    // Every third is there a second time with another total.
    rows.extend((0..4000u32).step_by(3).map(|i| row(&(i * 7919 % 97).to_string(), &i.to_string(), "6", T1)));
    let outcome = |memory_bytes: usize, chunk_bytes: usize, range_rows: u64| {
        let mut place = payments();
        place.limits = Limits { memory_bytes, chunk_bytes, range_rows, ..Limits::default() };
        let path = place.write("in.csv", csv(&rows));
        let options = Options { rejects: Some(place.path("rejects.csv")), ..place.options(&[path]) };
        let outcome = place.run(&options).unwrap();
        assert_eq!(counts(&outcome), (2666, 0, 0, 0, 2668));
        let table = place.ledger.table(ReportName::Payments).unwrap();
        let files: Vec<Vec<u8>> = table.files().iter().map(|f| std::fs::read(&f.path).unwrap()).collect();
        // The line of the other row depends on nothing; the file's own place does.
        let rejects = std::fs::read_to_string(place.path("rejects.csv")).unwrap();
        (files, rejects.replace(&place.path("").display().to_string(), ""), place.export())
    };
    let whole = outcome(64 << 20, 1 << 20, u64::MAX / 4);
    let cut = outcome(64 << 20, 1 << 20, 400);
    assert_eq!((whole.0.len(), cut.0.len()), (1, 14));
    assert!(whole.1 == cut.1 && whole.2 == cut.2, "other rows or rejects");
    assert!(outcome(30_000, 3000, 400) == cut, "other bytes after spilling");
    // Without a place for rejects the first one in ledger order is the error.
    let errors = [u64::MAX / 4, 100].map(|range_rows| {
        let mut place = payments();
        place.limits = Limits { range_rows, ..Limits::default() };
        let text = message(place.import_text(&csv(&rows)));
        assert_eq!(place.file_names(), [""; 0]);
        text.rsplit_once("in.csv, line").unwrap().1.to_owned()
    });
    assert_eq!(errors[0], errors[1]);
}
