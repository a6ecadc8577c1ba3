//! The parser, set as Kubernetes' own reads, and where one document ends and the next begins.

use granit_parser::{Event, Parser, ScanError, StrInput, options};

use super::{ManifestError, line};

pub(super) fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    let options = options! { emit_comments: false, block_scalar_eof_without_line_feed: true };
    Parser::new_from_str_with_options(text, options)
}

/// YAML ends a line at a carriage return alone too, as no editor of this century writes it. Here lines end as `line` has it.
pub(super) fn refuse_lone_returns(text: &str) -> Result<(), ManifestError> {
    let Some((at, _)) = text.match_indices('\r').find(|(at, _)| !text[at + 1..].starts_with('\n')) else {
        return Ok(());
    };
    let line = 1 + text[..at].matches('\n').count();
    let what = "a carriage return stands here without a line feed behind it".to_owned();
    Err(ManifestError::Syntax { line, column: line::column(text, at) + 1, what })
}

/// The text of each document, with what stands before it. Together they are the whole text.
pub(super) fn parts(text: &str) -> Result<Vec<&str>, ManifestError> {
    let mut starts = Vec::new();
    // Behind an explicit end, what follows (comments, directives) belongs to the next document.
    let mut closed = Some(0);
    for event in parser(text) {
        let (event, span) = event.map_err(|error| syntax(&error, 1))?;
        let range = span.byte_range().unwrap_or_default();
        match event {
            Event::DocumentStart(..) => starts.push(closed.take().unwrap_or(range.start)),
            Event::DocumentEnd if !range.is_empty() => closed = Some(line::next(text, range.end)),
            _ => {}
        }
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    Ok(starts.iter().zip(ends).filter_map(|(start, end)| text.get(*start..end)).collect())
}

/// `first`: the line at which the parsed text begins.
pub(super) fn syntax(error: &ScanError, first: usize) -> ManifestError {
    let at = error.marker();
    ManifestError::Syntax { line: first + at.line().max(1) - 1, column: at.col() + 1, what: error.info() }
}
