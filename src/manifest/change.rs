//! The text of a document, changed until it says something else, and nothing more.
//!
//! Old and new values are compared along the tree; each difference becomes a splice of the text. Easy to get wrong: splices
//! must not overlap, so that what is inserted stands behind something that stays; and comments stay where they are, above
//! what they stood above.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::patch::Pointer;

use super::meant::same;
use super::seat::{Seat, Stand};
use super::tree::{Document, Item, Member, Node, Shape};
use super::write::{self, Habit};
use super::{ManifestError, line, pairs};

/// The text that says `new`.
pub(super) fn text(document: &Document, new: &Value) -> Result<String, ManifestError> {
    let json = serde_json::from_str::<serde::de::IgnoredAny>(&document.text).is_ok();
    let mut change = Change { document, json, splices: Vec::new() };
    change.value(&Seat::root(document), &document.value, new, &Pointer::root())?;
    let mut text = document.text.clone();
    if let Some(at) =
        document.open.filter(|_| change.splices.iter().any(|splice| splice.place == (text.len()..text.len())))
    {
        change.splice(at..at, "-".to_owned());
    }
    // From behind, so that the places of those before stay true; of two at one place the first in order stands first.
    change.splices.sort_by_key(|splice| (splice.place.start, splice.place.end));
    for splice in change.splices.iter().rev() {
        // What overlaps would be nonsense; the text that results is then refused.
        if text.get(splice.place.clone()).is_some() {
            text.replace_range(splice.place.clone(), &splice.text);
        }
    }
    Ok(text)
}

struct Splice {
    place: Range<usize>,
    text: String,
}

struct Change<'d> {
    document: &'d Document,
    /// The document is JSON, and stays it.
    json: bool,
    splices: Vec<Splice>,
}

impl Change<'_> {
    fn value(&mut self, seat: &Seat<'_>, old: &Value, new: &Value, place: &Pointer) -> Result<(), ManifestError> {
        if same(old, new) {
            return Ok(());
        }
        let compound = |value: &Value| value.is_object() || value.is_array();
        // An alias that gives way to something else altogether takes nothing from the others.
        let whole = !compound(old) || !compound(new);
        if seat.node.shared || (matches!(seat.node.shape, Shape::Alias) && !whole) {
            return Err(self.shared(seat.node, place));
        }
        match (&seat.node.shape, old, new) {
            (Shape::Map { flow, members }, Value::Object(old), Value::Object(new))
                if !members.is_empty() && !new.is_empty() =>
            {
                self.members(seat, *flow, members, (old, new), place)
            }
            (Shape::List { flow, items }, Value::Array(old), Value::Array(new))
                if !items.is_empty() && !new.is_empty() =>
            {
                self.items(seat, *flow, items, (old, new), place)
            }
            _ => self.replace(seat, new, place),
        }
    }

    fn members(
        &mut self,
        seat: &Seat<'_>,
        flow: bool,
        members: &[Member],
        (old, new): (&Map<String, Value>, &Map<String, Value>),
        place: &Pointer,
    ) -> Result<(), ManifestError> {
        let named = |name: &String| members.iter().find(|member| !member.merge && member.name == *name);
        let gone = old.keys().filter(|name| !new.contains_key(*name)).count() > 0;
        let merged =
            old.iter().any(|(name, old)| named(name).is_none() && new.get(name).is_none_or(|new| !same(old, new)));
        if merged || (gone && members.iter().any(|member| member.merge)) {
            return Err(self.shared(seat.node, place));
        }
        let stays = |member: &Member| member.merge || new.contains_key(&member.name);
        let last = members.iter().rfind(|member| stays(member));
        if flow && (gone || !self.in_braces(seat.node)) {
            return self.rewrite(seat.node, &Value::Object(new.clone()), place);
        }
        let Some(last) = last else { return self.replace(seat, &Value::Object(new.clone()), place) };
        for member in members.iter().filter(|member| !member.merge) {
            if let (Some(old), Some(new)) = (old.get(&member.name), new.get(&member.name)) {
                let column = line::column(&self.document.text, member.start);
                let stand = if flow { Stand::Flow } else { Stand::Member { column } };
                let seat = Seat { node: &member.node, after: member.after, colon: member.colon, stand };
                self.value(&seat, old, new, &place.below(&member.name))?;
            }
        }
        if gone {
            let spans: Vec<Span> = members
                .iter()
                .map(|member| Span { start: member.start, end: member.node.end, stays: stays(member) })
                .collect();
            for member in members.iter().filter(|member| !stays(member)) {
                self.free(&member.node, &place.below(&member.name))?;
            }
            self.take_away(&spans, false);
        }
        let added = new.iter().filter(|(name, _)| !old.contains_key(*name));
        if flow {
            let json = self.json;
            let text: Vec<String> = added.map(|(name, value)| write::flow_member(name, value, json)).collect();
            self.append_in_flow(last.start, last.node.end, &text);
        } else {
            let column = line::column(&self.document.text, seat.node.body);
            let habit = self.habit(last.start);
            for (name, value) in added {
                self.line_behind(last.node.end, column, &write::member(name, value, column, habit));
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        seat: &Seat<'_>,
        flow: bool,
        items: &[Item],
        (old, new): (&[Value], &[Value]),
        place: &Pointer,
    ) -> Result<(), ManifestError> {
        let pairs = pairs::pairs(old, new);
        if flow && pairs.len() < old.len() {
            return self.rewrite(seat.node, &Value::Array(new.to_vec()), place);
        }
        if pairs.is_empty() {
            return self.replace(seat, &Value::Array(new.to_vec()), place);
        }
        for (at, to) in &pairs {
            let item = &items[*at];
            let column = line::column(&self.document.text, item.start);
            let stand = if flow { Stand::Flow } else { Stand::Element { column } };
            let seat = Seat { node: &item.node, after: item.after, colon: true, stand };
            self.value(&seat, &old[*at], &new[*to], &place.below(at))?;
        }
        let stays = |at: usize| pairs.iter().any(|(old, _)| *old == at);
        for (at, item) in items.iter().enumerate().filter(|(at, _)| !stays(*at)) {
            self.free(&item.node, &place.below(at))?;
        }
        let spans = items.iter().enumerate();
        let spans: Vec<Span> =
            spans.map(|(at, item)| Span { start: item.start, end: item.node.end, stays: stays(at) }).collect();
        let room = pairs.first().is_some_and(|(_, to)| *to > 0);
        self.take_away(&spans, room);
        // Each new one stands behind the last one before it that stays.
        let mut behind: Option<usize> = None;
        for (to, value) in new.iter().enumerate() {
            match pairs.iter().find(|(_, new)| *new == to) {
                Some((at, _)) => behind = Some(*at),
                None if flow => self.insert_in_flow(items, behind, value),
                None => self.insert(seat, items, behind, value),
            }
        }
        Ok(())
    }

    fn insert(&mut self, seat: &Seat<'_>, items: &[Item], behind: Option<usize>, value: &Value) {
        let text = &self.document.text;
        let first = items[0].start;
        let column = line::column(text, first);
        let habit = self.habit(first);
        let element = write::element(value, column, habit);
        if let Some(behind) = behind {
            return self.line_behind(items[behind].node.end, column, &element);
        }
        let key = line::end(text, seat.after);
        if matches!(seat.stand, Stand::Member { .. }) && key < first {
            // Above the comments of the element that was the first; behind an anchor on a line of its own.
            let at = line::end(text, seat.node.start.min(first));
            let at = if at < first { at } else { key };
            self.splice(at..at, format!("{}{}{element}", habit.newline, " ".repeat(column)));
        } else {
            // A list in a list may begin behind the other's dash.
            let at = if line::is_first(text, first) { line::start(text, first) } else { first };
            let (before, behind) = (" ".repeat(first - at), " ".repeat(column - (first - at)));
            self.splice(at..at, format!("{before}{element}{}{behind}", habit.newline));
        }
    }

    fn insert_in_flow(&mut self, items: &[Item], behind: Option<usize>, value: &Value) {
        let text = write::flow(value, self.json);
        if let Some(at) = behind {
            return self.append_in_flow(items[at].start, items[at].node.end, &[text]);
        }
        let first = items[0].start;
        let gap = self.gap(first);
        self.splice(first..first, format!("{text},{gap}"));
    }

    /// Behind what ends at `end` and begins at `start`.
    fn append_in_flow(&mut self, start: usize, end: usize, texts: &[String]) {
        let gap = self.gap(start);
        for text in texts {
            self.splice(end..end, format!(",{gap}{text}"));
        }
    }

    /// Between a comma and what follows it: a line break if the neighbour stands on a line of its own.
    fn gap(&self, neighbour: usize) -> String {
        let text = &self.document.text;
        let begin = line::start(text, neighbour);
        let before = &text[begin..neighbour];
        let own = begin > 0 && before.bytes().all(|c| c == b' ' || c == b'\t');
        if own { format!("{}{before}", line::newline(text)) } else { " ".to_owned() }
    }

    /// A line of its own, below the one on which this place is.
    fn line_behind(&mut self, end: usize, column: usize, what: &str) {
        let text = &self.document.text;
        let at = line::end(text, end);
        self.splice(at..at, format!("{}{}{what}", line::newline(text), " ".repeat(column)));
    }

    /// Members or elements in block style, of which some stay. `room`: something is put before the first of them.
    fn take_away(&mut self, spans: &[Span], room: bool) {
        let text = &self.document.text;
        let mut done = 0;
        for (at, span) in spans.iter().enumerate().filter(|(_, span)| !span.stays) {
            let end = line::end(text, span.end);
            if span.start < done {
                continue;
            }
            if line::is_first(text, span.start) {
                self.splice(line::start(text, span.start)..line::next(text, span.end), String::new());
                continue;
            }
            // Behind a dash: what stays moves up, unless a comment stands between.
            let kept = spans[at..].iter().position(|next| next.stays).map(|more| at + more);
            let blank = |pair: &[Span]| text[pair[0].end..pair[1].start].trim().is_empty();
            if let Some(kept) = kept.filter(|kept| spans[at..=*kept].windows(2).all(blank)) {
                done = spans[kept].start;
                self.splice(span.start..done, String::new());
            } else {
                let before = &text[..span.start];
                let start = if room { span.start } else { before.trim_end_matches(' ').len() };
                self.splice(start..end, String::new());
            }
        }
    }

    fn replace(&mut self, seat: &Seat<'_>, new: &Value, place: &Pointer) -> Result<(), ManifestError> {
        self.free(seat.node, place)?;
        let habit = self.habit(seat.after);
        let (place, text) = seat.rewritten(&self.document.text, new, habit, self.json);
        self.splice(place, text);
        Ok(())
    }

    /// One in brackets or braces, with its anchor and tag as they are.
    fn rewrite(&mut self, node: &Node, new: &Value, place: &Pointer) -> Result<(), ManifestError> {
        self.free(node, place)?;
        let text = write::flow(new, self.json);
        self.splice(node.body..node.end, text);
        Ok(())
    }

    /// Nothing elsewhere may stand for a part of what goes.
    fn free(&self, node: &Node, place: &Pointer) -> Result<(), ManifestError> {
        node.first_shared().map_or(Ok(()), |shared| Err(self.shared(shared, place)))
    }

    fn shared(&self, node: &Node, place: &Pointer) -> ManifestError {
        ManifestError::Shared { line: self.document.line_of(node.start), place: place.to_string() }
    }

    /// `[a: b]` has a mapping without braces.
    fn in_braces(&self, node: &Node) -> bool {
        self.document.text[node.body..].starts_with('{')
    }

    fn habit(&self, near: usize) -> Habit {
        super::habit::near(self.document, near)
    }

    fn splice(&mut self, place: Range<usize>, text: String) {
        if !(place.is_empty() && text.is_empty()) {
            self.splices.push(Splice { place, text });
        }
    }
}

struct Span {
    start: usize,
    end: usize,
    stays: bool,
}
