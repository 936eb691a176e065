//! What commands print for people: lines with columns below each other, numbers with their nouns, who did what.

use std::io::{self, Write};

use crate::act::Act;

/// Prints each row as a line; a column is as wide as the widest of its cells that another follows. Nothing follows the last cell that says something.
pub(super) fn print(rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        // What follows no other cell may be as long as it likes.
        let followed = rows.iter().filter(|row| column + 1 < row.len());
        let cells = followed.filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// Prints `value` as JSON for people and programs.
pub(super) fn print_json(value: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)
}

/// A number with its noun.
pub(super) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Who did something, when and why.
pub(super) fn act(act: &Act) -> String {
    let Act { by, why, at } = act;
    match why.is_empty() {
        true => format!("by {by}, {at}"),
        false => format!("by {by}, {at}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a", "längst", "x"], vec!["bbb", ""], vec![]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect());
        let mut out = Vec::new();
        print(&rows, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a    längst  x\nbbb\n\n");
    }
}
