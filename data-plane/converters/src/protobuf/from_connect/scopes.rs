//! Which message a name means where it stands: messages are within others, and may be referred to from within themselves.

use std::collections::HashMap;

use dray_connect::Result;
use dray_connect::schema::{Field, Schema as Connect, SchemaRef};

use super::{Mapping, bad_name, check_name, is_union};
use crate::again::has_same_fields;

/// A message around others.
pub(super) struct Scope {
    pub(super) name: String,
    /// The names of its fields.
    fields: Vec<String>,
    /// What is meant within it, by simple name.
    within: HashMap<String, SchemaRef>,
}

impl Mapping<'_> {
    /// The names that fields have in a message.
    pub(super) fn names(&self, fields: &[Field]) -> Vec<String> {
        let members = fields.iter().filter(|field| is_union(&field.schema));
        let members = members.flat_map(|field| field.schema.fields().unwrap_or_default());
        let all = fields.iter().chain(members);
        all.map(|field| self.settings.scrubbed(&field.name).into_owned())
            .collect()
    }

    pub(super) fn enter(&mut self, name: &str, fields: Vec<String>) {
        self.scopes.push(Scope {
            name: name.to_owned(),
            fields,
            within: HashMap::new(),
        });
    }

    /// Has a reference's message written down with all others that lead to each other, if its name is free there: in a long chain they would
    /// nest too deep to be parsed.
    pub(super) fn want(&mut self, connect: &SchemaRef) -> Result<()> {
        let name = self.unqualified(connect.name());
        check_name(&name)?;
        let path = self.scopes.iter().take(self.entry + 1).map(|scope| scope.name.clone());
        let path = path.chain([name.clone()]).collect();
        if let Some(scope) = self.scopes.get_mut(self.entry)
            && !scope.within.contains_key(&name)
            && !scope.fields.contains(&name)
        {
            scope.within.insert(name.clone(), SchemaRef::clone(connect));
            self.made.push((SchemaRef::clone(connect), path));
            self.wanted.push_back((SchemaRef::clone(connect), name));
        }
        Ok(())
    }

    /// The name in the message that is being made of one that a reference stands for, where that has its place already.
    pub(super) fn known(&mut self, field: &str, connect: &SchemaRef) -> Option<String> {
        let made = self.made.get(self.family..)?.iter().rev();
        let (_, path) = made.clone().find(|(made, _)| is_same(made, connect))?;
        let (name, around) = path.split_last()?;
        let is_around = self
            .scopes
            .iter()
            .map(|scope| &scope.name)
            .take(around.len())
            .eq(around);
        let nearer = self.scopes.get_mut(around.len()..).filter(|_| is_around);
        // By that name something else may be meant here.
        let is_free = |scope: &Scope| scope.within.get(name).is_none_or(|known| is_same(known, connect));
        match nearer {
            Some(nearer) if name != field && nearer.iter().all(is_free) => {
                for scope in nearer {
                    scope.within.insert(name.clone(), SchemaRef::clone(connect));
                }
                Some(name.clone())
            }
            Some(_) | None => {
                let package = Some(&self.package).filter(|package| !package.is_empty());
                let parts: Vec<&str> = package.into_iter().chain(path).map(String::as_str).collect();
                Some(format!(".{}", parts.join(".")))
            }
        }
    }

    /// What has that name already in the message that is being made. Where nothing has, it is that schema's from now on.
    pub(super) fn define(&mut self, name: &str, connect: &SchemaRef) -> Result<Option<SchemaRef>> {
        let scope = self.scopes.last_mut().ok_or_else(|| bad_name(name))?;
        let known = scope.within.get(name).cloned();
        if known.is_none() {
            scope.within.insert(name.to_owned(), SchemaRef::clone(connect));
        }
        Ok(known)
    }
}

/// Whether one message stands for both: what is attached to a place may differ.
pub(super) fn is_same(a: &Connect, b: &Connect) -> bool {
    std::ptr::eq(a, b) || a.type_() == b.type_() && a.name() == b.name() && has_same_fields(a, b)
}
