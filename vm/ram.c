// SPDX-License-Identifier: MIT
//
// Usable RAM: the banks of the device tree without the holes in them.  Holes are what the tree
// reserves, the image, and what boot_alloc gave out; they may touch and overlap.
#include "vm/ram.h"

#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/string.h"
#include "vm/image.h"

#define TAKEN_MAX 16

static struct pa_range ram_taken[TAKEN_MAX];  // what boot_alloc gave out
static uint32 taken_count;
static bool closed;

static uint32 hole_count(void) {
  return machine.reserved_count + taken_count + 1;
}

// Return hole number i in RAM, rounded to pages: reserved memory, what boot_alloc gave, the image.
static struct pa_range hole(uint32 i) {
  struct pa_range r = {IMAGE_PA, image_to_pa(image_end) - IMAGE_PA};
  if (i < machine.reserved_count)
    r = machine.reserved[i];
  else if (i - machine.reserved_count < taken_count)
    r = ram_taken[i - machine.reserved_count];
  pa_t base = ROUND_DOWN(r.base, PAGE_SIZE);
  return (struct pa_range){base, r.size == 0 ? 0 : ROUND_UP(r.base + r.size, PAGE_SIZE) - base};
}

// Return the first address from at on that is in no hole.
static pa_t holes_skip(pa_t at) {
  bool moved = true;
  while (moved) {
    moved = false;
    for (uint32 i = 0; i < hole_count(); i++) {
      struct pa_range h = hole(i);
      if (at >= h.base && at - h.base < h.size) {
        at = h.base + h.size;
        moved = true;
      }
    }
  }
  return at;
}

// Return where the first hole above at begins, at most end.
static pa_t holes_before(pa_t at, pa_t end) {
  for (uint32 i = 0; i < hole_count(); i++) {
    struct pa_range h = hole(i);
    if (h.size > 0 && h.base > at && h.base < end)
      end = h.base;
  }
  return end;
}

uint64 ram_size(void) {
  uint64 size = 0;
  for (uint32 i = 0; i < machine.ram_count; i++)
    size += machine.ram[i].size;
  return size;
}

pa_t ram_next(pa_t *start) {
  for (uint32 i = 0; i < machine.ram_count; i++) {
    struct pa_range ram = machine.ram[i];
    pa_t base = ROUND_UP(ram.base, PAGE_SIZE), end = ROUND_DOWN(ram.base + ram.size, PAGE_SIZE);
    if (*start < base)
      *start = base;
    *start = holes_skip(*start);
    if (*start < end)
      return holes_before(*start, end);
  }
  return 0;
}

// Record [base, base + size) as taken, as part of the range above it if it touches one.
static void ram_take(pa_t base, uint64 size) {
  for (uint32 i = 0; i < taken_count; i++) {
    if (ram_taken[i].base == base + size) {
      ram_taken[i].base = base;
      ram_taken[i].size += size;
      return;
    }
  }
  assert(taken_count < TAKEN_MAX);
  ram_taken[taken_count++] = (struct pa_range){base, size};
}

pa_t boot_alloc(uint64 size) {
  assert(!closed);
  size = ROUND_UP(size, PAGE_SIZE);
  pa_t highest = 0, end;
  uint64 usable = 0;
  for (pa_t start = 0; (end = ram_next(&start)) != 0; start = end) {
    usable += end - start;
    if (end - start >= size)
      highest = end;
  }
  if (highest == 0)
    panic("too little memory: %lu KiB wanted at boot, %lu KiB usable in all", size >> 10,
          usable >> 10);
  ram_take(highest - size, size);
  memset(pa_to_ptr(highest - size), 0, size);
  return highest - size;
}

void ram_close(void) {
  closed = true;
}
