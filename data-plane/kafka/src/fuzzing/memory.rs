//! Counts what the tests of this crate allocate, thread by thread: a parser that allocates by a length which its input only claims
//! is seen nowhere else, since memory that nobody touches costs nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that `work` held at once, at most, beyond what was held before.
pub(super) fn most_held(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    work();
    MOST.get().abs_diff(before)
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: usize) {
    // A thread may still free memory, or take some, when these are gone already.
    let counted = HELD.try_with(|held| {
        held.set(held.get() + bytes as isize);
        held.get()
    });
    counted
        .and_then(|held| MOST.try_with(|most| most.set(most.get().max(held))))
        .ok();
}

fn discount(bytes: usize) {
    HELD.try_with(|held| held.set(held.get() - bytes as isize)).ok();
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // For a moment there may be both.
        count(size);
        let place = unsafe { System.realloc(place, layout, size) };
        discount(layout.size());
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        discount(layout.size());
        unsafe { System.dealloc(place, layout) }
    }
}

#[test]
fn memory_that_was_only_reserved_counts() {
    let held = most_held(|| {
        drop(Vec::<u8>::with_capacity(1 << 20));
        drop(vec![0_u64; 1000]);
    });
    assert!((1 << 20..(1 << 20) + 8000).contains(&held), "{held}");
}
