// SPDX-License-Identifier: MIT
//
// Addresses for devices.  The direct map and the image are the only memory that is physically
// contiguous; everything else is refused, with the owner's name.
#include "vm/dma.h"

#include "kern/lib/panic.h"
#include "kern/lib/symbols.h"
#include "vm/image.h"
#include "vm/kstack.h"
#include "vm/page.h"
#include "vm/vmalloc.h"

static _Noreturn void dma_refuse(const void *p, uint64 size, uint64 pc) {
  struct symbol caller = {"?", pc, 0};
  symbol_find(pc, &caller);
  struct kstack_slot slot;
  kstack_describe((vaddr_t)p, &slot);
  if (slot.in_window)
    panic("dma: %s+0x%lx asks for %lu bytes at %p, on the kernel stack of pid %d (%s)", caller.name,
          pc - caller.start, size, p, slot.pid, slot.name);
  bool vmalloc = (vaddr_t)p >= VMALLOC_BASE && (vaddr_t)p < VMALLOC_END;
  struct vm_area *area = vmalloc ? vmalloc_find(&vmalloc_general, (vaddr_t)p) : NULL;
  if (area)
    panic("dma: %s+0x%lx asks for %lu bytes at %p, in a vmalloc area of pid %d (%s)", caller.name,
          pc - caller.start, size, p, area->pid, area->name);
  panic("dma: %s+0x%lx asks for %lu bytes at %p, neither direct map nor data", caller.name,
        pc - caller.start, size, p);
}

static bool range_within(uint64 at, uint64 size, uint64 lo, uint64 hi) {
  return at >= lo && at < hi && size <= hi - at;
}

pa_t dma_map(const void *p, uint64 size) {
  uint64 at = (uint64)p;
  assert(size > 0);
  if (range_within(at, size, DIRECT_BASE, DIRECT_END)) {
    page_of(p);
    page_of((const char *)p + size - 1);
    return ptr_to_pa(p);
  }
  bool data = range_within(at, size, (uint64)data_start, (uint64)image_end);
  bool stack = at < (uint64)boot_stack_top && at + size > (uint64)boot_stack_guard;
  if (!data || stack)
    dma_refuse(p, size, (uint64)__builtin_return_address(0));
  return image_to_pa(p);
}
