//! Records by name, in a map that is cheap to copy: what did not change is shared between the copies, so that a new snapshot costs as
//! much as its changes, and so does the comparison of two.

use super::Kept;
use dray_machine::cluster::Name;
use rustc_hash::FxHasher;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::RangeBounds;
use std::sync::Arc;

/// A change copies one bucket. With 10,000 connectors one holds some 120 records, and 256 pointers are copied with each snapshot.
const BUCKETS: usize = 256;

type Bucket = BTreeMap<Name, Arc<Kept>>;

/// Records by name.
#[derive(Clone)]
pub(super) struct Table(Vec<Arc<Bucket>>);

impl Table {
    pub(super) fn new() -> Self {
        Self(vec![Arc::default(); BUCKETS])
    }

    /// Everything of one connector is in one bucket.
    fn bucket(name: &Name) -> usize {
        let mut hasher = FxHasher::default();
        match name {
            Name::Meta => {}
            Name::Spec(connector) | Name::Tasks(connector) | Name::Own(connector, _) => connector.hash(&mut hasher),
            Name::Agent(agent) => agent.hash(&mut hasher),
        }
        // The upper bits are the better mixed ones.
        (hasher.finish() >> 56) as usize % BUCKETS
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Arc<Kept>> {
        self.0[Self::bucket(name)].get(name)
    }

    pub(super) fn put(&mut self, name: Name, kept: Arc<Kept>) {
        Arc::make_mut(&mut self.0[Self::bucket(&name)]).insert(name, kept);
    }

    pub(super) fn remove(&mut self, name: &Name) {
        let bucket = &mut self.0[Self::bucket(name)];
        if bucket.contains_key(name) {
            Arc::make_mut(bucket).remove(name);
        }
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Arc<Kept>)> {
        self.0.iter().flat_map(|bucket| bucket.iter())
    }

    /// What lies between two names of one connector, in order.
    pub(super) fn range<'a, R: RangeBounds<Name>>(
        &'a self,
        of: &Name,
        range: R,
    ) -> impl Iterator<Item = (&'a Name, &'a Arc<Kept>)> + use<'a, R> {
        self.0[Self::bucket(of)].range(range)
    }

    /// Every name whose record is another one than in `before`, with both.
    pub(super) fn differences<'a>(
        &'a self,
        before: &'a Self,
        mut each: impl FnMut(&'a Name, Option<&'a Arc<Kept>>, Option<&'a Arc<Kept>>),
    ) {
        for (old, new) in before.0.iter().zip(&self.0) {
            if Arc::ptr_eq(old, new) {
                continue;
            }
            for (name, was) in old.iter() {
                match new.get(name) {
                    Some(is) if Arc::ptr_eq(was, is) || was.revision == is.revision => {}
                    is => each(name, Some(was), is),
                }
            }
            for (name, is) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                each(name, None, Some(is));
            }
        }
    }
}
