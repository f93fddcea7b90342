//! The house rules that a machine can check.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// Every file below `dir` with one of the endings, without what is hidden or built.
fn files(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of the workspace").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|e| name.ends_with(e)) {
            found.push(path);
        }
    }
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root().join("crates"), &[".rs"], &mut found);
    found.sort();
    assert!(found.len() > 50, "the walk found only {} files", found.len());
    found.into_iter().map(|p| (p.clone(), std::fs::read_to_string(&p).expect("source is UTF-8"))).collect()
}

fn tests_only(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("/tests/") || text.ends_with("tests.rs") || text.contains("/cases/") || text.contains("/testkit/")
}

fn assert_none(problems: &[String], rule: &str) {
    assert!(problems.is_empty(), "{rule}:\n  {}", problems.join("\n  "));
}

#[test]
fn every_file_says_what_it_owns() {
    let problems: Vec<String> = rust_files()
        .iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none(&problems, "files that do not open with a //! line");
}

#[test]
fn no_file_is_too_full() {
    let problems: Vec<String> = rust_files()
        .iter()
        .filter(|(path, text)| !tests_only(path) && text.lines().count() > 500)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert_none(&problems, "files over 500 lines, tests apart");
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    // Put together here, so that this file does not find itself.
    let marks = ["todo", "unimplemented"].map(|m| format!("{m}!("));
    let words = ["FIX", "TO"].map(|w| format!("{w}{}", if w == "FIX" { "ME" } else { "DO" }));
    let attributes = ["allow(", "ignore"].map(|a| format!("#[{a}"));
    let mut problems = Vec::new();
    for (path, text) in rust_files() {
        for (number, line) in text.lines().enumerate() {
            let found = |list: &[String]| list.iter().any(|m| line.contains(m.as_str()));
            if found(&marks) || found(&words) || found(&attributes) {
                problems.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none(&problems, "unfinished, ignored, or a lint switched off without a reason");
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut all = Vec::new();
    files(&root(), &[".rs", ".md", ".toml", ".py", ".sql", ".html", ".csv", ".txt"], &mut all);
    let forbidden = [format!("/{}/", "root"), format!("/{}/main", "work"), format!("..{}", "/shared/")];
    let mut problems = Vec::new();
    for path in all {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if forbidden.iter().any(|f| line.contains(f.as_str())) {
                problems.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none(&problems, "paths of one machine");
}
