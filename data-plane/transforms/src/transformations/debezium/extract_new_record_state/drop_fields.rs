//! Takes fields out of the row, and of the key, that a header of the record names.

use std::sync::Arc;

use dray_connect::config::ParsedConfig;
use dray_connect::schema::{SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};

use super::super::{is_blank, raw};
use crate::plans::{Defaults, Plans, copy_schema_basics};
use crate::record::{Lengths, Name};
use crate::{ConnectRecord, Side};

const PURPOSE: &str = "field replacement";

/// Lists of names that are known for one schema; at the limit it starts anew. A connector sends the same few lists.
const LISTS: usize = 16;

/// What `drop.fields.*` says.
pub(super) struct DropFields {
    header: String,
    from_key: bool,
    /// Only optional fields go.
    compatible: bool,
    plans: [Plans<Vec<Plan>>; 2],
}

/// What is left of a schema without the fields of a list.
struct Plan {
    names: Vec<String>,
    /// None where no field goes.
    rest: Option<(SchemaRef, Vec<usize>)>,
    defaults: Defaults,
}

impl DropFields {
    /// None where no header is named.
    pub(super) fn new(config: &ParsedConfig) -> Result<Option<Self>> {
        let header = raw(config, "drop.fields.header.name").unwrap_or_default();
        if is_blank(header) {
            return Ok(None);
        }
        Ok(Some(Self {
            header: header.to_owned(),
            from_key: config.boolean("drop.fields.from.key")?,
            compatible: config.boolean("drop.fields.keep.schema.compatible")?,
            plans: Default::default(),
        }))
    }

    pub(super) fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<()> {
        let names = self.names(record)?;
        if names.is_empty() {
            return Ok(());
        }
        if self.from_key && !record.is_null(Side::Key) {
            self.drop(record, Side::Key, &names)?;
        }
        if !record.is_null(Side::Value) {
            self.drop(record, Side::Value, &names)?;
        }
        Ok(())
    }

    /// The names in the first header of that key; none where there is no such header or it is null.
    fn names(&self, record: &ConnectRecord<'_>) -> Result<Vec<String>> {
        let mut headers = record.headers().into_iter().flatten();
        let Some(header) = headers.find(|header| *header.key == *self.header) else {
            return Ok(Vec::new());
        };
        let refused = |class: &str| {
            Err(Error::data(format!(
                "header {} must be a list of field names to drop, and holds {class}",
                self.header
            )))
        };
        let value = &header.value.value;
        if value.is_null() {
            return Ok(Vec::new());
        }
        let Some(elements) = value.as_array() else {
            return refused(value.java_class());
        };
        let mut names = Vec::with_capacity(elements.len());
        for element in elements {
            match element.as_str() {
                Some(name) => names.push(name.to_owned()),
                None => return refused(&format!("a list with {}", element.java_class())),
            }
        }
        Ok(names)
    }

    fn drop(&mut self, record: &mut ConnectRecord<'_>, side: Side, names: &[String]) -> Result<()> {
        if record.schema(side).is_none() {
            let mut map = record.map(side, PURPOSE)?;
            let dropped = |name: Option<&[u8]>| names.iter().any(|other| Some(other.as_bytes()) == name);
            return map.rename_each(
                Lengths::ALL,
                |name| if dropped(name) { Name::Removed } else { Name::Same },
            );
        }
        let mut fields = record.record(side, PURPOSE)?;
        let plans = &mut self.plans[usize::from(side == Side::Value)];
        let schema = Arc::clone(fields.schema());
        let lists = plans.get_mut(&schema, |_| Ok(Vec::new()))?;
        let place = match lists.iter().position(|plan| plan.names == names) {
            Some(place) => place,
            None => {
                let plan = plan(&schema, names, self.compatible)?;
                if lists.len() == LISTS {
                    lists.clear();
                }
                lists.push(plan);
                lists.len() - 1
            }
        };
        let plan = &lists[place];
        let Some((rest, kept)) = &plan.rest else { return Ok(()) };
        fields.reshape(rest, |values, backing| {
            plan.defaults.fill(values, backing);
            for (to, from) in kept.iter().enumerate() {
                values[to] = values[*from];
            }
            values.truncate(kept.len());
        });
        fields.refuse_null()
    }
}

fn plan(schema: &SchemaRef, names: &[String], compatible: bool) -> Result<Plan> {
    let dropped = |name: &str| names.iter().any(|other| other == name);
    let goes = |optional: bool| optional || !compatible;
    let all = schema.fields()?;
    let (mut builder, mut kept) = (copy_schema_basics(schema, SchemaBuilder::struct_()), Vec::new());
    for field in all {
        if dropped(&field.name) && goes(field.schema.optional()) {
            continue;
        }
        builder = builder.field(Arc::clone(&field.name), Arc::clone(&field.schema));
        kept.push(field.index);
    }
    // Java copies the struct wherever there is a name to look for, also one that it does not have.
    let copied = if compatible { kept.len() < all.len() } else { true };
    Ok(Plan {
        names: names.to_vec(),
        rest: if copied { Some((builder.build()?, kept)) } else { None },
        defaults: Defaults::of(schema, true)?,
    })
}
