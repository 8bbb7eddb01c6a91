//! How many bytes of stack a call uses: it runs in a thread on painted memory.

use core::cell::RefCell;
use core::ffi::c_void;
use core::ptr::null_mut;
use std::collections::BTreeMap;

/// The stack of a measured call. The page below it is not mapped, so that an overflow ends the test.
const STACK: usize = 256 << 10;
const PAGE: usize = 4096;
const PAINT: u8 = 0xa5;

thread_local! {
    static USED: RefCell<BTreeMap<&'static str, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// Returns the most that each call has used in this thread's measurements.
pub(crate) fn used() -> BTreeMap<&'static str, usize> {
    USED.with_borrow(BTreeMap::clone)
}

/// Calls a function of the C API on a measured stack.
macro_rules! call {
    ($name:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the test's own pointers; some functions are safe.
        $crate::measure::measure(stringify!($name), || unsafe { $name($($argument),*) })
    };
}
pub(crate) use call;

struct Job<F, T> {
    call: Option<F>,
    result: Option<T>,
    /// Address of a variable in the caller of `call`.
    top: usize,
}

extern "C" fn run<F: FnOnce() -> T, T>(job: *mut c_void) -> *mut c_void {
    // SAFETY: `measure` passes its job, and waits for this thread.
    let job = unsafe { &mut *job.cast::<Job<F, T>>() };
    let top = 0u8;
    job.top = (&raw const top).addr();
    job.result = job.call.take().map(call_it);
    null_mut()
}

/// Keeps the call's own variables below the mark.
#[inline(never)]
fn call_it<F: FnOnce() -> T, T>(call: F) -> T {
    call()
}

/// Runs a call, notes how much stack it used, and returns its result.
pub(crate) fn measure<F: FnOnce() -> T, T>(name: &'static str, call: F) -> T {
    let mut job = Job { call: Some(call), result: None, top: 0 };
    // SAFETY: a new mapping.
    let base = unsafe {
        libc::mmap(
            null_mut(),
            PAGE + STACK,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(base, libc::MAP_FAILED);
    let stack = base.wrapping_byte_add(PAGE);
    // SAFETY: both are within the mapping, which nobody else uses.
    unsafe {
        stack.cast::<u8>().write_bytes(PAINT, STACK);
        assert_eq!(libc::mprotect(base, PAGE, libc::PROT_NONE), 0);
    }
    // SAFETY: the thread has the stack and the job for itself until it is joined.
    unsafe {
        let (mut attributes, mut thread) = (core::mem::zeroed(), 0);
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstack(&mut attributes, stack, STACK), 0);
        let status = libc::pthread_create(&mut thread, &attributes, run::<F, T>, (&raw mut job).cast());
        assert_eq!(status, 0);
        assert_eq!(libc::pthread_join(thread, null_mut()), 0);
        libc::pthread_attr_destroy(&mut attributes);
    }
    // SAFETY: the thread has ended.
    let painted = unsafe { core::slice::from_raw_parts(stack.cast::<u8>(), STACK) };
    let mut pages = painted.chunks(PAGE).enumerate();
    let used = pages.find_map(|(page, bytes)| {
        let whole = bytes != [PAINT; PAGE];
        whole.then(|| PAGE * page + bytes.iter().take_while(|byte| **byte == PAINT).count())
    });
    let lowest = used.expect("the thread used its stack");
    let used = job.top - stack.addr() - lowest;
    // SAFETY: the mapping of this call.
    assert_eq!(unsafe { libc::munmap(base, PAGE + STACK) }, 0);
    USED.with_borrow_mut(|all| {
        let most = all.entry(name).or_default();
        *most = used.max(*most);
    });
    job.result.expect("the call has returned")
}

#[test]
fn what_a_call_uses_is_seen() {
    #[inline(never)]
    fn fills<const BYTES: usize>() -> u8 {
        core::hint::black_box(&mut [1u8; BYTES])[BYTES / 2]
    }
    assert_eq!(measure("small", fills::<100>) + measure("large", fills::<50_000>), 2);
    let used = used();
    assert!(used["small"] >= 100 && used["small"] < 2000, "{used:?}");
    assert!(used["large"] >= 50_000 && used["large"] < 120_000, "{used:?}");
}
