/* What differs between releases of VPP. No other file asks for the release. */
#ifndef included_pfplane_compat_h
#define included_pfplane_compat_h

#include <vlib/vlib.h>

/* Since 26.10, hand-off has a header and rings of its own. */
#if __has_include(<vlib/handoff.h>)
#include <vlib/handoff.h>
#define pfp_handoff_queue_new(node) \
  vlib_handoff_alloc_queues (&(vlib_handoff_alloc_queues_args_t){ .node_index = (node) })
#define pfp_handoff(vm, node, queue, buffers, threads, count) \
  vlib_buffer_enqueue_to_thread (vm, node, queue, buffers, threads, count)
#else
#define pfp_handoff_queue_new(node) vlib_frame_queue_main_init ((node), 0)
#define pfp_handoff(vm, node, queue, buffers, threads, count) \
  vlib_buffer_enqueue_to_thread (vm, node, queue, buffers, threads, count, 1)
#endif

#endif
