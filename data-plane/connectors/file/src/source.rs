//! FileStreamSource: each line of a file, or of standard input, becomes a record.

mod task;

use crate::config::{SourcePlan, source_def};
use crate::lines::POSITION;
use dray_connect::config::{ConfigDef, ConfigMap};
use dray_connect::connector::{ExactlyOnceSupport, SourceConnector, SourceTask};
use dray_connect::context::ConnectorContext;
use dray_connect::offset::{OffsetMap, Primitive};
use dray_connect::{Error, Result, async_trait};
pub use task::FileStreamSourceTask;

/// The field of the source partition.
const FILENAME: &str = "filename";

/// Always one task: a file has one order.
#[derive(Debug)]
pub struct FileStreamSourceConnector {
    config_def: ConfigDef,
    config: ConfigMap,
}

impl FileStreamSourceConnector {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config_def: source_def(),
            config: ConfigMap::new(),
        }
    }
}

impl Default for FileStreamSourceConnector {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SourceConnector for FileStreamSourceConnector {
    fn config_def(&self) -> &ConfigDef {
        &self.config_def
    }

    async fn start(&mut self, _context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        SourcePlan::new(config)?;
        self.config = config.clone();
        Ok(())
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<ConfigMap>> {
        Ok(vec![self.config.clone()])
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(FileStreamSourceTask::new())
    }

    fn exactly_once_support(&self, config: &ConfigMap) -> ExactlyOnceSupport {
        match SourcePlan::new(config) {
            Ok(plan) if plan.path().is_some() => ExactlyOnceSupport::Supported,
            Ok(_) | Err(_) => ExactlyOnceSupport::Unsupported,
        }
    }

    fn alter_offsets(&self, config: &ConfigMap, offsets: &[(Option<OffsetMap>, Option<OffsetMap>)]) -> Result<bool> {
        if SourcePlan::new(config)?.path().is_none() {
            return Err(Error::connect(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used \
                 for input and offsets are not tracked.",
            ));
        }
        for (partition, offset) in offsets {
            // A partition without offset is to be erased, whatever it is.
            let Some(offset) = offset else { continue };
            check_offset(offset)?;
            let Some(partition) = partition else {
                return Err(Error::connect("Partition objects cannot be null"));
            };
            if partition.get(FILENAME).is_none() {
                return Err(Error::connect("Partition objects should contain the key 'filename'"));
            }
        }
        Ok(true)
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

fn check_offset(offset: &OffsetMap) -> Result<()> {
    match offset.get(POSITION) {
        None => Err(Error::connect(
            "Offset objects should either be null or contain the key 'position'",
        )),
        Some(Primitive::Long(position)) if *position < 0 => Err(Error::connect(
            "The value for the 'position' key in the offset should be a non-negative value",
        )),
        Some(Primitive::Long(_)) => Ok(()),
        Some(Primitive::Null | Primitive::Boolean(_) | Primitive::Double(_) | Primitive::String(_)) => Err(
            Error::connect("The value for the 'position' key in the offset is expected to be a Long value"),
        ),
    }
}
