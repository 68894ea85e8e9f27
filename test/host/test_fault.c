// SPDX-License-Identifier: MIT
//
// classify() at every boundary: each address one byte, one alignment step and one frame to either
// side of each border; the first, a middle and the last slot of the window; every cause.
#include <stdio.h>
#include <string.h>

#include "kern/lib/csr.h"
#include "kern/lib/trapframe.h"
#include "trap/fault.h"
#include "vm/layout.h"
#include "vm/pagetable.h"

enum { F = sizeof(struct trap_frame), G = KSTACK_GUARD };

static int failures, checks;

#define CHECK(what, got, want, ...)                                                                \
  do {                                                                                             \
    checks++;                                                                                      \
    if ((got) != (want)) {                                                                         \
      failures++;                                                                                  \
      printf("%s:%d: %s: got %ld, want %ld: ", __FILE__, __LINE__, what, (long)(got),              \
             (long)(want));                                                                        \
      printf(__VA_ARGS__);                                                                         \
      printf("\n");                                                                                \
    }                                                                                              \
  } while (0)

// A slot of the window: whether the address is in the guard, and who owns what.
#define SLOT(guard, owned, below_owned)                                                            \
  { .in_window = true, .in_guard = (guard), .live = (owned), .below_live = (below_owned) }

static const struct kstack_slot nowhere;
static const struct kstack_slot own_guard = SLOT(true, true, true);

static struct stack_bounds slot_stack(uint64 number) {
  uint64 lo = KSTACK_BASE + number * KSTACK_SLOT + KSTACK_GUARD;
  return (struct stack_bounds){lo, lo + KSTACK_SIZE};
}

#define LAST_SLOT ((KSTACK_END - KSTACK_BASE) / KSTACK_SLOT - 1)
static const uint64 slots[] = {0, 1, 4711, LAST_SLOT};

static const uint64 page_faults[] = {CAUSE_FETCH_PAGE, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE};

// Every cause there could be: each exception and each interrupt number up to 63.
static uint64 any_cause(int i) {
  return i < 64 ? (uint64)i : SCAUSE_INTERRUPT | (uint64)(i - 64);
}
enum { ALL_CAUSES = 128 };

// A bad sp decides whatever the cause and the address.
static void expect_sp(struct stack_bounds s, uint64 sp, enum fault_class want) {
  static const uint64 addresses[] = {0, 8, USER_END - 8, KSTACK_BASE, IMAGE_BASE, ~0UL};
  for (int c = 0; c < ALL_CAUSES; c++)
    for (size_t a = 0; a < ARRAY_SIZE(addresses); a++)
      CHECK("bad sp", classify(any_cause(c), addresses[a], sp, s, own_guard, 0), want,
            "sp lo%+ld cause %d address %zu", (long)(sp - s.lo), c, a);
}

static void test_sp(struct stack_bounds s) {
  static const int64 steps[] = {0, 1, 7, 8, 15, 16, 288};
  for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
    uint64 d = (uint64)steps[i];
    if (d)
      expect_sp(s, s.lo - G - d, FAULT_WILD_SP);
    expect_sp(s, s.lo - G + d, FAULT_OVERFLOW);
    if (d < F)
      expect_sp(s, s.lo + d, FAULT_OVERFLOW);
    if (d)
      expect_sp(s, s.lo - d, FAULT_OVERFLOW);
    if (d)
      expect_sp(s, s.lo + F - d, FAULT_OVERFLOW);
    if (d % 16)
      expect_sp(s, s.lo + F + d, FAULT_WILD_SP);
    if (d % 16)
      expect_sp(s, s.hi - d, FAULT_WILD_SP);
    if (d)
      expect_sp(s, s.hi + d, FAULT_UNDERFLOW);
    expect_sp(s, s.hi + G - d, FAULT_UNDERFLOW);
    if (d)
      expect_sp(s, s.hi + G + d, FAULT_WILD_SP);
  }
  static const uint64 wild[] = {0,        8,           16,           PAGE_SIZE,  USER_END - 16,
                                USER_END, DIRECT_BASE, VMALLOC_BASE, IMAGE_BASE, ~0UL,
                                ~0UL - 15};
  for (size_t i = 0; i < ARRAY_SIZE(wild); i++)
    expect_sp(s, wild[i], FAULT_WILD_SP);
  expect_sp(s, s.lo + KSTACK_SLOT + KSTACK_SIZE / 2, FAULT_WILD_SP);
  expect_sp(s, s.lo - KSTACK_SLOT + KSTACK_SIZE / 2, FAULT_WILD_SP);
}

// With each good sp at the borders, a cause that is no page fault is an exception.
static void test_exceptions(struct stack_bounds s) {
  uint64 good[] = {s.lo + F, s.lo + F + 16, s.lo + 2 * F, s.hi - F, s.hi - 16, s.hi};
  for (size_t i = 0; i < ARRAY_SIZE(good); i++)
    for (int c = 0; c < ALL_CAUSES; c++) {
      uint64 cause = any_cause(c);
      bool page_fault = cause == 12 || cause == 13 || cause == 15;
      enum fault_class got = classify(cause, s.lo - 8, good[i], s, own_guard, 0);
      CHECK("cause", got, page_fault ? FAULT_GUARD_BELOW : FAULT_EXCEPTION, "cause 0x%lx", cause);
    }
}

static enum fault_class at(struct stack_bounds s, uint64 stval, struct kstack_slot slot, pte_t pte,
                           uint64 cause) {
  return classify(cause, stval, s.hi - 512, s, slot, pte);
}

static void test_own_guards(struct stack_bounds s) {
  for (size_t c = 0; c < ARRAY_SIZE(page_faults); c++) {
    uint64 cause = page_faults[c];
    for (int owned = 0; owned < 4; owned++) {
      struct kstack_slot slot = SLOT(true, owned & 1, owned & 2);
      CHECK("below", at(s, s.lo - 1, slot, 0, cause), FAULT_GUARD_BELOW, "last byte");
      CHECK("below", at(s, s.lo - G, slot, 0, cause), FAULT_GUARD_BELOW, "first byte");
      CHECK("above", at(s, s.hi, slot, 0, cause), FAULT_GUARD_ABOVE, "first byte");
      CHECK("above", at(s, s.hi + G - 1, slot, 0, cause), FAULT_GUARD_ABOVE, "last byte");
    }
  }
}

static void test_other_slots(struct stack_bounds s) {
  const struct kstack_slot stack_free = SLOT(false, false, true);
  const struct kstack_slot stack_owned = SLOT(false, true, true);
  const struct kstack_slot guard_owned = SLOT(true, true, false);
  const struct kstack_slot guard_below_owned = SLOT(true, false, true);
  const struct kstack_slot guard_nobody = SLOT(true, false, false);
  uint64 just_below = s.lo - G - 1, just_above = s.hi + G, far_guard = s.lo - 5 * KSTACK_SLOT - 8;
  for (size_t c = 0; c < ARRAY_SIZE(page_faults); c++) {
    uint64 cause = page_faults[c];
    CHECK("stale", at(s, just_below, stack_free, 0, cause), FAULT_STALE_STACK, "slot below");
    CHECK("stale", at(s, just_above, stack_free, 0, cause), FAULT_STALE_STACK, "slot above");
    CHECK("other", at(s, far_guard, guard_owned, 0, cause), FAULT_GUARD_OTHER, "owned");
    CHECK("other", at(s, far_guard, guard_below_owned, 0, cause), FAULT_GUARD_OTHER, "below");
    CHECK("stale", at(s, far_guard, guard_nobody, 0, cause), FAULT_STALE_STACK, "nobody");
  }
  pte_t mapped = PTE_V | PTE_R | PTE_W;
  CHECK("exec", at(s, just_above, stack_owned, mapped, CAUSE_FETCH_PAGE), FAULT_EXEC_NX, "stack");
}

static void test_addresses(struct stack_bounds s) {
  const pte_t text = PTE_V | PTE_R | PTE_X, rodata = PTE_V | PTE_R, data = PTE_V | PTE_R | PTE_W;
  for (size_t c = 0; c < ARRAY_SIZE(page_faults); c++) {
    uint64 cause = page_faults[c];
    CHECK("null", at(s, 0, nowhere, 0, cause), FAULT_NULL, "0");
    CHECK("null", at(s, 4095, nowhere, 0, cause), FAULT_NULL, "4095");
    CHECK("user", at(s, 4096, nowhere, 0, cause), FAULT_USER_ACCESS, "4096");
    CHECK("user", at(s, USER_END - 1, nowhere, 0, cause), FAULT_USER_ACCESS, "USER_END - 1");
    CHECK("unmapped", at(s, USER_END, nowhere, 0, cause), FAULT_UNMAPPED, "USER_END");
    CHECK("unmapped", at(s, ~0UL, nowhere, 0, cause), FAULT_UNMAPPED, "all ones");
  }
  CHECK("nx", at(s, IMAGE_BASE, nowhere, rodata, CAUSE_FETCH_PAGE), FAULT_EXEC_NX, "rodata");
  CHECK("nx", at(s, DIRECT_BASE, nowhere, data, CAUSE_FETCH_PAGE), FAULT_EXEC_NX, "data");
  CHECK("ro", at(s, IMAGE_BASE, nowhere, text, CAUSE_STORE_PAGE), FAULT_WRITE_RODATA, "text");
  CHECK("ro", at(s, IMAGE_BASE, nowhere, rodata, CAUSE_STORE_PAGE), FAULT_WRITE_RODATA, "rodata");
  CHECK("load", at(s, IMAGE_BASE, nowhere, rodata, CAUSE_LOAD_PAGE), FAULT_UNMAPPED, "load");
}

static void test_past(struct stack_bounds s) {
  CHECK("past", fault_past(FAULT_OVERFLOW, 0, s.lo - 1, s), 1, "one below");
  CHECK("past", fault_past(FAULT_OVERFLOW, 0, s.lo - G, s), G, "all of the guard");
  CHECK("past", fault_past(FAULT_OVERFLOW, 0, s.lo, s), F, "no room at all");
  CHECK("past", fault_past(FAULT_OVERFLOW, 0, s.lo + F - 1, s), 1, "one short");
  CHECK("past", fault_past(FAULT_UNDERFLOW, 0, s.hi + 16, s), 16, "above");
  CHECK("past", fault_past(FAULT_GUARD_BELOW, s.lo - 1, s.hi, s), 1, "last byte");
  CHECK("past", fault_past(FAULT_GUARD_BELOW, s.lo - G, s.hi, s), G, "first byte");
  CHECK("past", fault_past(FAULT_GUARD_ABOVE, s.hi, s.hi, s), 1, "first byte");
  CHECK("past", fault_past(FAULT_GUARD_ABOVE, s.hi + G - 1, s.hi, s), G, "last byte");
  CHECK("past", fault_past(FAULT_WILD_SP, 0, 0, s), 0, "wild");
  CHECK("past", fault_past(FAULT_NULL, 0, s.hi, s), 0, "null");
}

static void test_names(void) {
  for (int c = 0; c < FAULT_CLASSES; c++)
    CHECK("name", strlen(fault_class_name(c)) > 3, 1, "class %d", c);
}

int main(void) {
  for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
    struct stack_bounds s = slot_stack(slots[i]);
    test_sp(s);
    test_exceptions(s);
    test_own_guards(s);
    test_other_slots(s);
    test_addresses(s);
    test_past(s);
  }
  test_names();
  printf("%d checks, %d failed\n", checks, failures);
  return failures != 0;
}
