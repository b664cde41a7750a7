//! Filter: drops every record. Of use with a predicate.

use dray_connect::Result;
use dray_connect::config::ConfigDef;

use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "Filter",
    sided: false,
    definition: ConfigDef::new,
    make: |_, _| Ok(Box::new(Filter)),
};

struct Filter;

impl Transformation for Filter {
    fn apply(&mut self, _record: &mut ConnectRecord<'_>) -> Result<Applied> {
        Ok(Applied::Dropped)
    }
}
