//! What ends this process when its tasks outlive their lease. What tasks may do at a moment is `dray_runtime::gate`, which also has the
//! clock.

mod watchdog;

pub use watchdog::Watchdog;
