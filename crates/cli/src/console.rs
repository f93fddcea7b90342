//! What people see: progress on stderr where that is a terminal, tables, counts in words.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::{Context, Failure};

/// Whether stderr is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Writes data to stdout.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to stdout")
}

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Rows.
    Rows,
    /// Bytes.
    Bytes,
}

/// A progress bar on stderr; drawn only where that is a terminal.
pub fn progress(label: &str, total: Option<u64>, unit: Unit) -> ProgressBar {
    let target = if stderr_is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(total, target);
    set_style(&bar, total.is_some(), unit);
    bar.set_message(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Switches a bar between "so many" and "so many of so many".
pub fn set_style(bar: &ProgressBar, known: bool, unit: Unit) {
    let template = match (known, unit) {
        (true, Unit::Rows) => "{msg:22} {wide_bar} {human_pos}/{human_len} rows, {eta} left",
        (true, Unit::Bytes) => "{msg:22} {wide_bar} {bytes}/{total_bytes}, {eta} left",
        (false, Unit::Rows) => "{msg:22} {spinner} {human_pos} rows, {elapsed}",
        (false, Unit::Bytes) => "{msg:22} {spinner} {bytes}, {elapsed}",
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the templates are valid"));
}

/// A table as wide as the terminal allows; columns listed in `right` are aligned to the right.
pub fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(120);
    }
    table.set_header(header.iter().map(|h| Cell::new(h).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row);
    }
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    grouped_text(&number.to_string())
}

/// Groups the whole part of plain decimal text: `-1234567.50` as `-1,234,567.50`.
pub fn grouped_text(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |d| ("-", d));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// `1 row`, `2 rows`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Bytes with a unit that fits.
pub fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        for (text, shown) in
            [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-1234567.50", "-1,234,567.50"), ("-12.3", "-12.3")]
        {
            assert_eq!(grouped_text(text), shown);
        }
        assert_eq!(count(1, "row", "rows"), "1 row");
    }
}
