//! A stream of YAML documents as its author wrote it: read as JSON values, changed by operations, comments and order kept.
//!
//! For `unsecret inject`, and for whoever reads YAML only (`documents`). Not a YAML library: the parser is the crate
//! granit-parser, which tells where each thing stands; what stands there is read as Kubernetes reads it (`scalar`). A change
//! is the difference between what a document says and what it has to say: `change` finds it and writes only that. Easy to get
//! wrong: a change that looks right may say something else (a comment, an anchor, a block scalar's last newline), so that
//! every changed text is read again and compared.

mod change;
mod error;
mod habit;
mod line;
mod meant;
mod pairs;
#[cfg(test)]
mod random;
mod read;
mod scalar;
mod seat;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::fmt;

use serde_json::Value;

use crate::patch::Operation;

pub use error::ManifestError;

use tree::Document;

/// Documents and everything between them.
#[derive(Clone, Debug)]
pub struct Manifest {
    documents: Vec<Document>,
    /// All of a text that has no document: nothing, or comments.
    blank: String,
}

impl Manifest {
    /// Reads a whole stream. A document without content is null; a stream of comments alone has no document.
    pub fn read(text: &str) -> Result<Self, ManifestError> {
        read::refuse_lone_returns(text)?;
        let mut line = 1;
        let mut documents = Vec::new();
        for part in read::parts(text)? {
            documents.push(Document::read(part, line)?);
            line += part.matches('\n').count();
        }
        let blank = if documents.is_empty() { text.to_owned() } else { String::new() };
        Ok(Self { documents, blank })
    }

    /// What each document says.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.documents.iter().map(|document| &document.value)
    }

    /// The line on which a document's first content stands, for messages.
    pub fn line(&self, document: usize) -> Option<usize> {
        self.documents.get(document).map(Document::first_line)
    }

    /// Changes the text of one document so that it says what the operations make of it; on an error nothing is changed.
    pub fn apply(&mut self, document: usize, operations: &[Operation]) -> Result<(), ManifestError> {
        let Some(document) = self.documents.get_mut(document) else {
            return Err(ManifestError::Place { place: String::new(), why: "there is no such document" });
        };
        let mut meant = document.value.clone();
        for operation in operations {
            meant::apply(&mut meant, operation)?;
        }
        let text = change::text(document, &meant)?;
        let changed = Document::read(&text, document.line).ok().filter(|changed| meant::same(&changed.value, &meant));
        *document = changed.ok_or(ManifestError::Unable { line: document.first_line() })?;
        Ok(())
    }

    /// The stream as it stands now.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.blank)?;
        self.documents.iter().try_for_each(|document| f.write_str(&document.text))
    }
}
