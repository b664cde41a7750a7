//! What keeps this process from acting after its time: the clock that leases are counted on, and the thread that ends a process which
//! cannot end its own tasks. What tasks may do at a moment is `dray_runtime::gate`.

mod clock;
mod watchdog;

pub use clock::Clock;
pub use watchdog::Watchdog;
