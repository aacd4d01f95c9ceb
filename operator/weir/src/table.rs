//! Columns of text.

/// Between two columns.
const GAP: &str = "  ";

/// Rows under a head, each column as wide as its widest text.
pub fn table<const N: usize>(indent: &str, head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|text| text.chars().count());
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let line = |texts: &[String; N]| {
        let cells = texts.iter().zip(widths);
        let cells = cells.map(|(text, width)| format!("{text:<width$}"));
        let cells: Vec<String> = cells.collect();
        format!("{indent}{}", cells.join(GAP)).trim_end().to_owned() + "\n"
    };
    let head = line(&head.map(str::to_owned));
    rows.iter().map(line).fold(head, |all, row| all + &row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed() {
        let rows = [
            ["a".to_owned(), "long text".to_owned()],
            ["bcd".to_owned(), String::new()],
        ];
        let text = table(" ", ["X", "Y"], &rows);
        assert_eq!(text, " X    Y\n a    long text\n bcd\n");
    }
}
