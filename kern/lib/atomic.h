// SPDX-License-Identifier: MIT
//
// Atomic accesses with their ordering in the name.  RISC-V unprivileged 8 (A) and 14 (RVWMO).
#pragma once

// Aligned plain stores are atomic.  The builtin is one only in newer compilers, a swap in others.
#define store_relaxed(p, v) ((void)(*(volatile __typeof__(*(p)) *)(p) = (v)))
#define store_release(p, v) (__atomic_thread_fence(__ATOMIC_RELEASE), store_relaxed((p), (v)))
#define load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define add_relaxed(p, v)   ((void)__atomic_fetch_add((p), (v), __ATOMIC_RELAXED))
#define fetch_add(p, v)     __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define fetch_sub(p, v)     __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define fetch_or(p, v)      __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
#define fetch_and(p, v)     __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)
#define atomic_swap(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
// Store v where *expected is; else *expected becomes what is there.  Returns whether it was stored.
#define compare_swap(p, expected, v)                                                               \
  __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define fence_all() __atomic_thread_fence(__ATOMIC_SEQ_CST)
