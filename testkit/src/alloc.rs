//! An allocator that counts: per thread, to prove that a path allocates nothing, and what the whole process holds, to prove that
//! there is a bound.
//!
//! ```
//! use althing_testkit::alloc::{CountingAllocator, allocations_during};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let (sum, counted) = allocations_during(|| 1 + 2);
//! assert_eq!((sum, counted.count), (3, 0));
//! let (_text, counted) = allocations_during(|| "on the heap".to_owned());
//! assert_eq!((counted.count, counted.bytes), (1, 11));
//! ```
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; this file only counts and passes on to System"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that the process holds, and the most that it held since it was last set back.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Constant and without a destructor: reading it neither allocates nor registers anything.
    static COUNTED: Cell<Allocations> = const { Cell::new(Allocations { count: 0, bytes: 0, freed: 0 }) };
}

/// The system's allocator, counting. Install it with `#[global_allocator]` in a test binary of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

/// What one thread has allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allocations {
    /// Calls that allocated; growing in place counts.
    pub count: u64,
    /// Bytes asked for; of a growth, the whole new size.
    pub bytes: u64,
    /// Calls that freed.
    pub freed: u64,
}

/// Runs `f` and counts what this thread allocates meanwhile; other threads do not count.
///
/// # Panics
/// When [`CountingAllocator`] is not the global allocator: a count that is always zero would prove nothing.
pub fn allocations_during<R>(f: impl FnOnce() -> R) -> (R, Allocations) {
    let before = COUNTED.get();
    drop(black_box(Box::new(black_box(0_u64))));
    let installed = COUNTED.get();
    assert!(
        installed.count > before.count,
        "CountingAllocator is not the global allocator of this binary"
    );
    let result = f();
    let after = COUNTED.get();
    let counted = Allocations {
        count: after.count - installed.count,
        bytes: after.bytes - installed.bytes,
        freed: after.freed - installed.freed,
    };
    (result, counted)
}

/// What this thread has allocated in its life: for threads that cannot be wrapped by [`allocations_during`]. All zero
/// when [`CountingAllocator`] is not the global allocator.
#[must_use]
pub fn allocated_so_far() -> Allocations {
    COUNTED.get()
}

/// Runs `f` and tells how many bytes more than before the process held at most meanwhile, on all threads; growing counts as both
/// blocks at once. One at a time: tests beside each other would count for each other.
///
/// # Panics
/// As [`allocations_during`].
pub fn peak_during<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let (result, _) = allocations_during(f);
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

fn hold(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

fn let_go(bytes: usize) {
    HELD.fetch_sub(bytes, Ordering::Relaxed);
}

fn count(bytes: usize, freed: u64) {
    // During thread teardown the counter may be gone: then nobody is asking.
    let _ = COUNTED.try_with(|counted| {
        let mut now = counted.get();
        now.count += u64::from(freed == 0);
        now.bytes += bytes as u64;
        now.freed += freed;
        counted.set(now);
    });
}

// SAFETY: every method hands the same arguments to `System`, which upholds the contract; counting neither allocates
// nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        hold(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        hold(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, 0);
        hold(new_size);
        // SAFETY: `ptr` came from `System` through this allocator, and the rest is passed on unchanged.
        let grown = unsafe { System.realloc(ptr, layout, new_size) };
        let_go(if grown.is_null() { new_size } else { layout.size() });
        grown
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(0, 1);
        let_go(layout.size());
        // SAFETY: `ptr` came from `System` through this allocator with this `layout`.
        unsafe { System.dealloc(ptr, layout) }
    }
}
