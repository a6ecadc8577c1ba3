//! A watch: changes as lines of JSON, for as long as both sides like.
//!
//! Each line comes in two pieces, as it may through any proxy.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Shared;
use super::answer::{only_metadata, status};
use super::request::Call;
use super::store::{Kind, Store};

/// The body of a watch's answer.
pub struct Lines(Receiver<Bytes>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// What one watch has seen.
struct Watch {
    kind: Kind,
    name: Option<String>,
    /// The version that was told last; `None` before the first word of a watch that begins with what there is.
    at: Option<u64>,
    wants_bookmarks: bool,
    cuts: u64,
    bookmarks: u64,
}

/// Begins one; `store` is what it may begin with.
pub fn open(shared: &Arc<Shared>, store: &Store, call: &Call, kind: Kind) -> Lines {
    let watch = Watch {
        kind,
        name: call.name.clone(),
        at: call.query.get("resourceVersion").map(|version| version.parse().unwrap()),
        wants_bookmarks: call.query.get("allowWatchBookmarks").is_some_and(|value| value == "true"),
        cuts: store.cuts.get(&kind).copied().unwrap_or_default(),
        bookmarks: store.bookmarks,
    };
    let (sender, receiver) = channel(1);
    tokio::spawn(tell(Arc::clone(shared), watch, sender));
    Lines(receiver)
}

async fn tell(shared: Arc<Shared>, mut watch: Watch, sender: Sender<Bytes>) {
    let mut changed = shared.changed.subscribe();
    loop {
        let (lines, is_over) = watch.news(&shared.state.lock().unwrap().store);
        for line in lines {
            let text = Bytes::from(format!("{line}\n"));
            let half = text.len() / 2;
            for piece in [text.slice(..half), text.slice(half..)] {
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        }
        if is_over {
            return;
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = sender.closed() => return,
        }
    }
}

impl Watch {
    /// What is to be told now, and whether the watch ends with it.
    fn news(&mut self, store: &Store) -> (Vec<Value>, bool) {
        if store.cuts.get(&self.kind).copied().unwrap_or_default() != self.cuts {
            return (Vec::new(), true);
        }
        let forgotten = store.forgotten.get(&self.kind).map_or(0, |(version, _)| *version);
        if self.at.is_some_and(|at| at < forgotten) {
            let object = status(410, "Expired", "too old resource version");
            return (vec![json!({"type": "ERROR", "object": object})], true);
        }
        let mut lines = match self.at {
            None => store
                .all(self.kind)
                .iter()
                .filter(|one| self.concerns(one))
                .map(|one| line("ADDED", self.kind, one))
                .collect(),
            Some(at) => {
                let events = store.events.iter().filter(|event| event.version > at && event.kind == self.kind);
                let mine = events.filter(|event| self.concerns(&event.object));
                mine.map(|event| line(event.what, self.kind, &event.object)).collect::<Vec<_>>()
            }
        };
        self.at = Some(store.version);
        if store.bookmarks != self.bookmarks {
            self.bookmarks = store.bookmarks;
            if self.wants_bookmarks {
                // Nothing but its version.
                let object = json!({"metadata": {"resourceVersion": store.version.to_string()}});
                lines.push(json!({"type": "BOOKMARK", "object": object}));
            }
        }
        (lines, false)
    }

    fn concerns(&self, object: &Value) -> bool {
        self.name.as_deref().is_none_or(|name| object["metadata"]["name"] == name)
    }
}

fn line(what: &str, kind: Kind, object: &Value) -> Value {
    let object = if kind.is_metadata_only() { only_metadata(object) } else { object.clone() };
    json!({"type": what, "object": object})
}
