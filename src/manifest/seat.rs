//! Where a value stands, and how it is written anew there.

use std::ops::Range;

use serde_json::Value;

use super::line;
use super::tree::{Document, Node, Shape};
use super::write::{self, Habit};

/// A node, and what it stands behind.
pub(super) struct Seat<'d> {
    pub(super) node: &'d Node,
    /// Behind its colon, its dash or `---`.
    pub(super) after: usize,
    /// Whether that indicator is there: `{key}` has none.
    pub(super) colon: bool,
    pub(super) stand: Stand,
}

/// What it is the value of. Columns: of the key or dash.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stand {
    Root,
    Member {
        column: usize,
    },
    Element {
        column: usize,
    },
    /// Of whatever, in brackets or braces.
    Flow,
}

impl<'d> Seat<'d> {
    pub(super) fn root(document: &'d Document) -> Self {
        Self { node: &document.root, after: document.after, colon: true, stand: Stand::Root }
    }

    /// What to put where, so that it says `new`.
    pub(super) fn rewritten(&self, text: &str, new: &Value, habit: Habit, json: bool) -> (Range<usize>, String) {
        let written = match self.stand {
            Stand::Flow => Some(write::flow(new, json)),
            _ => write::inline(new),
        };
        match written {
            Some(written) => self.inline(text, written),
            None => self.block(text, new, habit),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self.node.shape, Shape::Empty)
    }

    fn is_block(&self) -> bool {
        matches!(self.node.shape, Shape::List { flow: false, .. } | Shape::Map { flow: false, .. })
    }

    /// Whether it begins on the line of its indicator.
    fn is_beside(&self, text: &str) -> bool {
        !text[self.after..self.node.start].contains('\n')
    }

    fn inline(&self, text: &str, written: String) -> (Range<usize>, String) {
        if self.is_empty() {
            let colon = if self.colon { "" } else { ":" };
            return (self.after..self.after, format!("{colon} {written}"));
        }
        if self.is_block() && !self.is_beside(text) && !matches!(self.stand, Stand::Root) {
            return (self.after..self.node.end, format!(" {written}"));
        }
        (self.node.start..self.node.end, written)
    }

    fn block(&self, text: &str, new: &Value, habit: Habit) -> (Range<usize>, String) {
        let from = line::start(text, self.node.start);
        match self.stand {
            Stand::Member { column } if self.is_empty() || self.is_beside(text) => {
                // A comment behind the key stays there.
                let end = line::end(text, self.node.end);
                let comment = &text[self.node.end..end];
                (self.after..end, format!("{}{}", comment.trim_end(), write::below(new, column, habit)))
            }
            Stand::Member { column } => {
                let below = write::below(new, column, habit);
                (from..self.node.end, below.trim_start_matches(['\r', '\n']).to_owned())
            }
            Stand::Element { column } => {
                (self.after..self.node.end, format!(" {}", write::block(new, column + 2, habit)))
            }
            _ if self.is_empty() => {
                let end = line::end(text, self.after);
                let newline = if end == 0 { "" } else { habit.newline };
                (end..end, format!("{newline}{}", write::block(new, 0, habit)))
            }
            _ if self.is_beside(text) && self.after > 0 && !line::is_first(text, self.node.start) => {
                (self.after..self.node.end, format!("{}{}", habit.newline, write::block(new, 0, habit)))
            }
            _ => (self.node.start..self.node.end, write::block(new, 0, habit)),
        }
    }
}
