//! Columns separated by spaces and nothing else, for `awk` and `cut`.

use serde_json::Value;

use super::Row;
use super::cell::{shown, width};

/// A heading is this much wider than its text at least.
const HEADING_PADDING: usize = 2;

const GAP: &str = "  ";

/// How a column is lined up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alignment {
    Left,
    /// Whole numbers.
    Right,
    /// Numbers with a point, which stand below each other.
    Point,
}

struct Column {
    alignment: Alignment,
    heading: String,
    cells: Vec<String>,
    width: usize,
}

/// The rows below their headings; needs at least one row.
pub(super) fn plain(rows: &[Row]) -> String {
    let columns: Vec<Column> = rows[0].keys().map(|name| column(name, rows)).collect();
    let mut lines = Vec::new();
    push_row(&mut lines, &columns, |column| &column.heading);
    for index in 0..rows.len() {
        push_row(&mut lines, &columns, |column| &column.cells[index]);
    }
    lines.join("\n") + "\n"
}

fn column(name: &str, rows: &[Row]) -> Column {
    let texts: Vec<Option<String>> = rows.iter().map(|row| text_of(row.get(name))).collect();
    let alignment = alignment_of(&texts);
    let mut cells: Vec<String> = texts.into_iter().map(Option::unwrap_or_default).collect();
    if alignment == Alignment::Point {
        line_up_points(&mut cells);
    }
    let is_multiline = cells.iter().any(|cell| cell.contains('\n'));
    if alignment == Alignment::Left && !is_multiline {
        for cell in &mut cells {
            *cell = cell.trim().to_owned();
        }
    }
    let heading = name.to_owned();
    let widest = cells.iter().flat_map(|cell| cell.lines()).map(width).max();
    let width = widest.unwrap_or(0).max(width(&heading) + HEADING_PADDING);
    Column {
        alignment,
        heading,
        cells,
        width,
    }
}

fn text_of(value: Option<&Value>) -> Option<String> {
    match value {
        None | Some(Value::Null) => None,
        Some(value) => Some(shown(value)),
    }
}

/// A column of numbers, missing ones aside, is a column of numbers even when they are texts.
fn alignment_of(texts: &[Option<String>]) -> Alignment {
    let given: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
    let is_count = |text: &str| text.parse::<i128>().is_ok();
    let is_number =
        |text: &str| text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<f64>().is_ok();
    if given.is_empty() || !given.iter().all(|text| is_number(text)) {
        Alignment::Left
    } else if given.iter().all(|text| is_count(text)) {
        Alignment::Right
    } else {
        Alignment::Point
    }
}

/// Fills the right side until every point is as far from it as the farthest.
fn line_up_points(cells: &mut [String]) {
    let behind = |cell: &str| cell.find('.').map_or(0, |point| cell.len() - point);
    let farthest = cells.iter().map(|cell| behind(cell)).max().unwrap_or(0);
    for cell in cells.iter_mut().filter(|cell| !cell.is_empty()) {
        let missing = farthest - behind(cell);
        cell.push_str(&" ".repeat(missing));
    }
}

fn push_row<'c>(
    lines: &mut Vec<String>,
    columns: &'c [Column],
    cell_of: impl Fn(&'c Column) -> &'c str,
) {
    let cells: Vec<Vec<&str>> = columns
        .iter()
        .map(|column| cell_of(column).split('\n').collect())
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(1);
    for line in 0..height {
        let parts: Vec<String> = columns
            .iter()
            .zip(&cells)
            .map(|(column, cell)| aligned(column, cell.get(line).copied().unwrap_or_default()))
            .collect();
        lines.push(parts.join(GAP).trim_end().to_owned());
    }
}

fn aligned(column: &Column, text: &str) -> String {
    let fill = " ".repeat(column.width.saturating_sub(width(text)));
    match column.alignment {
        Alignment::Left => format!("{text}{fill}"),
        Alignment::Right | Alignment::Point => format!("{fill}{text}"),
    }
}
