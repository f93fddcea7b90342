//! Bars by month, as numbers of an SVG: what its template draws without any script or style of its
//! own.
//!
//! Invariant: lengths come from exact integers; a month without rows between others is there, with
//! nothing; more than six years are shown by year.

use std::collections::BTreeMap;

use super::figures;

/// The drawing is so wide and so high, in units that are pixels at its usual size.
pub const WIDTH: i64 = 360;
/// See [`WIDTH`].
pub const HEIGHT: i64 = 150;
/// Room for the labels of the axes.
const LEFT: i64 = 48;
const TOP: i64 = 8;
const BOTTOM: i64 = 22;
/// More months than this are shown by year.
const MONTHS_MAX: usize = 72;
/// Tenths that a letter of a label takes, rather more than less.
const LETTER: i64 = 60;
/// Labels below the bars.
const LABELS_MAX: usize = 6;

/// A bar; lengths in tenths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    x: i64,
    y: i64,
    width: i64,
    height: i64,
    /// What it says.
    pub title: String,
}

/// A line across, with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    y: i64,
    /// Its number.
    pub label: String,
}

/// A label below a bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    x: i64,
    /// The month or year.
    pub label: String,
}

/// One drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// From left to right.
    pub bars: Vec<Bar>,
    /// From the least to the greatest.
    pub ticks: Vec<Tick>,
    /// From left to right.
    pub below: Vec<Below>,
}

/// Tenths as an SVG takes them.
fn px(tenths: i64) -> String {
    if tenths % 10 == 0 { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, (tenths % 10).abs()) }
}

impl Bar {
    /// Left edge.
    pub fn x(&self) -> String {
        px(self.x)
    }
    /// Upper edge.
    pub fn y(&self) -> String {
        px(self.y)
    }
    /// Width.
    pub fn width(&self) -> String {
        px(self.width)
    }
    /// Height.
    pub fn height(&self) -> String {
        px(self.height)
    }
}

impl Tick {
    /// Where it is.
    pub fn y(&self) -> String {
        px(self.y)
    }
    /// The line of its label's text.
    pub fn baseline(&self) -> String {
        px(self.y + 35)
    }
}

impl Below {
    /// Its middle.
    pub fn x(&self) -> String {
        px(self.x)
    }
}

/// A month, or a year, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span<T> {
    /// `2026-05`, or `2026`.
    pub key: String,
    /// For people.
    pub label: String,
    /// What it has.
    pub value: T,
}

/// Every month from the first to the last, or every year if those are too many.
pub fn spans<T: Clone + Default>(months: &BTreeMap<String, T>, add: impl Fn(&mut T, &T)) -> Vec<Span<T>> {
    let number = |key: &str| -> Option<i64> {
        let (year, month) = key.split_once('-')?;
        Some(year.parse::<i64>().ok()? * 12 + month.parse::<i64>().ok()? - 1)
    };
    let numbered: BTreeMap<i64, &T> = months.iter().filter_map(|(key, value)| Some((number(key)?, value))).collect();
    let (Some((&first, _)), Some((&last, _))) = (numbered.first_key_value(), numbered.last_key_value()) else {
        return Vec::new();
    };
    let by_year = last - first >= MONTHS_MAX as i64;
    let unit = if by_year { 12 } else { 1 };
    let mut spans: Vec<Span<T>> = (first.div_euclid(unit)..=last.div_euclid(unit))
        .map(|at| {
            let (year, month) = (at * unit / 12, at * unit % 12);
            let key = if by_year { format!("{year:04}") } else { format!("{year:04}-{:02}", month + 1) };
            let label = if by_year { key.clone() } else { format!("{} {year}", MONTHS[month as usize]) };
            Span { key, label, value: T::default() }
        })
        .collect();
    for (number, value) in numbered {
        let at = number.div_euclid(unit) - first.div_euclid(unit);
        add(&mut spans[at as usize].value, value);
    }
    spans
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Draws bars. `scale`: how many of the values make one of what the axis counts. `title` says a
/// bar in words.
pub fn bars<T>(
    spans: &[Span<T>],
    scale: i128,
    value: impl Fn(&T) -> i128,
    title: impl Fn(&Span<T>) -> String,
) -> Chart {
    let values: Vec<i128> = spans.iter().map(|span| value(&span.value)).collect();
    let most = nice(values.iter().copied().max().unwrap_or(0).max(0), scale);
    let least = -nice(values.iter().copied().min().unwrap_or(0).min(0).unsigned_abs().cast_signed(), scale);
    // Nothing at all still has an axis.
    let most = if most == 0 && least == 0 { scale } else { most };
    let (top, bottom) = (TOP * 10, (HEIGHT - BOTTOM) * 10);
    let place = |value: i128| {
        let from_top = (most - value) * i128::from(bottom - top) / (most - least);
        top + i64::try_from(from_top).unwrap_or(0)
    };
    let slot = (WIDTH - LEFT) * 10 / i64::try_from(spans.len().max(1)).unwrap_or(1);
    let gap = (slot / 5).min(60);
    let bar = |(at, span): (usize, &Span<T>)| {
        let (zero, end) = (place(0), place(values[at]));
        // What is there is seen, however little.
        let height = if values[at] == 0 { 0 } else { (zero - end).abs().max(10) };
        let y = if values[at] < 0 { zero } else { zero - height };
        let x = LEFT * 10 + slot * i64::try_from(at).unwrap_or(0) + gap / 2;
        Bar { x, y, width: (slot - gap).max(5), height, title: title(span) }
    };
    let mut marks = vec![least, 0, most];
    if least == 0 && (most / scale) % 2 == 0 {
        marks.push(most / 2);
    }
    marks.sort_unstable();
    marks.dedup();
    let every = spans.len().div_ceil(LABELS_MAX).max(1);
    let below = |(at, span): (usize, &Span<T>)| {
        let middle = LEFT * 10 + slot * i64::try_from(at).unwrap_or(0) + slot / 2;
        // The last one ends with the drawing.
        let rightmost = WIDTH * 10 - i64::try_from(span.label.len()).unwrap_or(0) * LETTER / 2;
        Below { x: middle.min(rightmost), label: span.label.clone() }
    };
    Chart {
        bars: spans.iter().enumerate().map(bar).collect(),
        ticks: marks.into_iter().map(|mark| Tick { y: place(mark), label: figures::short(mark / scale) }).collect(),
        below: spans.iter().enumerate().filter(|(at, _)| at % every == every / 2).map(below).collect(),
    }
}

/// The least of 1, 2 and 5 times a power of ten, in units of `scale`, that is not less than `value`.
fn nice(value: i128, scale: i128) -> i128 {
    if value == 0 {
        return 0;
    }
    let mut step = scale;
    loop {
        for factor in [1, 2, 5] {
            if step * factor >= value {
                return step * factor;
            }
        }
        step *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn months(keys: &[(&str, i128)]) -> Vec<Span<i128>> {
        let months = keys.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        spans(&months, |a, b| *a += b)
    }

    #[test]
    fn every_month_in_between_is_there() {
        let found = months(&[("2025-11", 5), ("2026-02", 7)]);
        let shown: Vec<(&str, i128)> = found.iter().map(|s| (s.label.as_str(), s.value)).collect();
        assert_eq!(shown, [("Nov 2025", 5), ("Dec 2025", 0), ("Jan 2026", 0), ("Feb 2026", 7)]);
        let years = months(&[("2015-03", 1), ("2015-12", 2), ("2026-01", 4)]);
        assert_eq!((years.len(), years[0].label.as_str(), years[0].value, years[11].value), (12, "2015", 3, 4));
        assert!(months(&[]).is_empty());
    }

    #[test]
    fn bars_stand_on_zero_and_stay_in_the_drawing() {
        let spans = months(&[("2026-01", 40_000), ("2026-02", -20_000), ("2026-03", 1), ("2026-04", 0)]);
        let chart = bars(&spans, 10_000, |v| *v, |s| s.label.clone());
        let zero = chart.bars[0].y + chart.bars[0].height;
        assert_eq!(chart.bars[1].y, zero, "a negative bar hangs from zero");
        assert_eq!((chart.bars[2].height, chart.bars[3].height), (10, 0), "a little is seen, nothing is not");
        for bar in &chart.bars {
            assert!(bar.x >= LEFT * 10 && bar.x + bar.width <= WIDTH * 10, "{bar:?}");
            assert!(bar.y >= TOP * 10 && bar.y + bar.height <= (HEIGHT - BOTTOM) * 10, "{bar:?}");
        }
        let labels: Vec<&str> = chart.ticks.iter().map(|t| t.label.as_str()).collect();
        assert_eq!(labels, ["-2", "0", "5"]);
        let of = |bar: &Bar| i128::from(bar.height);
        assert!((of(&chart.bars[0]) - 2 * of(&chart.bars[1])).abs() <= 2, "lengths are in proportion");
    }

    #[test]
    fn labels_below_are_few() {
        let keys: Vec<(String, i128)> = (0..36).map(|n| (format!("{}-{:02}", 2024 + n / 12, n % 12 + 1), 1)).collect();
        let keys: Vec<(&str, i128)> = keys.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let chart = bars(&months(&keys), 1, |v| *v, |s| s.label.clone());
        assert_eq!((chart.bars.len(), chart.below.len()), (36, 6));
        assert_eq!(bars(&months(&[]), 1, |v: &i128| *v, |s| s.label.clone()).bars, []);
    }
}
