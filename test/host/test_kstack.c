// SPDX-License-Identifier: MIT
//
// vm/kstack.c and vm/kstack_cache.c with threads as harts, all at once: stacks are taken, used,
// given back and drained. Nobody is given a stack that another one has, nor one with anything on
// it; and all come back, to those who paid for them, too.
#include "test/host/vm_host.h"

#include "vm/vmalloc.h"

// The window is where the host puts it: all of it.
#undef KSTACK_BASE
#define KSTACK_BASE 4096UL
#define FRAME_MAX   1024
#define VMAP_STACK  1

// Between looking and acting others may come.
static void give_way(void) {
  static __thread uint32 looks;
  if (++looks % 7 == 0)
    sched_yield();
}
#include "kern/lib/atomic.h"
#undef load_relaxed
#define load_relaxed(p)                                                                            \
  ({                                                                                               \
    __typeof__(*(p)) seen_ = __atomic_load_n((p), __ATOMIC_RELAXED);                               \
    give_way();                                                                                    \
    seen_;                                                                                         \
  })
static void tlb_fence_all(void);

#include "vm/account.c"
#include "vm/kstack.c"
#include "vm/kstack_cache.c"
#include "vm/unguarded.c"

#define HARTS  4
#define SLOTS  16  // fewer than they want at once: allocation fails, too
#define HELD   12
#define LIMIT  10  // fewer still
#define TURNS  40000
#define SECRET 0x5ec4e75ec4e7

static struct vm_area areas[SLOTS];
static struct account *limited;                 // to LIMIT stacks
static uint32 mapped_now[SLOTS], owned[SLOTS];  // [a] 0 or 1

uint64 bootarg_number(const char *name, uint64 fallback, uint64 min, uint64 max) {
  CHECK(strcmp(name, "kstack_cache") == 0 && min <= fallback && fallback <= max);
  return 3;
}

void tlb_catch_up(uint64 generation) {
  CHECK(generation == 7);
  this_hart()->fence_generation = generation;
}

// Nobody uses a reserve here.
void *page_alloc_zeroed(void) {
  CHECK(false);
  return NULL;
}

pte_t prot_bits(enum prot prot) {
  CHECK(false && prot);
  return 0;
}

uint64 tlb_mapped(void) {
  CHECK(false);
  return 0;
}

static void tlb_fence_all(void) {
  CHECK(false);
}

void tlb_fence_harts(void) {
  CHECK(false);
}

struct vm_area *vmalloc_range(struct vmalloc_arena *arena, uint64 size) {
  CHECK(arena == &kstack_window && size == KSTACK_SIZE);
  for (uint32 i = 0; i < SLOTS; i++)
    if (__atomic_exchange_n(&mapped_now[i], 1, __ATOMIC_ACQ_REL) == 0) {
      memset((void *)areas[i].base, 0, KSTACK_SIZE);
      return &areas[i];
    }
  return NULL;
}

void vmalloc_free(struct vm_area *area) {
  CHECK(kstacks[area - areas].kind == 0);
  CHECK(__atomic_exchange_n(&mapped_now[area - areas], 0, __ATOMIC_ACQ_REL) == 1);
}

void vmalloc_add_arena(struct vmalloc_arena *arena, uint64 size) {
  CHECK(arena == &kstack_window && size == SLOTS * KSTACK_SLOT);
  arena->areas = areas;
  // An entry for each page of the host's addresses: none is set, since nobody uses a reserve.
  arena->ptes = mmap(NULL, ((1UL << 47) >> PAGE_SHIFT) * sizeof(pte_t), PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(arena->ptes != MAP_FAILED);
  arena->granules.count = SLOTS;
}

uint64 ram_size(void) {
  return SLOTS * KSTACK_SIZE;
}

pa_t boot_alloc(uint64 size) {
  return ptr_to_pa(calloc(1, size));
}

void page_add_reclaimer(void (*reclaim)(void)) {
  CHECK(reclaim == kstack_drain);
}

void *page_alloc_order(uint32 order) {
  CHECK(order == 0);
  return NULL;
}

uint32 page_put(void *p) {
  CHECK(!p);
  return 0;
}

void *kmalloc(size_t size) {
  return malloc(size);
}

void kfree(void *p) {
  free(p);
}

static uint32 random_of(uint64 *state, uint32 n) {
  *state = *state * 6364136223846793005 + 1442695040888963407;
  return (*state >> 33) % n;
}

// Use a stack as threads do: frames of up to FRAME_MAX, each with a word or two in it.
static void use(struct kstack *stack, uint64 *random) {
  uint64 depth = random_of(random, KSTACK_SIZE), at = 16;
  for (; at < depth; at += 16 + random_of(random, FRAME_MAX / 16) * 16)
    *(uint64 *)(stack->lo + KSTACK_SIZE - at) = SECRET;
}

static struct kstack *take(uint64 *random) {
  struct account *account = random_of(random, 2) ? limited : &account_root;
  struct kstack *stack = kstack_alloc(this_index, "thread", STACK_THREAD, account);
  CHECK(load_relaxed(&limited->used) <= limited->limit);
  if (!stack)
    return NULL;
  CHECK(__atomic_exchange_n(&owned[stack - kstacks], 1, __ATOMIC_ACQ_REL) == 0);
  const uint64 *p = (const uint64 *)stack->lo;
  for (uint32 i = 0; i < KSTACK_SIZE / sizeof(*p); i++)
    CHECK(p[i] == 0);
  use(stack, random);
  return stack;
}

// A stack that is not to be trusted may have anything anywhere.
static void give(struct kstack *stack, uint64 *random) {
  if (random_of(random, 10) == 0) {
    *(uint64 *)stack->lo = SECRET;
    kstack_distrust(stack);
  }
  CHECK(__atomic_exchange_n(&owned[stack - kstacks], 0, __ATOMIC_ACQ_REL) == 1);
  kstack_free(stack);
}

static void *live(void *arg) {
  struct kstack *mine[HELD] = {NULL};
  uint64 random = (uint64)arg;
  for (uint32 turn = 0; turn < TURNS; turn++) {
    this_index = random_of(&random, 2);  // threads move: caches are shared
    struct kstack **place = &mine[random_of(&random, HELD)];
    if (*place) {
      give(*place, &random);
      *place = NULL;
    } else {
      *place = take(&random);
    }
    if (random_of(&random, 50) == 0)
      kstack_drain();
  }
  for (uint32 i = 0; i < HELD; i++)
    if (mine[i])
      give(mine[i], &random);
  return NULL;
}

static void check_counts(uint64 stacks, uint64 cached) {
  struct memory_info counts;
  kstack_count(&counts);
  CHECK(counts.stacks == stacks && counts.cached == cached);
  CHECK(counts.mapped - counts.unmapped == stacks);
  if (stacks == cached)  // nobody has one, but for what the limited account began with
    CHECK(account_root.used == KSTACK_PAGES && limited->used == KSTACK_PAGES);
}

// One hart alone: as many as the boot argument says are kept, and the rest is unmapped.
static void test_cache(void) {
  uint64 random = 1;
  struct kstack *a[5];
  for (uint32 i = 0; i < 5; i++)
    a[i] = take(&random);
  check_counts(5, 0);
  for (uint32 i = 0; i < 5; i++) {
    CHECK(__atomic_exchange_n(&owned[a[i] - kstacks], 0, __ATOMIC_ACQ_REL) == 1);
    kstack_free(a[i]);
  }
  check_counts(3, 3);
  a[0] = take(&random);
  check_counts(3, 2);
  give(a[0], &random);
  this_index = 1;  // whose cache is empty; but it can empty the others
  kstack_drain();
  check_counts(0, 0);
}

int main(void) {
  pthread_t thread[HARTS];
  hart_count = HARTS;
  for (uint32 i = 0; i < SLOTS; i++) {
    areas[i] = (struct vm_area){.first = i, .generation = 7};
    areas[i].base = (vaddr_t)aligned_alloc(KSTACK_SIZE, KSTACK_SIZE);
  }
  kstack_init();
  kstack_cache_init();
  CHECK(account_charge(&account_root, KSTACK_PAGES, KSTACK_PAGES));
  CHECK(account_create(&account_root, LIMIT * KSTACK_PAGES, KSTACK_PAGES, &limited) == 0);
  test_cache();
  yield_every = 3;
  for (uint64 i = 0; i < HARTS; i++)
    CHECK(pthread_create(&thread[i], NULL, live, (void *)i) == 0);
  for (uint32 i = 0; i < HARTS; i++)
    pthread_join(thread[i], NULL);
  kstack_drain();
  check_counts(0, 0);
  return 0;
}
