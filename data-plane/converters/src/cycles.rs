//! Which types of a schema contain themselves, and the Connect schemas of those.

use std::collections::HashMap;

use dray_connect::Result;
use dray_connect::schema::{Family, RecursiveBuilder, SchemaBuilder, SchemaRef};

/// The Connect schemas of types that contain themselves. A cycle's are made together, so that a type has the same one whatever leads to it.
#[derive(Debug, Default)]
pub(crate) struct Families {
    cycles: Cycles,
    /// Of each cycle the types that become structs.
    structs: Vec<Vec<usize>>,
    made: HashMap<usize, Family>,
    /// The cycle whose structs are being made: they refer to each other.
    inside: Option<usize>,
}

/// What is known of a type that is met.
pub(crate) enum Met {
    /// It does not contain itself, or stands in the cycle that is being made.
    Plain,
    /// Its schema, with nothing of the place where it stands.
    Made(SchemaRef),
    /// All structs of its cycle have to be made first.
    New(Making),
}

/// A cycle whose structs are being made.
pub(crate) struct Making {
    cycle: usize,
    /// The one around it.
    outside: Option<usize>,
    /// In the order of their numbers.
    pub(crate) structs: Vec<usize>,
}

impl Families {
    /// Of types that become structs where `key` gives something. In the order of that they are numbered, so that it should say nothing
    /// of what leads to them.
    pub(crate) fn new<K: Ord>(cycles: Cycles, key: impl Fn(usize) -> Option<K>) -> Self {
        let structs = |members: &Vec<usize>| {
            let mut keyed: Vec<(K, usize)> = members.iter().filter_map(|of| Some((key(*of)?, *of))).collect();
            keyed.sort();
            keyed.into_iter().map(|(_, of)| of).collect()
        };
        Self {
            structs: cycles.members.iter().map(structs).collect(),
            cycles,
            ..Self::default()
        }
    }

    /// Whether the type stands in the cycle that is being made.
    pub(crate) fn is_inside(&self, of: usize) -> bool {
        self.inside.is_some() && self.cycles.at(of) == self.inside
    }

    /// What stands for a struct of the cycle that is being made, where it comes again.
    pub(crate) fn reference(&self, of: usize) -> Option<SchemaBuilder> {
        let cycle = self.inside?;
        self.number(cycle, of).map(RecursiveBuilder::reference)
    }

    pub(crate) fn meet(&mut self, of: usize) -> Met {
        let Some(cycle) = self.cycles.at(of).filter(|cycle| self.inside != Some(*cycle)) else {
            return Met::Plain;
        };
        let Some(number) = self.number(cycle, of) else {
            return Met::Plain;
        };
        if let Some(family) = self.made.get(&cycle) {
            return Met::Made(family.schema(number));
        }
        Met::New(Making {
            cycle,
            outside: self.inside.replace(cycle),
            structs: self.structs[cycle].clone(),
        })
    }

    /// The schema of a type, once all structs of its cycle are defined.
    pub(crate) fn made(&mut self, making: &Making, builder: RecursiveBuilder, of: usize) -> Result<SchemaRef> {
        self.inside = making.outside;
        let family = builder.build()?;
        let schema = family.schema(self.number(making.cycle, of).unwrap_or_default());
        self.made.insert(making.cycle, family);
        Ok(schema)
    }

    fn number(&self, cycle: usize, of: usize) -> Option<usize> {
        self.structs.get(cycle)?.iter().position(|known| *known == of)
    }
}

/// The cycles of a graph of types, and what stands in each.
#[derive(Debug, Default)]
pub(crate) struct Cycles {
    /// For each type the cycle that it stands in.
    of: Vec<Option<usize>>,
    members: Vec<Vec<usize>>,
}

impl Cycles {
    /// Of so many types, of which each contains those that `within` gives for it. Types that contain each other are one cycle.
    pub(crate) fn of(count: usize, within: impl Fn(usize) -> Vec<usize>) -> Self {
        let mut search = Search {
            seen: vec![None; count],
            low: vec![0; count],
            waiting: Vec::new(),
            is_waiting: vec![false; count],
            next: 0,
            cycles: Self {
                of: vec![None; count],
                members: Vec::new(),
            },
        };
        for start in 0..count {
            if search.seen[start].is_none() {
                search.from(start, &within);
            }
        }
        search.cycles
    }

    /// The cycle that a type stands in, if it contains itself.
    pub(crate) fn at(&self, of: usize) -> Option<usize> {
        self.of.get(of).copied().flatten()
    }
}

/// Tarjan's search for strongly connected components, without recursion: how deep types nest comes from outside.
struct Search {
    /// When each type was first seen.
    seen: Vec<Option<usize>>,
    /// The earliest seen type that is reached from each.
    low: Vec<usize>,
    /// Types whose cycle is not known yet.
    waiting: Vec<usize>,
    is_waiting: Vec<bool>,
    next: usize,
    cycles: Cycles,
}

impl Search {
    fn enter(&mut self, of: usize) {
        self.seen[of] = Some(self.next);
        self.low[of] = self.next;
        self.next += 1;
        self.waiting.push(of);
        self.is_waiting[of] = true;
    }

    fn from(&mut self, start: usize, within: &impl Fn(usize) -> Vec<usize>) {
        // A type, and what of it is still to be looked at.
        let mut path = vec![(start, within(start))];
        self.enter(start);
        while let Some((of, rest)) = path.last_mut() {
            let of = *of;
            if let Some(inner) = rest.pop() {
                match self.seen[inner] {
                    None => {
                        self.enter(inner);
                        path.push((inner, within(inner)));
                    }
                    Some(seen) if self.is_waiting[inner] => self.low[of] = self.low[of].min(seen),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            if let Some((outer, _)) = path.last() {
                self.low[*outer] = self.low[*outer].min(self.low[of]);
            }
            if Some(self.low[of]) == self.seen[of] {
                self.leave(of, within);
            }
        }
    }

    /// All that waits from `of` on contains each other; a type by itself only where it contains itself.
    fn leave(&mut self, of: usize, within: &impl Fn(usize) -> Vec<usize>) {
        let from = self.waiting.iter().rposition(|other| *other == of).unwrap_or_default();
        let members = self.waiting.split_off(from);
        for member in &members {
            self.is_waiting[*member] = false;
        }
        if members.len() > 1 || within(of).contains(&of) {
            for member in &members {
                self.cycles.of[*member] = Some(self.cycles.members.len());
            }
            self.cycles.members.push(members);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chain_of_any_length_is_no_cycle_until_its_end_leads_back() {
        let count = 100_000;
        let chain = |of: usize| if of + 1 < count { vec![of + 1] } else { vec![] };
        let cycles = Cycles::of(count, chain);
        assert!((0..count).all(|of| cycles.at(of).is_none()));
        let cycles = Cycles::of(count, |of| vec![(of + 1) % count]);
        assert!((0..count).all(|of| cycles.at(of) == Some(0)));
        assert_eq!(cycles.members[0].len(), count);
    }

    proptest! {
        #[test]
        fn types_are_of_one_cycle_that_lead_to_each_other(edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..30)) {
            let within = |of: usize| edges.iter().filter(|(from, _)| *from == of).map(|(_, to)| *to).collect();
            let cycles = Cycles::of(12, within);
            // By walking along all edges until nothing new is reached.
            let leads = |from: usize| {
                let mut reached = [false; 12];
                let mut todo = within(from);
                while let Some(of) = todo.pop() {
                    if !std::mem::replace(&mut reached[of], true) {
                        todo.extend(within(of));
                    }
                }
                reached
            };
            let leads: Vec<_> = (0..12).map(leads).collect();
            for (a, from_a) in leads.iter().enumerate() {
                prop_assert_eq!(cycles.at(a).is_some(), from_a[a]);
                if let Some(cycle) = cycles.at(a) {
                    for (b, from_b) in leads.iter().enumerate() {
                        let both = from_a[b] && from_b[a];
                        prop_assert_eq!(cycles.at(b) == Some(cycle), both);
                        prop_assert_eq!(cycles.members[cycle].contains(&b), both);
                    }
                }
            }
        }
    }
}
