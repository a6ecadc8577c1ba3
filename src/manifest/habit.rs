//! How the author indents, seen from what stands nearest.

use super::line;
use super::tree::{Document, Node, Shape};
use super::write::Habit;

/// The habit in force at this place: that of the last example before it, or of the first one behind.
pub(super) fn near(document: &Document, at: usize) -> Habit {
    let mut seen = Seen { text: &document.text, at, width: None, dashes: None };
    seen.walk(&document.root);
    Habit {
        width: seen.width.unwrap_or(2),
        // As `kubectl` writes.
        dashes: seen.dashes.unwrap_or(0),
        newline: line::newline(&document.text),
    }
}

struct Seen<'d> {
    text: &'d str,
    at: usize,
    width: Option<usize>,
    dashes: Option<usize>,
}

impl Seen<'_> {
    fn walk(&mut self, node: &Node) {
        match &node.shape {
            Shape::List { items, .. } => items.iter().for_each(|item| self.walk(&item.node)),
            Shape::Map { flow, members } => {
                for member in members {
                    if !flow {
                        self.below(member.start, &member.node);
                    }
                    self.walk(&member.node);
                }
            }
            _ => {}
        }
    }

    fn below(&mut self, key: usize, node: &Node) {
        let (Shape::List { flow: false, .. } | Shape::Map { flow: false, .. }) = node.shape else { return };
        let Some(width) = line::column(self.text, node.body).checked_sub(line::column(self.text, key)) else { return };
        let before = node.body < self.at;
        let seen = if matches!(node.shape, Shape::List { .. }) { &mut self.dashes } else { &mut self.width };
        if seen.is_none() || before {
            *seen = Some(width);
        }
    }
}
