// SPDX-License-Identifier: MIT
//
// Usable RAM: the banks of the device tree without the holes in them.  Holes are what the tree
// reserves, and the image; they may touch and overlap.
#include "vm/ram.h"

#include "kern/lib/panic.h"
#include "kern/lib/string.h"
#include "vm/image.h"

struct ram_run ram_runs[RAM_RUNS_MAX];
uint32 ram_run_count;

struct hole {
  pa_t base, end;
};

// Return the lowest hole that ends above pa, in whole pages; one at the end of all addresses when
// there is none.
static struct hole next_hole(pa_t pa) {
  struct hole next = {~0UL, ~0UL};
  for (uint32 i = 0; i <= machine.reserved_count; i++) {
    struct pa_range r = {IMAGE_PA, image_to_pa(image_end) - IMAGE_PA};
    if (i < machine.reserved_count)
      r = machine.reserved[i];
    struct hole h = {ROUND_DOWN(r.base, PAGE_SIZE), ROUND_UP(r.base + r.size, PAGE_SIZE)};
    if (h.end > pa && h.base < next.base)
      next = h;
  }
  return next;
}

void ram_init(void) {
  for (const struct pa_range *r = machine.ram; r < machine.ram + machine.ram_count; r++) {
    pa_t at = ROUND_UP(r->base, PAGE_SIZE), end = ROUND_DOWN(r->base + r->size, PAGE_SIZE);
    while (at < end) {
      struct hole h = next_hole(at);
      pa_t stop = h.base < end ? h.base : end;
      if (at < stop)
        ram_runs[ram_run_count++] = (struct ram_run){at, stop, stop};
      at = h.end;
    }
  }
}

uint64 ram_size(void) {
  uint64 size = 0;
  for (uint32 i = 0; i < machine.ram_count; i++)
    size += machine.ram[i].size;
  return size;
}

pa_t boot_alloc(uint64 size) {
  size = ROUND_UP(size, PAGE_SIZE);
  struct ram_run *highest = NULL;
  uint64 usable = 0;
  for (struct ram_run *r = ram_runs; r < ram_runs + ram_run_count; r++) {
    usable += r->free_end - r->base;
    if (r->free_end - r->base >= size)
      highest = r;
  }
  if (!highest)
    panic("too little memory: %lu KiB wanted at boot, %lu KiB usable in all", size >> 10,
          usable >> 10);
  highest->free_end -= size;
  memset(pa_to_ptr(highest->free_end), 0, size);
  return highest->free_end;
}
