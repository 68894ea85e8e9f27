// SPDX-License-Identifier: MIT
//
// Addresses for devices.  Only the direct map and the image's data are physically contiguous;
// dma_map refuses everything else, and names its owner.
#include "vm/dma.h"

#include "kern/lib/kasan.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/symbols.h"
#include "vm/image.h"
#include "vm/kstack.h"
#include "vm/pagetable.h"
#include "vm/ram.h"
#include "vm/vmalloc.h"

#define WHERE_SIZE 128

// Write to buf what is at address at, and who owns it.
static void dma_describe(vaddr_t at, char *buf, size_t size) {
  struct kstack_slot slot = kstack_describe(at);
  const struct vm_area *area = vmalloc_find(&vmalloc_general, at);
  struct symbol maker = {"?", 0};
  if (slot.in_window && slot.pid < 0) {
    ksnprintf(buf, size, "in a part of the stack window that nobody has owned");
  } else if (slot.in_window) {
    ksnprintf(buf, size, "%s %s of pid %d (%s)", slot.in_guard ? "in the guard below" : "on",
              slot.live ? "the kernel stack" : "a kernel stack, once that", slot.pid, slot.name);
  } else if (area) {
    symbol_find(area->maker, &maker);
    ksnprintf(buf, size, "in the vmalloc area that %s made", maker.name);
  } else {
    ksnprintf(buf, size, "not all of it writable memory of the direct map or data");
  }
}

static __attribute__((noinline)) _Noreturn void dma_refuse(const void *p, uint64 size, uint64 pc) {
  char where[WHERE_SIZE];
  struct symbol caller = {"?", pc};
  symbol_find(pc, &caller);
  dma_describe((vaddr_t)p, where, sizeof(where));
  panic("dma: %s+0x%lx asks for %lu bytes at %p, %s", caller.name, pc - caller.start, size, p,
        where);
}

static bool range_within(uint64 at, uint64 size, uint64 lo, uint64 hi) {
  return at >= lo && at < hi && size <= hi - at;
}

// Return whether each byte is mapped for writing: none in a guard, text or constants, or behind
// RAM.
static bool is_writable(vaddr_t at, uint64 size) {
  for (vaddr_t va = ROUND_DOWN(at, PAGE_SIZE); va < at + size; va += PAGE_SIZE)
    if (!(pagetable_leaf(va) & PTE_W))
      return false;
  return true;
}

pa_t dma_map(const void *p, uint64 size) {
  vaddr_t at = (vaddr_t)p;
  assert(size > 0);
  KASAN_WRITES(p, size);  // as the device may
  bool direct = range_within(at, size, DIRECT_BASE, DIRECT_END);
  bool data = range_within(at, size, (uint64)data_start, (uint64)image_end) &&
              !(at < (uint64)boot_stack_top && at + size > (uint64)boot_stack_guard);
  if (!(direct || data) || !is_writable(at, size))
    dma_refuse(p, size, (uint64)__builtin_return_address(0));
  return direct ? ptr_to_pa(p) : image_to_pa(p);
}
