//! Calls about dead letter queues: their configurations resolved, their messages translated.

use super::{Answer, failed, refusal};
use dray_process::hidden::Hidden;
use dray_runtime::letter_queue::{Bounds, Replay, StoredLetter, Wanted};
use dray_runtime::worker::Worker;
use dray_wire::agent::v1::{
    DropLettersCall, LettersCall, LettersDroppedResult, LettersReplayedResult, LettersResult, ReplayLettersCall,
};
use dray_wire::plugin::v1::{Letter, LetterBounds, LetterHeader, LetterPlace, RefusedLetter};

pub(super) async fn list(worker: &Worker, call: LettersCall) -> Answer {
    let config = match worker.resolve(&call.config.into_iter().collect()).await {
        Ok(resolved) => resolved,
        Err(error) => return failed(error.to_string()),
    };
    let count = call.count as usize;
    let wanted = call.from.map_or(Wanted::Newest(count), |from| {
        Wanted::From(from.partition, from.offset, count)
    });
    match worker.letters(config.config(), wanted).await {
        Ok(found) => Answer::Letters(LettersResult {
            topic: found.topic,
            bounds: bounds(&found.bounds),
            letters: found.letters.into_iter().map(letter).collect(),
        }),
        Err(refused) => refusal(refused),
    }
}

pub(super) async fn replay(worker: &Worker, call: ReplayLettersCall) -> Answer {
    let config = match worker.resolve(&call.config.into_iter().collect()).await {
        Ok(resolved) => resolved,
        Err(error) => return failed(error.to_string()),
    };
    let from = call.from.unwrap_or_default();
    let replay = Replay {
        partition: from.partition,
        offset: from.offset,
        count: call.count as usize,
        to: call.to,
    };
    match worker.replay_letters(config.config(), &replay).await {
        Ok(done) => Answer::Replayed(LettersReplayedResult {
            replayed: done.replayed,
            refused: done
                .refused
                .into_iter()
                .map(|(offset, reason)| RefusedLetter { offset, reason })
                .collect(),
            next: done.next,
            end: done.end,
        }),
        Err(refused) => refusal(refused),
    }
}

pub(super) async fn discard(worker: &Worker, call: DropLettersCall) -> Answer {
    let config = match worker.resolve(&call.config.into_iter().collect()).await {
        Ok(resolved) => resolved,
        Err(error) => return failed(error.to_string()),
    };
    let before = call.before.iter().map(|place| (place.partition, place.offset));
    match worker.drop_letters(config.config(), &before.collect()).await {
        Ok(left) => Answer::Dropped(LettersDroppedResult { bounds: bounds(&left) }),
        Err(refused) => refusal(refused),
    }
}

/// Takes what is hidden out of a letter that is shown: a transform may have put it into the record, and somebody else, who hides nothing,
/// into the headers.
pub(super) fn hide(hidden: &Hidden, letter: &mut Letter) {
    let headers = letter.headers.iter_mut().map(|header| &mut header.value);
    for bytes in headers.chain([&mut letter.key, &mut letter.value]).flatten() {
        *bytes = hidden.hide_bytes(std::mem::take(bytes));
    }
}

fn bounds(bounds: &Bounds) -> Vec<LetterBounds> {
    let bound = |(partition, range): (&i32, &std::ops::Range<i64>)| LetterBounds {
        partition: *partition,
        first: range.start,
        end: range.end,
    };
    bounds.iter().map(bound).collect()
}

fn letter(letter: StoredLetter) -> Letter {
    Letter {
        place: Some(LetterPlace {
            partition: letter.partition,
            offset: letter.offset,
        }),
        timestamp_ms: letter.timestamp,
        key: letter.key,
        value: letter.value,
        headers: letter
            .headers
            .into_iter()
            .map(|(name, value)| LetterHeader { name, value })
            .collect(),
    }
}
