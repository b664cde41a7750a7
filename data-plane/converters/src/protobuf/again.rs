//! Messages within themselves: the bytes say how often one goes through them.

use dray_connect::Result;
use dray_connect::datum::Datum;

use super::read::{Composite, Fields, MemberOf, Out, Parts, Whole, record};
use crate::again::Again;

/// How a message is read, and how many levels of a value it is until it may come again.
pub(super) type Levelled = (usize, Fields);

pub(super) fn read(of: &Again<Levelled>, parts: Parts, out: &mut Out<'_>) -> Result<Datum> {
    let cell = of.plan()?;
    let (levels, fields) = cell.get();
    out.scratch.levels = of.deeper(out.scratch.levels, *levels)?;
    let value = record(&of.schema, fields, parts, out)?;
    out.scratch.levels += levels;
    Ok(value)
}

impl Fields {
    /// How deep what is read may nest before a message comes again.
    pub(super) fn levels(&self) -> usize {
        let of_message = |of: &Composite| match of {
            Composite::Struct(_, fields) => fields.levels(),
            Composite::Again(_) | Composite::Wrapper(_) | Composite::WellKnown(_) => 0,
        };
        let lists = self.lists.iter().map(|list| match &list.of {
            Whole::One(of, _) => of_message(of),
            Whole::Many(of) => 1 + of_message(of),
            Whole::Map(entry) => entry.levels(),
            Whole::Scalars(_) => 1,
        });
        let oneofs = self.oneofs.iter().map(|oneof| {
            let members = oneof.members.iter().map(|member| match &member.of {
                MemberOf::Message(of) => of_message(of),
                MemberOf::Scalar(_) => 0,
            });
            usize::from(oneof.union.is_some()) + members.max().unwrap_or(0)
        });
        1 + lists.chain(oneofs).max().unwrap_or(0)
    }
}
