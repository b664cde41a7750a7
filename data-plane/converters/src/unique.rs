//! The entries of a map that was read: a key stands there once.

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Utf8Span};

/// Of the entries behind `start` with equal keys the last value stays, at the place of the first.
pub(crate) fn unique(stack: &mut Vec<Datum>, start: usize, batch: &Backing) {
    let entries = (stack.len() - start) / 2;
    // Few entries are compared with each other, texts by their bytes.
    if entries < 2 {
        return;
    }
    let is_text = stack[start..].iter().step_by(2).all(|key| matches!(key, Datum::Str(_)));
    if is_text && entries <= 16 {
        let text = |datum: Datum| {
            if let Datum::Str(span) = datum {
                batch.bytes(Utf8Span::span(span))
            } else {
                &[]
            }
        };
        let repeats = (1..entries).any(|i| {
            let key = text(stack[start + 2 * i]);
            (0..i).any(|j| text(stack[start + 2 * j]) == key)
        });
        if !repeats {
            return;
        }
    }
    let mut places = std::collections::HashMap::with_capacity(entries);
    let mut kept: Vec<Datum> = Vec::with_capacity(2 * entries);
    for entry in stack[start..].as_chunks::<2>().0 {
        let [key, value] = *entry;
        let place = *places.entry(key.view(batch).to_value()).or_insert(kept.len());
        if place == kept.len() {
            kept.extend([key, value]);
        } else {
            kept[place + 1] = value;
        }
    }
    stack.truncate(start);
    stack.extend(kept);
}
