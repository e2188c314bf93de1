//! Aligned columns. Widths are comfy-table's work: it knows that a Chinese character takes two.

use comfy_table::{Cell as RawCell, ContentArrangement, Row, Table as RawTable, presets};

use crate::output::Role;

/// A table with a line of column names, which are never translated.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    role: Option<Role>,
}

impl Cell {
    /// A cell in the colour of what it stands for.
    pub(crate) fn marked(text: impl Into<String>, role: Role) -> Self {
        Self { text: text.into(), role: Some(role) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), role: None }
    }
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = &'static str>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row; cells are `"text".into()` or [`Cell::marked`].
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines of the table. With a `width`, rows are cut to one line each.
    pub(crate) fn render(&self, width: Option<u16>) -> String {
        self.layout(width, width.map(|_| 1))
    }

    /// The same, but what is too long goes on in the next line.
    pub(crate) fn render_wrapped(&self, width: Option<u16>) -> String {
        self.layout(width, None)
    }

    fn layout(&self, width: Option<u16>, height: Option<usize>) -> String {
        let mut table = RawTable::new();
        table.load_style(presets::NOTHING).enforce_styling();
        match width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width)
            }
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(self.columns.iter().copied());
        for cells in &self.rows {
            let mut row = Row::from(cells.iter().map(raw_cell));
            if let Some(height) = height {
                row.max_height(height);
            }
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        // Styled padding could not be trimmed.
        table.style_text_only();
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }
}

/// A number of bytes, in the unit in which it is short.
pub(crate) fn bytes(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn raw_cell(cell: &Cell) -> RawCell {
    let raw = RawCell::new(&cell.text);
    match cell.role {
        Some(Role::Error) => raw.fg(comfy_table::Color::Red),
        Some(Role::Warning) => raw.fg(comfy_table::Color::Yellow),
        Some(Role::Good) => raw.fg(comfy_table::Color::Green),
        Some(Role::Notice) => raw.fg(comfy_table::Color::Blue),
        None => raw,
    }
}
