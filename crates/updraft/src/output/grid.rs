//! A table with a frame around every cell, as Airflow's backfill preview has it.

/// The lines of a table: a frame, the heads, and the rows; an empty line when there are none.
pub(crate) fn grid<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return "\n".to_owned();
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        // The heads have two blanks more, as there.
        let head = heads[column].chars().count() + 2;
        cells.chain([head]).max().unwrap_or(head)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let rule = |dash: &str| {
        let cells = widths.map(|width| dash.repeat(width + 2));
        format!("+{}+\n", cells.join("+"))
    };
    let line = |cells: &[String; N]| {
        let mut cells = cells.iter().zip(widths);
        let padded = std::array::from_fn::<String, N, _>(|_| {
            cells
                .next()
                .map_or_else(String::new, |(cell, width)| format!(" {cell:<width$} "))
        });
        format!("|{}|\n", padded.join("|"))
    };
    let mut text = rule("-") + &line(&heads.map(str::to_owned)) + &rule("=");
    for row in rows {
        text += &line(row);
        text += &rule("-");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grid;

    #[test]
    fn the_frame_is_that_of_airflow() {
        let rows = [
            ["2026-01-07 00:00:00+00:00".to_owned(), String::new()],
            ["2026-01-06 00:00:00+00:00".to_owned(), "k".to_owned()],
        ];
        assert_eq!(
            grid(["logical_date", "partition_key"], &rows),
            "+---------------------------+-----------------+\n\
             | logical_date              | partition_key   |\n\
             +===========================+=================+\n\
             | 2026-01-07 00:00:00+00:00 |                 |\n\
             +---------------------------+-----------------+\n\
             | 2026-01-06 00:00:00+00:00 | k               |\n\
             +---------------------------+-----------------+\n"
        );
    }
}
