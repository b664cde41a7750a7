//! Dead letters, from and to the wire.

use crate::cluster::{Letter, LetterBounds, LetterPlace, Letters, Replayed};
use dray_wire::admin::v1;
use dray_wire::plugin::v1 as plugin;

pub(super) fn letters(found: v1::ListLettersResponse) -> Letters {
    Letters {
        topic: found.topic,
        bounds: found.bounds.into_iter().map(bounds).collect(),
        letters: found.letters.into_iter().map(letter).collect(),
    }
}

pub(super) fn bounds(bounds: plugin::LetterBounds) -> LetterBounds {
    LetterBounds {
        partition: bounds.partition,
        first: bounds.first,
        end: bounds.end,
    }
}

pub(super) fn replayed(done: v1::ReplayLettersResponse) -> Replayed {
    let refused = done.refused.into_iter().map(|letter| (letter.offset, letter.reason));
    Replayed {
        replayed: done.replayed,
        refused: refused.collect(),
        next: done.next,
    }
}

fn letter(letter: plugin::Letter) -> Letter {
    let place = letter.place.unwrap_or_default();
    Letter {
        place: LetterPlace {
            partition: place.partition,
            offset: place.offset,
        },
        timestamp_ms: letter.timestamp_ms,
        key: letter.key,
        value: letter.value,
        headers: letter
            .headers
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect(),
    }
}

pub(super) fn wire_place(place: LetterPlace) -> plugin::LetterPlace {
    plugin::LetterPlace {
        partition: place.partition,
        offset: place.offset,
    }
}
