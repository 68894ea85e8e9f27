// SPDX-License-Identifier: MIT
//
// Buffers for devices, good ones and bad ones.
#include "kern/provoke/tests.h"

#include "kern/dev/disk.h"
#include "kern/lib/abi.h"
#include "kern/lib/machine.h"
#include "kern/lib/print.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/words.h"
#include "kern/sched/thread.h"
#include "vm/dma.h"
#include "vm/kmalloc.h"
#include "vm/kstack.h"
#include "vm/page.h"

// Give the buffer to a device: to none in particular, or to the disk, which reads a block into it.
static __attribute__((noinline)) void hand_over(void *p, uint64 size, const char *how) {
  if (word_is(how, "disk") && disk_read(1, p) != 0)
    kprintf("FAIL: the disk does not read\n");
  provoke_dma(p, dma_map(p, size));
}

// The running stack; one that was freed; or the end of the window, which RAM cannot fill.
void provoke_dma_stack(char *words[]) {
  struct thread *me = thread_current();
  uint64 at = me->kstack->lo;
  struct kstack *stack;
  if (word_is(words[0], "gone") &&
      (stack = kstack_alloc(me->pid, me->name, STACK_THREAD, &account_root))) {
    at = stack->lo;
    kstack_free(stack);
  } else if (word_is(words[0], "nobody")) {
    at = KSTACK_END - KSTACK_SIZE;
  }
  hand_over((void *)at, BLOCK_SIZE, words[0]);
}

void provoke_dma_vmalloc(char *words[]) {
  hand_over((void *)vmalloc_pair(), BLOCK_SIZE, words[0]);
}

void provoke_dma_heap(char *words[]) {
  void *p = kmalloc(BLOCK_SIZE);
  if (p)
    hand_over(p, BLOCK_SIZE, words[0]);
  kfree(p);
}

static uint32 data = 1;  // .data, not .bss

// Ranges that begin well and run off RAM, or off data; and code, by its address in the direct map.
void provoke_dma_range(char *words[]) {
  const struct pa_range *ram = &machine.ram[machine.ram_count - 1];
  if (word_is(words[0], "ram"))
    hand_over(pa_to_ptr(ram->base + ram->size - PAGE_SIZE), 2 * PAGE_SIZE, NULL);
  else if (word_is(words[0], "data"))
    hand_over(&data, IMAGE_MAX, NULL);
  else
    hand_over(pa_to_ptr((uint64)provoke_illegal - IMAGE_BASE + IMAGE_PA), BLOCK_SIZE, NULL);
}
