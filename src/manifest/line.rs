//! Lines of a text, by offsets into it.

/// Where the line of this place begins.
pub(super) fn start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where it ends, before its line break.
pub(super) fn end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    if end > at && text[..end].ends_with('\r') { end - 1 } else { end }
}

/// Where the next one begins.
pub(super) fn next(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

/// How far from the line's beginning, in characters.
pub(super) fn column(text: &str, at: usize) -> usize {
    text[start(text, at)..at].chars().count()
}

/// Whether nothing but spaces stands before it on its line.
pub(super) fn is_first(text: &str, at: usize) -> bool {
    text[start(text, at)..at].bytes().all(|c| c == b' ')
}

/// The line break that this text uses.
pub(super) fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Behind white space, line breaks and comments.
pub(super) fn skip(text: &str, mut at: usize) -> usize {
    loop {
        at += text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']).len();
        if !text[at..].starts_with('#') {
            return at;
        }
        at = next(text, at);
    }
}
