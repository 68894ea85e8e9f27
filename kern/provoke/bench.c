// SPDX-License-Identifier: MIT
//
// BENCH_STACK: the instructions that a stack takes, by the hart's own counter.
//
// A step runs with interrupts off.  Its figure is the least of several rounds, less what calling
// nothing takes.  Where the cost comes in lumps (a batch of pages, a fence), a step makes BATCH at
// once, and the figure is for one.  A single block is measured where the buddy neither splits nor
// merges it, since how often it would depends on what happens to be free.  Meant for one hart and
// QEMU's -icount shift=0; docs/bench.md.
#include "kern/provoke/tests.h"

#include "kern/lib/atomic.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "vm/kstack.h"
#include "vm/kstack_cache.h"
#include "vm/page.h"

#define ROUNDS      8
#define BATCH       512  // more than any cache or batch of the kernel holds
#define BLOCK_ORDER 2

_Static_assert(PAGE_SIZE << BLOCK_ORDER == KSTACK_SIZE, "a block is as large as a stack");

struct step {
  const char *name;
  void (*before)(void);
  void (*run)(void);
  void (*after)(void);
  uint32 count;  // of what the step makes; the figure is for one
};

static struct kstack *stack, *stack_batch[BATCH];
static void *block, *block_batch[BATCH];
static bool done;  // [a] the thread has run

static void nothing(void) {
}

static void stack_take(void) {
  stack = kstack_alloc(0, "bench", STACK_THREAD, &account_root);
}

static void stack_give(void) {
  kstack_free(stack);
}

// Put a stack that is all zeros into the cache.
static void stack_give_zeroed(void) {
  stack_take();
  stack_give();
}

static void stack_erase(void) {
  kstack_erase(stack);
}

// Take a stack and use the upper n bytes of it.
static void stack_use(uint64 n) {
  stack_take();
  irq_t irq = irq_save();
  kstack_refill();
  if (KSTACK_GROW)
    kstack_grow(stack, stack->lo + KSTACK_SIZE - ROUND_UP(n, PAGE_SIZE), 0);
  irq_restore(irq);
  memset((void *)(stack->lo + KSTACK_SIZE - n), 0xff, n);
}

static void stack_use_1k(void) {
  stack_use(1024);
}

static void stack_use_4k(void) {
  stack_use(4096);
}

static void stack_use_16k(void) {
  stack_use(KSTACK_SIZE);
}

static void stacks_take(void) {
  for (uint32 i = 0; i < BATCH; i++)
    stack_batch[i] = kstack_alloc(0, "bench", STACK_THREAD, &account_root);
}

static void stacks_give(void) {
  for (uint32 i = 0; i < BATCH; i++)
    kstack_free(stack_batch[i]);
}

static void block_take(void) {
  block = page_alloc_order(BLOCK_ORDER);
}

static void block_zero(void) {
  for (uint32 i = 0; i < KSTACK_SIZE; i += PAGE_SIZE)
    page_zero((char *)block + i);
}

static void block_give(void) {
  page_put(block);
}

static void blocks_take(void) {
  for (uint32 i = 0; i < BATCH; i++)
    block_batch[i] = page_alloc_order(BLOCK_ORDER);
}

static void blocks_give(void) {
  for (uint32 i = 0; i < BATCH; i++)
    page_put(block_batch[i]);
}

// Take blocks and give every other one back: the free ones, which are found first, now have
// neighbours in use.
static void blocks_isolate(void) {
  blocks_take();
  for (uint32 i = 1; i < BATCH; i += 2)
    page_put(block_batch[i]);
}

static void blocks_restore(void) {
  for (uint32 i = 0; i < BATCH; i += 2)
    page_put(block_batch[i]);
}

static void block_take_isolated(void) {
  blocks_isolate();
  block_take();
}

static void block_give_isolated(void) {
  block_give();
  blocks_restore();
}

// What a thread of the bench does.  distrusted, if not null: its stack is not to be cached.
static void bench_thread_start(void *distrusted) {
  if (distrusted)
    kstack_distrust(thread_current()->kstack);
  store_release(&done, true);
  thread_exit();
}

static void thread_run(void (*start)(void *), void *arg) {
  store_relaxed(&done, false);
  struct thread *t = thread_create("bench", 0, start, arg);
  assert(t);
  thread_ready(t);
  while (!load_acquire(&done))
    thread_yield();
}

static void thread_cached(void) {
  thread_run(bench_thread_start, NULL);
}

static void threads_uncached(void) {
  for (uint32 i = 0; i < BATCH; i++)
    thread_run(bench_thread_start, &done);
}

// Go down the stack by more than a page.
static __attribute__((noinline)) void go_deep(uint32 calls) {
  volatile uint8 local[PAGE_SIZE / 8];
  local[0] = calls;
  if (local[0] > 0)
    go_deep(calls - 1);
}

// What a thread of the bench does with a new stack: grow, and go there once more.
static void grow_start(void *cost) {
  for (uint32 i = 0; i < 2; i++) {
    uint64 start = csr_read(instret);
    go_deep(8);
    ((uint64 *)cost)[i] = csr_read(instret) - start;
  }
  bench_thread_start(&done);
}

// Return what it takes a stack to grow, with the interrupt that gets another spare page.
static uint64 growth_cost(void) {
  uint64 best = ~(uint64)0, cost[2];
  for (uint32 round = 0; round < ROUNDS; round++) {
    page_drain();  // the caches may have stacks that have grown
    thread_run(grow_start, cost);
    best = cost[0] - cost[1] < best ? cost[0] - cost[1] : best;
  }
  return best;
}

static uint64 least(const struct step *step) {
  uint64 best = ~(uint64)0;
  for (uint32 round = 0; round < ROUNDS; round++) {
    step->before();
    irq_t irq = irq_save();
    uint64 start = csr_read(instret);
    step->run();
    uint64 used = csr_read(instret) - start;
    irq_restore(irq);
    step->after();
    best = used < best ? used : best;
  }
  return best;
}

static void measure(void) {
  static const struct step empty = {"nothing", nothing, nothing, nothing, 1};
  static const struct step steps[] = {
      {"stack-cached", stack_give_zeroed, stack_take, stack_give, 1},
      {"erase-0", stack_give_zeroed, stack_erase, nothing, 1},
      {"erase-1k", stack_use_1k, stack_erase, stack_give, 1},
      {"erase-4k", stack_use_4k, stack_erase, stack_give, 1},
      {"erase-16k", stack_use_16k, stack_erase, stack_give, 1},
      {"stack-cached-free", stack_take, stack_give, nothing, 1},
      {"stack-uncached", page_drain, stacks_take, stacks_give, BATCH},
      {"stack-uncached-free", stacks_take, stacks_give, nothing, BATCH},
      {"block", blocks_isolate, block_take, block_give_isolated, 1},
      {"block-zero", block_take, block_zero, block_give, 1},
      {"block-free", block_take_isolated, block_give, blocks_restore, 1},
      {"block-many", page_drain, blocks_take, blocks_give, BATCH},
      {"block-many-free", blocks_take, blocks_give, nothing, BATCH},
      {"thread-cached", nothing, thread_cached, nothing, 1},
      {"thread-uncached", page_drain, threads_uncached, nothing, BATCH},
  };
  uint64 overhead = least(&empty);
  for (uint32 i = 0; i < ARRAY_SIZE(steps); i++)
    kprintf("bench: %s %lu instructions\n", steps[i].name,
            (least(&steps[i]) - overhead) / steps[i].count);
  if (KSTACK_GROW)
    kprintf("bench: growth %lu instructions\n", growth_cost());
}

void provoke_bench_stack(char *words[]) {
  (void)words;
  static uint32 busy;  // [a]
  if (atomic_swap(&busy, 1)) {
    kprintf("BENCH_STACK: another process measures\n");
    return;
  }
  page_drain();
  if (page_available() < 2 * BATCH * (KSTACK_SIZE / PAGE_SIZE))
    kprintf("BENCH_STACK: too little memory is free\n");
  else
    measure();
  store_release(&busy, 0);
}
