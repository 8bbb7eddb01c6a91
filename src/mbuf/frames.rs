//! Mbufs for frames to send: allocated from the host's pool, filled, handed to the host.

use super::overlay::RteMbuf;
use arrayvec::ArrayVec;
use core::ptr::null_mut;

/// Maximum of mbufs allocated at once.
pub const MAX_FRAMES: usize = 64;

/// Empty mbufs of one pool. [`Self::finish`] hands one to the host; drop frees the rest.
#[derive(Debug)]
pub struct FrameMbufs {
    mbufs: ArrayVec<*mut RteMbuf, MAX_FRAMES>,
}

impl FrameMbufs {
    /// Allocates `count` mbufs (at most `MAX_FRAMES`) from a pool, all or none.
    ///
    /// # Safety
    /// `pool` is a valid pktmbuf pool, and this thread may allocate from it.
    pub unsafe fn allocate(pool: *mut dpdk_sys::rte_mempool, count: usize) -> Option<Self> {
        let count = count.min(MAX_FRAMES);
        let mut mbufs = [null_mut::<RteMbuf>(); MAX_FRAMES];
        // SAFETY: the caller promises the pool; `mbufs` holds at least `count` pointers.
        let status = unsafe {
            dpdk_sys::pfplane_shim_alloc_bulk(pool, mbufs.as_mut_ptr().cast(), count as core::ffi::c_uint)
        };
        (status == 0).then(|| Self { mbufs: mbufs.into_iter().take(count).collect() })
    }

    /// Returns the bytes of the next mbuf, from the start of its data to the end of its buffer. They hold whatever the mbuf's
    /// last user left.
    pub fn buffer(&mut self) -> Option<&mut [u8]> {
        let mbuf = *self.mbufs.last()?;
        // SAFETY: allocated from the pool and not handed over, so valid, and nobody else has it; DPDK initialises the
        // memory of a mempool when it creates the pool.
        Some(unsafe { super::buffer(mbuf) })
    }

    /// Sets the next mbuf's data to `length` bytes of [`Self::buffer`], after `skip` bytes, and hands it over: the caller sends
    /// or frees it.
    ///
    /// # Panics
    /// No mbuf is left, or the bytes do not fit: the caller calls [`Self::buffer`] first.
    pub fn finish(&mut self, skip: u16, length: u16) -> *mut RteMbuf {
        let mbuf = self.mbufs.pop().expect("buffer() returned it");
        // SAFETY: allocated from the pool and not handed over, so valid, and nobody else has it.
        let header = unsafe { &mut *mbuf };
        assert!(
            u32::from(header.data_off) + u32::from(skip) + u32::from(length) <= u32::from(header.buf_len)
        );
        header.data_off += skip;
        header.data_len = length;
        header.pkt_len = length.into();
        mbuf
    }

    /// Returns the number of mbufs left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mbufs.len()
    }

    /// Returns whether no mbuf is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mbufs.is_empty()
    }
}

impl Drop for FrameMbufs {
    fn drop(&mut self) {
        if !self.mbufs.is_empty() {
            let count = self.mbufs.len() as core::ffi::c_uint;
            // SAFETY: each was allocated from its pool and not handed over; none is used afterwards.
            unsafe { dpdk_sys::rte_pktmbuf_free_bulk(self.mbufs.as_mut_ptr().cast(), count) };
        }
    }
}

/// Returns the bytes that one mbuf of a pool holds after its headroom, for [`Config`](crate::engine::Config).
///
/// # Safety
/// `pool` is a valid pktmbuf pool.
#[must_use]
pub unsafe fn data_room(pool: *mut dpdk_sys::rte_mempool) -> u32 {
    // SAFETY: the caller promises the pool.
    unsafe { dpdk_sys::pfplane_shim_data_room(pool) }
}
