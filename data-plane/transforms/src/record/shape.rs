//! Recognizes maps with the same names as the one before, without reading a name: converters give the names that many records of a batch
//! have once, so that equal handles are equal names.

use dray_connect::backing::{Backing, BatchNumber};
use dray_connect::datum::Datum;

use super::MapMut;

/// What a transform has found out about maps with certain names.
#[derive(Debug)]
pub(crate) struct Shape<P> {
    batch: BatchNumber,
    keys: Vec<Datum>,
    /// None before it was looked for.
    plan: Option<Option<P>>,
}

impl<P> Default for Shape<P> {
    fn default() -> Self {
        Self {
            // That of no batch there is.
            batch: BatchNumber::default(),
            keys: Vec::new(),
            plan: None,
        }
    }
}

impl<P> Shape<P> {
    /// What is to be done with a map, where the one before had the same names: `plan` finds it out. None where that one had others, and where
    /// the plan is none.
    #[inline]
    pub(crate) fn plan(&mut self, map: &mut MapMut<'_>, plan: impl FnOnce(&mut MapMut<'_>) -> Option<P>) -> Option<&P> {
        if !self.is_of(map.backing(), map.parts()) {
            self.batch = map.backing().number();
            self.keys.clear();
            self.keys
                .extend(map.parts().as_chunks::<2>().0.iter().map(|[key, _]| *key));
            self.plan = None;
            return None;
        }
        self.plan.get_or_insert_with(|| plan(map)).as_ref()
    }

    #[inline]
    fn is_of(&self, backing: &Backing, parts: &[Datum]) -> bool {
        let (entries, _) = parts.as_chunks::<2>();
        let same = |([key, _], known): (&[Datum; 2], &Datum)| match (key, known) {
            (Datum::Str(key), Datum::Str(known)) => key.span() == known.span(),
            _ => false,
        };
        self.batch == backing.number() && entries.len() == self.keys.len() && entries.iter().zip(&self.keys).all(same)
    }
}
