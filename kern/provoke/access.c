// SPDX-License-Identifier: MIT
//
// Code where there is none, data where there may be none, and an address space that is not right.
#include "kern/provoke/tests.h"

#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/provoke/faults.h"
#include "kern/provoke/words.h"
#include "kern/sched/thread.h"
#include "vm/check.h"
#include "vm/kmalloc.h"
#include "vm/layout.h"
#include "vm/page.h"
#include "vm/pagetable.h"
#include "vm/vmalloc.h"

#define CODE_RETURN 0x00008067  // ret
#define AREA_SIZE   65536

static const uint32 code_rodata = CODE_RETURN;
static uint32 code_data = CODE_RETURN;

static void jump_to(uint64 address) {
  asm volatile("fence.i" : "+r"(address) : : "memory");  // nor may the compiler see a null pointer
  ((void (*)(void))address)();
}

void provoke_exec_stack(char *words[]) {
  (void)words;
  volatile uint32 code = CODE_RETURN;
  jump_to((uint64)&code);
}

void provoke_exec_rodata(char *words[]) {
  (void)words;
  jump_to((uint64)&code_rodata);
}

void provoke_exec_data(char *words[]) {
  (void)words;
  jump_to((uint64)&code_data);
}

void provoke_exec_kmalloc(char *words[]) {
  (void)words;
  static uint32 *code;  // kept: the test does not come back to free it
  if (!code)
    code = kzalloc(sizeof(*code));
  if (code)
    jump_to((uint64)code);
}

// Not inlined: reports name it.
__attribute__((noinline)) uint64 vmalloc_pair(void) {
  static struct vm_area *first, *second;
  if (!first)
    first = vmalloc_range(&vmalloc_general, AREA_SIZE);
  if (!second)
    second = vmalloc_range(&vmalloc_general, AREA_SIZE);
  return first && second ? first->base : 0;
}

void provoke_exec_vmalloc(char *words[]) {
  (void)words;
  uint32 *code = (uint32 *)vmalloc_pair();
  if (!code)
    return;
  *code = CODE_RETURN;
  jump_to((uint64)code);
}

void provoke_overflow_vmalloc(char *words[]) {
  (void)words;
  provoke_store(vmalloc_pair() + AREA_SIZE);
}

void provoke_exec_null(char *words[]) {
  (void)words;
  jump_to(0);
}

void provoke_exec_userspace(char *words[]) {
  (void)words;
  jump_to(thread_user_frame(thread_current())->sepc);
}

void provoke_access_null(char *words[]) {
  word_access(words[0], word_number(words[1], 0));
}

void provoke_access_userspace(char *words[]) {
  word_access(words[0], frame_reg(thread_user_frame(thread_current()), REG_SP));
}

// Store to address, or to where the direct map has the same byte.
static void write_image(char *words[], uint64 address) {
  if (word_is(words[0], "direct"))
    address = (uint64)pa_to_ptr(address - IMAGE_BASE + IMAGE_PA);
  provoke_store(address);
}

void provoke_write_ro(char *words[]) {
  write_image(words, (uint64)&code_rodata);
}

void provoke_write_kern(char *words[]) {
  write_image(words, (uint64)provoke_illegal);
}

void provoke_unmapped(char *words[]) {
  word_access(words[0], DEVICE_END - word_number(words[1], PAGE_SIZE));
}

void provoke_breakpoint(char *words[]) {
  (void)words;
  asm volatile("ebreak");
}

// Take away the level-0 table that maps the last slots of the window's first gigabyte.
static void lose_table(void) {
  pte_t root = kernel_pagetable->pte[KSTACK_BASE >> 30 & (PT_ENTRIES - 1)];
  struct pagetable *window = pa_to_ptr(pte_to_pa(root));
  uint32 i = PT_ENTRIES;
  while (!window->pte[--i])
    ;
  window->pte[i] = 0;
}

// Check the address space, after spoiling it as the word says.
void provoke_vm_check(char *words[]) {
  const struct thread *me = thread_current();
  struct pagetable *own = pa_to_ptr(pte_to_pa(csr_read(satp) << 10));
  pte_t *stack = pagetable_lookup(kernel_pagetable, me->stack_lo);  // the lowest page there is
  if (word_is(words[0], "guard"))
    *pagetable_lookup(kernel_pagetable, me->kstack->lo - PAGE_SIZE) = *stack;
  else if (word_is(words[0], "above"))
    *pagetable_lookup(kernel_pagetable, me->stack_hi) = *stack;
  else if (word_is(words[0], "exec"))
    *stack |= PTE_X;
  else if (word_is(words[0], "user"))
    *stack |= PTE_U;
  else if (word_is(words[0], "alias"))
    *stack = pa_to_pte(IMAGE_PA) | (*stack & (PTE_V | PTE_LEAF | PTE_G | PTE_A | PTE_D));
  else if (word_is(words[0], "root"))
    own->pte[PT_ENTRIES - 1] = PTE_G;
  else if (word_is(words[0], "table"))
    lose_table();
  else if (word_is(words[0], "emergency"))
    harts[hart_count - 1].emergency_lo = me->stack_lo;
  vm_check();
  kprintf("provoke: the address space is as it must be\n");
}

void provoke_panic(char *words[]) {
  (void)words;
  panic("provoked");
}
