//! Which element of a changed list was which before.
//!
//! Only comments and order hang on it: whatever is paired, the text says the same in the end.

use serde_json::Value;

use super::meant::same;

/// Old and new indexes, both rising.
pub(super) fn pairs(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let front = old.iter().zip(new).take_while(|(old, new)| alike(old, new)).count();
    let rest = (&old[front..], &new[front..]);
    let back = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(old, new)| alike(old, new)).count();
    let middle = longest(&rest.0[..rest.0.len() - back], &rest.1[..rest.1.len() - back]);
    let front_pairs = (0..front).map(|at| (at, at));
    let middle = middle.into_iter().map(|(at, to)| (front + at, front + to));
    let back = (0..back).rev().map(|at| (old.len() - 1 - at, new.len() - 1 - at));
    front_pairs.chain(middle).chain(back).collect()
}

fn alike(old: &Value, new: &Value) -> bool {
    likeness(old, new) >= NAMED
}

const SAME: usize = 4;
/// Of the same name, as Kubernetes tells elements apart.
const NAMED: usize = 3;

/// 0: not the one it was.
fn likeness(old: &Value, new: &Value) -> usize {
    if same(old, new) {
        return SAME;
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let shared = |(name, old): (&String, &Value)| new.get(name).map(|new| if same(old, new) { 2 } else { 1 });
            match (old.get("name"), new.get("name")) {
                (None, None) => old.iter().filter_map(shared).max().unwrap_or(0),
                (old, new) if old == new => NAMED,
                _ => 0,
            }
        }
        (Value::Array(_), Value::Array(_)) => 1,
        _ => 0,
    }
}

/// The pairs that are the most alike, all in all.
fn longest(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    // Lists of pods and their parts are short. A long one that changed all over is not worth the square of its length.
    if old.len().saturating_mul(new.len()) > 250_000 {
        return Vec::new();
    }
    let likeness: Vec<Vec<usize>> = old.iter().map(|old| new.iter().map(|new| likeness(old, new)).collect()).collect();
    let mut best = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            let paired = best[at + 1][to + 1] + likeness[at][to];
            best[at][to] = paired.max(best[at + 1][to]).max(best[at][to + 1]);
        }
    }
    let (mut at, mut to, mut found) = (0, 0, Vec::new());
    while at < old.len() && to < new.len() {
        if likeness[at][to] > 0 && best[at][to] == best[at + 1][to + 1] + likeness[at][to] {
            found.push((at, to));
            (at, to) = (at + 1, to + 1);
        } else if best[at + 1][to] >= best[at][to + 1] {
            at += 1;
        } else {
            to += 1;
        }
    }
    // Scalars that all changed.
    if found.is_empty() && old.len() == new.len() {
        return (0..old.len()).map(|at| (at, at)).collect();
    }
    found
}
