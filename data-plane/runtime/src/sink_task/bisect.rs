//! Which records of a batch a sink cannot take: it is put in halves until they stand alone. What the sink had taken of a batch before it
//! refused it comes to it again.

use super::Runner;
use crate::guard::guarded;
use crate::policy::Tolerance;
use dray_connect::sink_batch::SinkBatch;
use dray_connect::{Error, Result};

impl Runner {
    /// Whether bad records are to be looked for in a batch that the sink refused so. Nothing is left out without a letter.
    pub(super) fn may_bisect(&self, batch: &SinkBatch, refused: &Error) -> bool {
        let wanted = self.dead_letters.as_ref().is_some_and(|queue| queue.config.bisect);
        wanted && self.policy.tolerance == Tolerance::All && !batch.is_empty() && is_about_data(refused)
    }

    /// Puts a batch that was refused, in parts and in order. Bad records go to `bad`, by their place in the fetch.
    ///
    /// # Errors
    /// What else the sink says. The batch then has the records that are still to be put.
    pub(super) async fn put_in_parts(
        &mut self,
        batch: &mut SinkBatch,
        refused: Error,
        bad: &mut Vec<(usize, Error)>,
    ) -> Result<()> {
        let records = batch.take_records();
        let mut whole = Some(refused);
        let mut parts: Vec<_> = std::iter::once(0..records.len()).collect(); // the next one last
        while let Some(part) = parts.pop() {
            let put = match whole.take() {
                Some(refused) => Err(refused),
                None => {
                    batch.forget_records();
                    records[part.clone()]
                        .iter()
                        .for_each(|record| batch.push(record.clone()));
                    match self.stop.run_until_cancelled(self.gate.to_begin()).await {
                        Some(_) => guarded("put", self.task.put(batch)).await,
                        None => Err(Error::Cancelled),
                    }
                }
            };
            match put {
                Ok(()) => {}
                Err(error) if !is_about_data(&error) => {
                    batch.forget_records();
                    records[part.start..]
                        .iter()
                        .for_each(|record| batch.push(record.clone()));
                    return Err(error);
                }
                Err(error) if part.len() == 1 => bad.push((records[part.start].fetched as usize, error)),
                Err(_) => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
            }
        }
        Ok(())
    }
}

/// Whether the records are bad. A connection that is broken says nothing of them.
fn is_about_data(error: &Error) -> bool {
    match error {
        Error::Data(_) | Error::SchemaBuilder(_) | Error::SchemaProjector(_) => true,
        Error::Caused { error, .. } => is_about_data(error),
        Error::IllegalArgument(_)
        | Error::Config(_)
        | Error::Retriable { .. }
        | Error::Connect { .. }
        | Error::Cancelled => false,
    }
}
