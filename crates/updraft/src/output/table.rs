//! A table for people, which fits the terminal by wrapping words.

use super::Row;
use super::cell::{character_width, shown, width};

/// The space and the bar between two columns belong to the left one: three less the space that the
/// right one begins with.
const BAR: usize = 3;

/// A tab reaches to the next multiple of this.
const TAB: usize = 8;

/// The rows below their headings; needs at least one row.
pub(super) fn table(rows: &[Row], width_max: usize) -> String {
    let names: Vec<&String> = rows[0].keys().collect();
    let mut lines: Vec<Vec<String>> = vec![names.iter().map(|name| (*name).clone()).collect()];
    lines.extend(rows.iter().map(|row| {
        row.values()
            .map(|value| expand_tabs(&shown(value)))
            .collect()
    }));
    let widths = column_widths(&lines, width_max);
    let total: usize = widths.iter().sum::<usize>() + BAR * (widths.len() - 1);
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        push_line(&mut text, line, &widths, index == 0);
        if index == 0 {
            let bars: Vec<String> = widths.iter().map(|width| "=".repeat(*width)).collect();
            text.push_str(&bars.join("=+="));
            text.push('\n');
        }
    }
    // Airflow's tables end with an empty caption.
    text.push_str(&" ".repeat(total));
    text.push('\n');
    text
}

fn expand_tabs(text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for character in text.chars() {
        match character {
            '\t' => {
                let next = (column / TAB + 1) * TAB;
                expanded.push_str(&" ".repeat(next - column));
                column = next;
            }
            '\n' => {
                expanded.push('\n');
                column = 0;
            }
            // The terminal would act on these.
            _ if character.is_control() => {}
            _ => {
                expanded.push(character);
                column += character_width(character);
            }
        }
    }
    expanded
}

/// The width of each column without what separates them: that of the longest line, less what the
/// table is too wide, taken from the widest columns first.
fn column_widths(lines: &[Vec<String>], width_max: usize) -> Vec<usize> {
    let columns = lines[0].len();
    // Each column counts with its part of the separators, as the terminal shows it.
    let separators = |index: usize| match (index == 0, index + 1 == columns) {
        (true, true) => 0,
        (true, false) | (false, true) => 1,
        (false, false) => 2,
    };
    let mut widths: Vec<usize> = (0..columns)
        .map(|index| {
            let cells = lines.iter().filter_map(|line| line.get(index));
            let longest = cells.flat_map(|cell| cell.split('\n')).map(width).max();
            longest.unwrap_or(0) + separators(index)
        })
        .collect();
    let room = width_max.saturating_sub(columns - 1);
    collapse(&mut widths, room);
    let excess = widths.iter().sum::<usize>().saturating_sub(room);
    if excess > 0 {
        let limits = widths.clone();
        let all = vec![true; columns];
        reduce(&mut widths, excess, &all, &limits);
    }
    (0..columns)
        .map(|index| {
            let inner = widths[index].saturating_sub(separators(index)).max(1);
            // Wrapped at words, a column may need less than it was given.
            let cells = lines.iter().filter_map(|line| line.get(index));
            let used = cells.flat_map(|cell| wrapped(cell, inner));
            used.map(|line| width(&line))
                .max()
                .unwrap_or(0)
                .max(inner.min(longest_cell(lines, index)))
        })
        .collect()
}

fn longest_cell(lines: &[Vec<String>], index: usize) -> usize {
    let cells = lines.iter().filter_map(|line| line.get(index));
    cells
        .flat_map(|cell| cell.split('\n'))
        .map(width)
        .max()
        .unwrap_or(0)
}

/// Brings the widest columns down to the next widest, again and again, until the table fits.
fn collapse(widths: &mut [usize], room: usize) {
    loop {
        let excess = widths.iter().sum::<usize>().saturating_sub(room);
        let widest = widths.iter().copied().max().unwrap_or(0);
        let second = widths
            .iter()
            .copied()
            .filter(|width| *width != widest)
            .max();
        let difference = widest - second.unwrap_or(0);
        if excess == 0 || difference == 0 {
            return;
        }
        let chosen: Vec<bool> = widths.iter().map(|width| *width == widest).collect();
        let limits = vec![excess.min(difference); widths.len()];
        reduce(widths, excess, &chosen, &limits);
    }
}

/// Takes `total` from the chosen columns in equal parts, from none more than its limit.
fn reduce(widths: &mut [usize], total: usize, chosen: &[bool], limits: &[usize]) {
    let mut parts = chosen
        .iter()
        .zip(limits)
        .filter(|(chosen, limit)| **chosen && **limit > 0)
        .count();
    let mut remaining = total;
    for (index, width) in widths.iter_mut().enumerate() {
        if chosen[index] && limits[index] > 0 && parts > 0 {
            let share = limits[index].min(rounded_half_to_even(remaining, parts));
            *width = width.saturating_sub(share);
            remaining -= share.min(remaining);
            parts -= 1;
        }
    }
}

fn rounded_half_to_even(total: usize, parts: usize) -> usize {
    let (whole, rest) = (total / parts, total % parts);
    match (rest * 2).cmp(&parts) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole % 2,
    }
}

fn push_line(text: &mut String, cells: &[String], widths: &[usize], is_heading: bool) {
    let mut columns: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| wrapped(cell, *width))
        .collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(1);
    for column in &mut columns {
        let missing = height - column.len();
        // Headings stand on the ground, cells hang from the ceiling.
        let at = if is_heading { 0 } else { column.len() };
        column.splice(at..at, std::iter::repeat_n(String::new(), missing));
    }
    for line in 0..height {
        let parts: Vec<String> = columns
            .iter()
            .zip(widths)
            .map(|(column, column_width)| {
                let part = &column[line];
                let fill = column_width.saturating_sub(width(part));
                format!("{part}{}", " ".repeat(fill))
            })
            .collect();
        text.push_str(&parts.join(" | "));
        text.push('\n');
    }
}

/// The lines of a cell, none longer than `room`. A word that is too long is cut.
fn wrapped(cell: &str, room: usize) -> Vec<String> {
    let cell = cell.strip_suffix('\n').unwrap_or(cell);
    cell.split('\n')
        .flat_map(|line| wrapped_line(line, room))
        .collect()
}

fn wrapped_line(line: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words(line) {
        let length = width(word.trim_end());
        let current = lines.last_mut().expect("there is always a line");
        if length <= room.saturating_sub(used) {
            current.push_str(word);
            used += width(word);
        } else if length > room {
            let mut pieces = cut(word, room).into_iter();
            if current.is_empty() {
                current.push_str(&pieces.next().unwrap_or_default());
            }
            lines.extend(pieces);
            used = lines.last().map_or(0, |line| width(line));
        } else {
            lines.push(word.to_owned());
            used = width(word);
        }
    }
    // A line that was wrapped ends with its last word.
    lines.iter().map(|line| fitted(line, room)).collect()
}

/// The text without the spaces at its end that do not fit.
fn fitted(line: &str, room: usize) -> String {
    let mut fitted = line.to_owned();
    while width(&fitted) > room && fitted.ends_with(' ') {
        fitted.pop();
    }
    fitted
}

/// The words with the spaces behind them; the first also with the spaces before it.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut seen_word = false;
    let mut in_space = false;
    for (index, character) in line.char_indices() {
        if character.is_whitespace() {
            in_space = true;
        } else {
            if in_space && seen_word {
                words.push(&line[start..index]);
                start = index;
            }
            (in_space, seen_word) = (false, true);
        }
    }
    if start < line.len() {
        words.push(&line[start..]);
    }
    words
}

fn cut(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for character in word.chars() {
        let wide = character_width(character);
        if used + wide > room && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        pieces
            .last_mut()
            .expect("there is always a piece")
            .push(character);
        used += wide;
    }
    pieces
}
