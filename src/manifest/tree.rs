//! What one document says, and where each part of it stands.
//!
//! Easy to get wrong: the parser tells where a scalar's content stands, not its anchor, tag or the header of a block scalar; so
//! a node begins at the first character behind the indicator (`:`, `-`, `,`) that it follows, and a block collection ends with
//! its last child.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StrInput, StructureStyle, Tag};
use serde_json::{Map, Value};

use super::{ManifestError, line, read, scalar};

/// More than any real document; a few lines of aliases of aliases stand for billions.
const MOST: usize = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) text: String,
    /// The line of the stream at which the text begins.
    pub(super) line: usize,
    pub(super) value: Value,
    pub(super) root: Node,
    /// Behind `---`.
    pub(super) after: usize,
    /// Behind the `|` of a block scalar that ends with the text, without a line break: it gets one when something follows,
    /// and must not take it for its own.
    pub(super) open: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// With its anchor and tag; of an empty one, the place where it would stand.
    pub(super) start: usize,
    /// Where its first child stands, or its content.
    pub(super) body: usize,
    /// Behind its last character that is no line break.
    pub(super) end: usize,
    pub(super) shape: Shape,
    /// An anchor stands here, and an alias that means it elsewhere.
    pub(super) shared: bool,
    anchor: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Nothing at all, which is null.
    Empty,
    Scalar,
    Alias,
    List {
        flow: bool,
        items: Vec<Item>,
    },
    Map {
        flow: bool,
        members: Vec<Member>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its dash, or in flow style its own beginning.
    pub(super) start: usize,
    /// Behind the dash.
    pub(super) after: usize,
    pub(super) node: Node,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Its key, or the `?` before it.
    pub(super) start: usize,
    /// Behind the colon, or behind the key if there is none.
    pub(super) after: usize,
    pub(super) colon: bool,
    /// `<<: *other`: not a name but the members of something else.
    pub(super) merge: bool,
    pub(super) node: Node,
}

impl Document {
    pub(super) fn read(text: &str, line: usize) -> Result<Self, ManifestError> {
        let mut reader = Reader {
            text,
            line,
            events: read::parser(text),
            held: BTreeMap::new(),
            used: BTreeSet::new(),
            weight: 0,
            open: None,
        };
        let after = loop {
            match reader.next()? {
                (Event::DocumentStart(explicit, _), span) => break if explicit { span.end } else { span.start },
                (Event::StreamEnd, _) => return Err(ManifestError::Unable { line }),
                _ => {}
            }
        };
        let (mut root, value) = reader.node(after)?;
        root.mark(&reader.used);
        Ok(Self { text: text.to_owned(), line, value, root, after, open: reader.open })
    }

    /// The line of the stream on which this place stands.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.line + self.text[..at].matches('\n').count()
    }

    pub(super) fn first_line(&self) -> usize {
        self.line_of(self.root.body)
    }
}

impl Node {
    fn mark(&mut self, used: &BTreeSet<usize>) {
        self.shared = used.contains(&self.anchor);
        match &mut self.shape {
            Shape::List { items, .. } => items.iter_mut().for_each(|item| item.node.mark(used)),
            Shape::Map { members, .. } => members.iter_mut().for_each(|member| member.node.mark(used)),
            _ => {}
        }
    }

    /// The first place in it that others share.
    pub(super) fn first_shared(&self) -> Option<&Self> {
        if self.shared {
            return Some(self);
        }
        match &self.shape {
            Shape::List { items, .. } => items.iter().find_map(|item| item.node.first_shared()),
            Shape::Map { members, .. } => members.iter().find_map(|member| member.node.first_shared()),
            _ => None,
        }
    }
}

/// Its members, what they say, and where the last one ends.
type Mapping = (Vec<Member>, Map<String, Value>, usize);

struct Reader<'t> {
    text: &'t str,
    line: usize,
    events: Parser<'t, StrInput<'t>>,
    /// By anchor: what an alias stands for, and of how many values it consists.
    held: BTreeMap<usize, (Value, usize)>,
    used: BTreeSet<usize>,
    weight: usize,
    open: Option<usize>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), ManifestError> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, span.byte_range().unwrap_or_default())),
            Some(Err(error)) => Err(read::syntax(&error, self.line)),
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    /// The node behind an indicator that ends at `after`.
    fn node(&mut self, after: usize) -> Result<(Node, Value), ManifestError> {
        let (event, span) = self.next()?;
        self.node_of(event, span, after)
    }

    fn node_of(&mut self, event: Event<'t>, span: Range<usize>, after: usize) -> Result<(Node, Value), ManifestError> {
        let before = self.weight;
        self.weigh(1, span.start)?;
        let start = line::skip(self.text, after).min(span.start.max(after));
        let node = |shape, end, anchor| Node { start, body: span.start.max(start), end, shape, shared: false, anchor };
        let (node, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span.start)?;
                let bare = tag.is_none() && anchor == 0;
                if style == ScalarStyle::Plain && span.is_empty() && bare {
                    (Node { start: after, body: after, ..node(Shape::Empty, after, 0) }, value)
                } else {
                    (node(Shape::Scalar, self.end_of(start, &span, style), anchor), value)
                }
            }
            Event::Alias(anchor) => {
                let Some((value, weight)) = self.held.get(&anchor).cloned() else {
                    return Err(self.not_json(span.start, "an alias stands inside of what it stands for".to_owned()));
                };
                self.used.insert(anchor);
                self.weigh(weight, span.start)?;
                (node(Shape::Alias, span.end, 0), value)
            }
            Event::SequenceStart(style, anchor, _) => {
                let flow = style == StructureStyle::Flow;
                // Of a list whose dashes stand below their key, the parser tells the place behind the first dash.
                let body = if flow { span.start } else { self.behind_properties(start) };
                let (items, values, end) = self.list(flow, if flow { span.end } else { body })?;
                (Node { body, ..node(Shape::List { flow, items }, end, anchor) }, Value::Array(values))
            }
            Event::MappingStart(style, anchor, _) => {
                let flow = style == StructureStyle::Flow;
                let (members, values, end) = self.map(flow, &span)?;
                (node(Shape::Map { flow, members }, end, anchor), Value::Object(values))
            }
            // The parser never does that; a defect there shall not become one here.
            _ => return Err(ManifestError::Unable { line: self.line_of(span.start) }),
        };
        if node.anchor != 0 {
            self.held.insert(node.anchor, (value.clone(), self.weight - before));
        }
        Ok((node, value))
    }

    fn list(&mut self, flow: bool, begin: usize) -> Result<(Vec<Item>, Vec<Value>, usize), ManifestError> {
        let (mut items, mut values, mut end) = (Vec::new(), Vec::new(), begin);
        loop {
            let (event, at) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((items, values, if flow { at.end } else { end }));
            }
            let start = self.behind_comma(end, flow);
            // As above: the parser sees an item where there is no dash.
            if !flow && !self.text[start..].starts_with('-') {
                return Err(ManifestError::Unable { line: self.line_of(start) });
            }
            let after = if flow { start } else { start + 1 };
            let (node, value) = self.node_of(event, at, after)?;
            end = node.end;
            items.push(Item { start, after, node });
            values.push(value);
        }
    }

    fn map(&mut self, flow: bool, span: &Range<usize>) -> Result<Mapping, ManifestError> {
        let (mut members, mut values, mut end) = (Vec::<Member>::new(), Map::new(), span.end);
        let mut names = BTreeSet::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok((members, values, if flow { at.end } else { end }));
            }
            let start = self.behind_comma(end, flow);
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let (key, name) = self.node_of(event, at, start)?;
            let colon = line::skip(self.text, key.end);
            let found = self.text[colon..].starts_with(':');
            let after = if found { colon + 1 } else { key.end };
            let (node, value) = self.node(after)?;
            end = node.end;
            let name = self.name(name, key.body)?;
            if !names.insert(name.clone()) {
                return Err(ManifestError::Duplicate { line: self.line_of(key.body), key: name });
            }
            if merge {
                self.merge(&mut values, value, node.body)?;
            } else {
                values.insert(name.clone(), value);
            }
            members.push(Member { name, start, after, colon: found, merge, node });
        }
    }

    /// Behind an anchor and a tag.
    fn behind_properties(&self, mut at: usize) -> usize {
        while self.text[at..].starts_with(['&', '!']) {
            at += self.text[at..].find(char::is_whitespace).unwrap_or(self.text.len() - at);
            at = line::skip(self.text, at);
        }
        at
    }

    /// Where the next child begins: behind blanks, and in flow style behind the comma.
    fn behind_comma(&self, end: usize, flow: bool) -> usize {
        let at = line::skip(self.text, end);
        if flow && self.text[at..].starts_with(',') { line::skip(self.text, at + 1) } else { at }
    }

    /// Of several, the first counts; later members of the mapping itself replace them.
    fn merge(&self, values: &mut Map<String, Value>, from: Value, at: usize) -> Result<(), ManifestError> {
        let sources = match from {
            Value::Array(sources) => sources,
            source => vec![source],
        };
        for source in sources.into_iter().rev() {
            let Value::Object(members) = source else {
                return Err(self.not_json(at, "only a mapping can be merged into a mapping".to_owned()));
            };
            values.extend(members);
        }
        Ok(())
    }

    fn name(&self, key: Value, at: usize) -> Result<String, ManifestError> {
        match key {
            Value::String(name) => Ok(name),
            Value::Bool(name) => Ok(name.to_string()),
            Value::Number(name) if !name.is_f64() => Ok(name.to_string()),
            other => Err(self.not_json(at, format!("the key `{other}` is no string"))),
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: usize) -> Result<Value, ManifestError> {
        let text: Cow<'_, str> = match style {
            // The parser's word for a plain scalar that is not there.
            ScalarStyle::Plain if text == "~" => Cow::Borrowed(""),
            _ => Cow::Borrowed(text),
        };
        let value = match (tag, style) {
            (None, ScalarStyle::Plain) => scalar::plain(&text),
            (None, _) => Some(Value::String(text.clone().into_owned())),
            (Some(tag), _) => match tag.core_suffix() {
                Some(name) => scalar::tagged(name, &text),
                None => Some(Value::String(text.clone().into_owned())),
            },
        };
        value.ok_or_else(|| self.not_json(at, format!("JSON has no value for `{text}` here")))
    }

    /// The line breaks behind a block scalar are its own only if its header says so (`|+`).
    fn end_of(&mut self, start: usize, span: &Range<usize>, style: ScalarStyle) -> usize {
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return span.end.max(start);
        }
        let first = &self.text[start..line::end(self.text, start)];
        let header = first.split(" #").next().unwrap_or_default().trim_end();
        let content = &self.text[..span.end.max(start)];
        if content.len() == self.text.len() && !content.ends_with('\n') && !header.contains(['-', '+']) {
            self.open = header.rfind(['|', '>']).map(|indicator| start + indicator + 1);
        }
        let kept = if header.ends_with('+') || header.ends_with(|c: char| c.is_ascii_digit()) && header.contains('+') {
            content.strip_suffix('\n').unwrap_or(content)
        } else {
            content.trim_end()
        };
        kept.len().max(start + header.len())
    }

    fn weigh(&mut self, more: usize, at: usize) -> Result<(), ManifestError> {
        self.weight = self.weight.saturating_add(more);
        if self.weight > MOST {
            return Err(ManifestError::TooLarge { line: self.line_of(at), most: MOST });
        }
        Ok(())
    }

    fn line_of(&self, at: usize) -> usize {
        self.line + self.text[..at].matches('\n').count()
    }

    fn not_json(&self, at: usize, what: String) -> ManifestError {
        ManifestError::NotJson { line: self.line_of(at), what }
    }
}
