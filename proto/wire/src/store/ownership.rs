//! Who owns the tasks of a shard, in columns.

use super::cluster::{read_written, written};
use super::{Form, v1};
use crate::Invalid;
use crate::read::{self, number};
use dray_model::record::{Owner, Ownership, SHARD_TASKS, Shard};
use std::collections::BTreeMap;

impl Form for Ownership {
    const WHAT: &'static str = "ownership";
    type Wire = v1::Ownership;

    fn read(wire: v1::Ownership) -> Result<Self, Invalid> {
        let rows = wire.agents.len();
        for (field, length) in [
            ("sessions", wire.sessions.len()),
            ("generations", wire.generations.len()),
        ] {
            if length != rows {
                let problem = format_args!("has {length} rows, and agents has {rows}");
                return Err(Invalid::new(field, problem));
            }
        }
        read::at_most("agents", rows, SHARD_TASKS as usize, "rows")?;
        let mut owners = BTreeMap::new();
        let columns = wire.agents.iter().zip(&wire.sessions).zip(&wire.generations);
        for (row, ((&agent, &session), &generation)) in (0..).zip(columns) {
            if (agent, session, generation) == (0, 0, 0) {
                continue;
            }
            let task = wire.first_task.checked_add(row);
            let task = task.ok_or_else(|| Invalid::new("first_task", "is too large for so many rows"))?;
            owners.insert(
                read::task(task)?,
                Owner {
                    agent: read::agent_number(&format!("agents[{row}]"), agent)?,
                    session: number(&format!("sessions[{row}]"), session)?,
                    generation: number(&format!("generations[{row}]"), generation)?,
                },
            );
        }
        one_shard(&owners)?;
        Ok(Self {
            uid: number("connector_uid", wire.connector_uid)?,
            owners,
            written: read_written("written", wire.written)?,
        })
    }

    fn wire(&self) -> Result<v1::Ownership, Invalid> {
        one_shard(&self.owners)?;
        let mut wire = v1::Ownership {
            connector_uid: self.uid.get(),
            written: Some(written(self.written)),
            ..Default::default()
        };
        let (Some((&first, _)), Some((&last, _))) = (self.owners.first_key_value(), self.owners.last_key_value())
        else {
            return Ok(wire);
        };
        wire.first_task = first;
        for task in first..=last {
            let owner = self.owners.get(&task);
            wire.agents.push(owner.map_or(0, |owner| owner.agent.get()));
            wire.sessions.push(owner.map_or(0, |owner| owner.session.get()));
            wire.generations.push(owner.map_or(0, |owner| owner.generation.get()));
        }
        Ok(wire)
    }
}

fn one_shard(owners: &BTreeMap<u32, Owner>) -> Result<(), Invalid> {
    let shards = (owners.keys().next(), owners.keys().next_back());
    if let (Some(&first), Some(&last)) = shards
        && Shard::of(first) != Shard::of(last)
    {
        let problem = format_args!("has tasks of two shards: {first} and {last}");
        return Err(Invalid::new("first_task", problem));
    }
    Ok(())
}
