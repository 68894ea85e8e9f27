// SPDX-License-Identifier: MIT
//
// Faults on request.
//
// A test is a line of the table.  Each is given the words after its name, and does not return if
// the kernel stops what it does; if one returns that should not, the device prints "FAIL: ".
// Words in the table: ACCESS is read or write; SP is null, user, text, direct (a page of the direct
// map), other (another thread's stack), odd (the right place, not a multiple of 16), lo, hi (of the
// running stack), here (where it is in use to) or a number, and may have +N or -N behind it; TRAP
// is how the bad sp is found: break, load, store, interrupt, or sink: by interrupts, ever lower.
#include "kern/dev/provoke.h"

#include "kern/dev/device.h"
#include "kern/dev/disk.h"
#include "kern/dev/irq.h"
#include "kern/dev/timer.h"
#include "kern/lib/abi.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/print.h"
#include "kern/lib/sbi.h"
#include "kern/lib/string.h"
#include "kern/sched/sleeplock.h"
#include "kern/sched/thread.h"
#include "vm/check.h"
#include "vm/dma.h"
#include "vm/kmalloc.h"
#include "vm/kstack.h"
#include "vm/layout.h"
#include "vm/page.h"
#include "vm/tlb.h"
#include "vm/usercopy.h"

#define COMMAND_SIZE  128
#define WORDS         6  // of a command
#define MOVES         1000
#define STEP_TICKS    600  // to wait for another hart, that of a busy host
#define AREA_SIZE     65536
#define NEW_FRAME     0x5a  // content of a frame that has a new owner
#define NEW_STACK     0xa5  // and of a stack whose slot had another
#define RECURSE_FRAME 512   // bytes of local array in each call of recurse()

// Implemented by: kern/dev/provoke.S.
void provoke_here(void);
uint64 provoke_load(uint64 address);
void provoke_store(uint64 address);
void provoke_dma(const void *p, pa_t pa);
void provoke_illegal(void);
void provoke_use(uint64 n);
_Noreturn void provoke_registers(uint64 sp, uint64 seed);
_Noreturn void provoke_frames(uint64 n);
_Noreturn void provoke_copy(uint64 sp, uva_t dst);
void provoke_calls(uint64 n);
void provoke_calls_mixed(uint64 n);
void provoke_count(uint64 n);
_Noreturn void provoke_sp_break(uint64 sp);
_Noreturn void provoke_sp_load(uint64 sp);
_Noreturn void provoke_sp_store(uint64 sp);
_Noreturn void provoke_sp_interrupt(uint64 sp);
_Noreturn void provoke_sp_sink(uint64 sp);

#define CODE_RETURN 0x00008067  // ret

static const uint32 code_rodata = CODE_RETURN;
static uint32 code_data = CODE_RETURN;
static struct spinlock test_spinlock = SPINLOCK_INIT("provoke");
static struct sleeplock test_sleeplock;
static struct waitq movers;  // [test_spinlock]

struct test {
  const char *name;
  const char *help;
  void (*run)(char *words[]);  // those after the name, null behind the last
  bool returns;                // surviving is no failure
};

// --- arguments ----------------------------------------------------------------------------------

static bool word_is(const char *word, const char *s) {
  return word && strcmp(word, s) == 0;
}

uint64 provoke_number(const char *word, uint64 fallback) {
  uint64 value;
  return word && parse_number(word, &value) ? value : fallback;
}

// Access one byte as the first word says.
static void access(char *words[], uint64 address) {
  if (word_is(words[0], "write"))
    provoke_store(address);
  else
    provoke_load(address);
}

// Find a live stack, of that process unless pid is 0, which is neither the running one nor the one
// above, whose guard is ours too.
static bool other_stack(struct stack_info *info, uint64 pid) {
  const struct thread *me = thread_current();
  for (uint64 i = 0; i < kstack_slots(); i++)
    if (kstack_info(i, info) && info->lo != me->stack_lo &&
        info->lo != me->stack_lo + KSTACK_SLOT && (!pid || (uint64)info->pid == pid))
      return true;
  return false;
}

static uint64 sp_base(const char *word) {
  const struct thread *me = thread_current();
  struct stack_info other;
  if (word_is(word, "null"))
    return 0;
  if (word_is(word, "user"))
    return frame_reg(thread_user_frame(me), REG_SP);
  if (word_is(word, "text"))
    return (uint64)provoke_load & ~15UL;
  if (word_is(word, "direct"))
    return DIRECT_BASE + ROUND_UP(IMAGE_PA + IMAGE_MAX, PAGE_SIZE);
  if (word_is(word, "other"))
    return other_stack(&other, 0) ? other.hi - KSTACK_SIZE / 2 : 0;
  if (word_is(word, "odd"))
    return me->stack_hi - KSTACK_SIZE / 2 + 8;
  if (word_is(word, "lo"))
    return me->stack_lo;
  if (word_is(word, "hi"))
    return me->stack_hi;
  if (word_is(word, "here"))
    return (uint64)__builtin_frame_address(0) & ~15UL;
  return provoke_number(word, 0);
}

static uint64 read_sp(char *word) {
  char *sign = word ? word : NULL;
  while (sign && *sign && *sign != '+' && *sign != '-')
    sign++;
  if (!sign || !*sign)
    return sp_base(word);
  char c = *sign;
  *sign = 0;
  uint64 offset = provoke_number(sign + 1, 0);
  return c == '+' ? sp_base(word) + offset : sp_base(word) - offset;
}

// --- the stack runs out -------------------------------------------------------------------------

// Call itself n times, with a frame that is in use before and after.  Not static, so that the
// compiler keeps its name and its argument, and reports say recurse().
uint64 recurse(uint64 n);

__attribute__((noinline)) uint64 recurse(uint64 n) {
  volatile uint8 local[RECURSE_FRAME];
  local[n % RECURSE_FRAME] = n;
  if (n == 0)
    return 0;
  return recurse(n - 1) + local[n % RECURSE_FRAME];
}

static void exhaust_stack(char *words[]) {
  recurse(provoke_number(words[0], 100000));
}

static void exhaust_irqoff(char *words[]) {
  irq_t s = irq_save();
  exhaust_stack(words);
  irq_restore(s);
}

static void exhaust_spinlock(char *words[]) {
  irq_t s = spin_lock(&test_spinlock);
  irq_on();  // so that the lock alone decides
  exhaust_stack(words);
  spin_unlock(&test_spinlock, s);
}

static void exhaust_sleeplock(char *words[]) {
  sleep_lock(&test_sleeplock);
  exhaust_stack(words);
  sleep_unlock(&test_sleeplock);
}

static void exhaust_transaction(char *words[]) {
  thread_current()->in_transaction = true;
  exhaust_stack(words);
  thread_current()->in_transaction = false;
}

static void exhaust_in_thread(void *arg) {
  (void)arg;
  char *words[1] = {NULL};
  provoke_here();
  exhaust_stack(words);
  thread_exit();
}

static void exhaust_kthread(char *words[]) {
  (void)words;
  struct thread *t = thread_create("exhaust", 0, exhaust_in_thread, NULL);
  if (t)
    thread_ready(t);
  timer_sleep(20);
}

// Overflow in the console: while it prints a message, or on another hart while it prints a report.
static struct {
  bool recurses;     // at the next character
  bool pauses;       // behind the next blank, for the grader
  uint32 waiting;    // [a] a process waits for a report to begin
  uint32 reporting;  // [a] one has begun
} console;

static void console_put(char c) {
  if (console.recurses) {
    console.recurses = false;
    recurse(100000);
  }
  store_release(&console.reporting, 1);
  sbi_putchar(c);
  if (console.pauses && c == ' ') {
    console.pauses = false;
    provoke_here();
  }
}

static void console_quiet(void) {
}

static void exhaust_console(char *words[]) {
  (void)words;
  console.recurses = true;
  print_set_sink(console_put, console_quiet, console_quiet);
  kprintf("provoke: in the console\n");
}

// Return once as many processes as there are harts have come here, each on a hart of its own, with
// interrupts off.  A process that waits takes ticks, so that one queued behind it is handed on.
static irq_t meet(void) {
  static const struct thread *present[HART_MAX];  // [test_spinlock] who waits on each hart
  static uint32 met;                              // [a] those who have seen all harts present
  const struct thread *me = thread_current();
  for (;;) {
    irq_t outer = irq_save();
    irq_t s = spin_lock(&test_spinlock);
    uint32 count = 0, here = hart_index();
    for (uint32 i = 0; i < hart_count; i++) {
      if (i == here && !present[i])
        present[i] = me;
      else if (i != here && present[i] == me)
        present[i] = NULL;
      count += present[i] != NULL;
    }
    bool all = count == hart_count && present[here] == me;
    spin_unlock(&test_spinlock, s);
    if (all) {
      uint32 round = fetch_add(&met, 1) / hart_count;
      while (load_acquire(&met) / hart_count == round)
        panic_poll();
      s = spin_lock(&test_spinlock);
      present[here] = NULL;
      spin_unlock(&test_spinlock, s);
      return outer;
    }
    irq_restore(outer);
  }
}

// On two harts one process overflows when the other's report has begun, or its line; or it panics
// or prints first.
static void exhaust_reporting(char *words[]) {
  irq_restore(meet());
  if (fetch_add(&console.waiting, 1) == 0) {
    while (!load_acquire(&console.reporting))
      ;
    if (word_is(words[0], "panic"))
      panic("provoked");
    if (word_is(words[0], "message"))
      kprintf("provoke: a message\n");
  } else {
    console.pauses = word_is(words[0], "line");
    print_set_sink(console_put, console_quiet, console_quiet);
    if (console.pauses)
      kprintf("provoke: a line\n");
  }
  recurse(100000);
}

// As many processes as there are harts overflow at once.
static void exhaust_all(char *words[]) {
  irq_t s = meet();
  if (!word_is(words[0], "off"))
    irq_restore(s);
  recurse(100000);
}

// Known functions on the stack: plant_outer, plant_inner, and plant_repeat n + 1 times.  Not
// static, like recurse().
uint64 plant_repeat(uint64 n);
uint64 plant_inner(uint64 n);
uint64 plant_outer(uint64 n);

__attribute__((noinline)) uint64 plant_repeat(uint64 n) {
  volatile uint8 local[64];
  local[n % sizeof(local)] = n;
  if (n == 0)
    provoke_load(0);
  else
    plant_repeat(n - 1);
  return local[n % sizeof(local)];
}

__attribute__((noinline)) uint64 plant_inner(uint64 n) {
  return plant_repeat(n) + 1;
}

__attribute__((noinline)) uint64 plant_outer(uint64 n) {
  return plant_inner(n) + 1;
}

static void plant(char *words[]) {
  uint64 n = provoke_number(words[0], 10);
  if (word_is(words[1], "small"))
    provoke_calls(n);
  else if (word_is(words[1], "mixed"))
    provoke_calls_mixed(n);
  else
    plant_outer(n);
}

// The reporter runs out of its own stack, of which it gets 512 bytes, or takes a fault itself.
static void reporter(char *words[]) {
  irq_off();
  struct hart *h = this_hart();
  if (word_is(words[0], "fault"))
    h->current = (struct thread *)sizeof(struct trap_frame);
  else
    h->emergency_hi = h->emergency_lo + 512;
  provoke_sp_break(h->stack_lo - 16);
}

// --- sp is set ----------------------------------------------------------------------------------

static void set_sp(uint64 sp, const char *trap) {
  if (word_is(trap, "load"))
    provoke_sp_load(sp);
  else if (word_is(trap, "store"))
    provoke_sp_store(sp);
  else if (word_is(trap, "interrupt"))
    provoke_sp_interrupt(sp);
  else if (word_is(trap, "sink"))
    provoke_sp_sink(sp);
  else
    provoke_sp_break(sp);
}

static void wild_sp(char *words[]) {
  set_sp(read_sp(words[0]), words[1]);
}

static void underflow(char *words[]) {
  set_sp(thread_current()->stack_hi + provoke_number(words[0], 16), words[1]);
}

static void jump_frame(char *words[]) {
  provoke_sp_store(thread_current()->stack_lo - provoke_number(words[0], KSTACK_GUARD));
}

static void registers(char *words[]) {
  uint64 seed = provoke_number(words[1], 0x1000000000000000);
  provoke_registers(words[0] ? read_sp(words[0]) : seed + REG_SP, seed);
}

// Frames of assembly, of any size.
static void exhaust_frames(char *words[]) {
  provoke_frames(provoke_number(words[0], 16));
}

// A user copy whose target is not there yet: its page fault finds little stack.
static void copy_low(char *words[]) {
  provoke_copy(read_sp(words[0]), provoke_number(words[1], 0));
}

// A user copy whose other side, the kernel's, is bad.
static void copy_kernel(char *words[]) {
  void *at = (void *)read_sp(words[1]);
  uva_t user = frame_reg(thread_user_frame(thread_current()), REG_SP);
  if (word_is(words[0], "from"))
    copy_from_user(at, user, 8);
  else if (word_is(words[0], "string"))
    copy_string_from_user(at, user, 8);
  else
    copy_to_user(user, at, 8);
}

static void stack_use(char *words[]) {
  uint64 n = ROUND_UP(provoke_number(words[0], 1024), 16), sp;
  struct stack_info info;
  asm volatile("mv %0, sp" : "=r"(sp));
  provoke_use(n);
  if (kstack_info((sp - KSTACK_BASE) >> KSTACK_SLOT_SHIFT, &info))
    kprintf("provoke: used %lu bytes of stack, to a depth of %lu, peak %lu\n", n, info.hi - sp + n,
            info.peak);
}

// --- guards and stacks by a pointer -------------------------------------------------------------

// Return where the running stack begins, be it a thread's or a hart's: they are aligned.
static uint64 running_stack(void) {
  return ROUND_DOWN((uint64)__builtin_frame_address(0), KSTACK_SIZE);
}

static void guard_leading(char *words[]) {
  access(words, running_stack() - provoke_number(words[1], 1));
}

static void guard_trailing(char *words[]) {
  access(words, running_stack() + KSTACK_SIZE + provoke_number(words[1], 1) - 1);
}

static void guard_other(char *words[]) {
  struct stack_info other;
  if (!other_stack(&other, provoke_number(words[0] && words[1] ? words[2] : NULL, 0)))
    return;
  kprintf("provoke: the guard of pid %d (%s)\n", other.pid, other.name);
  access(words, other.lo - provoke_number(words[1], 8));
}

static void stale_stack(char *words[]) {
  const struct thread *me = thread_current();
  struct kstack *stack = kstack_alloc(me->pid, me->name, STACK_THREAD, &account_root);
  if (!stack)
    return;
  uint64 address = stack->lo + provoke_number(words[1], 8);
  provoke_load(address);  // so that this hart has cached the translation
  kstack_free(stack);
  kstack_drain();
  vmalloc_drain();
  access(words, address);
}

// A stack that a thread on another hart reads while it is mapped, and again when it is freed.
static struct {
  uint64 address;
  uint32 step;  // [a] 1: the thread has run there, 2: freed, 3: it has looked again
  uint32 hart;  // where it was made
  uint64 then;  // what may be read there when it is freed
} remote;

static void remote_reader(void *arg) {
  (void)arg;
  irq_t s = irq_save();
  if (this_hart()->index != remote.hart) {
    tlb_fence_all();  // it was not mapped for this thread
    provoke_load(remote.address);
    store_release(&remote.step, 1);
    while (load_acquire(&remote.step) != 2)
      panic_poll();
    uint64 byte = provoke_load(remote.address);
    if (byte != remote.then)
      kprintf("FAIL: STALE_REMOTE survived, and read 0x%lx\n", byte);
  }
  store_release(&remote.step, 3);
  irq_restore(s);
  thread_exit();
}

// Place the thread on another hart and wait for its first step.  Holds: interrupts off, so that
// this hart is busy and takes no thread back.
static void run_elsewhere(struct thread *t) {
  remote.hart = this_hart()->index;
  store_release(&remote.step, 0);
  thread_place(t, &harts[(remote.hart + 1) % hart_count]);
  uint64 end = csr_read(time) + 5 * machine.timebase;
  while (load_acquire(&remote.step) != 1 && csr_read(time) < end)
    panic_poll();
  if (remote.step != 1)
    kprintf("FAIL: no other hart runs it\n");
}

// Allocate pages until the one at pa comes, which is kept, and give the others back.
static void reuse_frame(pa_t pa) {
  void **held = NULL, **page;
  while ((page = page_alloc()) && ptr_to_pa(page) != pa) {
    *page = held;
    held = page;
  }
  if (page)
    memset(page, NEW_FRAME, PAGE_SIZE);
  for (void **next; held; held = next) {
    next = *held;
    page_put(held);
  }
}

// Allocate stacks, once round the window, until the one at base comes, which is kept.
static void reuse_slot(vaddr_t base) {
  for (uint64 i = 0; i <= kstack_slots(); i++) {
    struct kstack *stack = kstack_alloc(0, "reuse", STACK_THREAD, &account_root);
    if (stack && stack->lo == base) {
      memset((void *)base, NEW_STACK, PAGE_SIZE);
      return;
    }
    if (stack)
      kstack_free(stack);
    kstack_drain();
  }
}

static void stale_remote(char *words[]) {
  struct kstack *stack = kstack_alloc(thread_current()->pid, "remote", STACK_THREAD, &account_root);
  struct thread *t = thread_create("reader", 0, remote_reader, NULL);
  if (!stack || !t)
    return;
  bool slot = word_is(words[0], "slot");
  const pte_t *pte = pagetable_lookup(kernel_pagetable, stack->lo);
  pa_t frame = pte ? pte_to_pa(*pte) : ptr_to_pa((void *)stack->lo);
  irq_t s = irq_save();
  remote.address = stack->lo;
  remote.then = slot ? NEW_STACK : ~0UL;
  run_elsewhere(t);
  kstack_free(stack);
  kstack_drain();
  vmalloc_drain();
  if (slot || word_is(words[0], "frame"))
    reuse_frame(frame);
  if (slot)
    reuse_slot(remote.address);
  store_release(&remote.step, 2);
  irq_restore(s);
  for (uint32 ticks = 0; ticks < STEP_TICKS && load_acquire(&remote.step) != 3; ticks++)
    timer_sleep(1);
}

// Free a stack, and count the stacks that are handed out before one has its slot again.
static void reuse_count(char *words[]) {
  (void)words;
  uint64 base = 0;
  for (uint64 i = 0; i <= kstack_slots(); i++) {
    struct kstack *stack = kstack_alloc(0, "count", STACK_THREAD, &account_root);
    bool again = stack && stack->lo == base;
    if (stack && !base)
      base = stack->lo;
    if (stack)
      kstack_free(stack);
    kstack_drain();
    vmalloc_drain();
    if (again || i == kstack_slots()) {
      provoke_count(i);
      return;
    }
  }
}

static void say_here(void *arg) {
  (void)arg;
  provoke_here();
  store_release(&remote.step, 1);
  thread_exit();
}

// A thread whose stack was mapped just now runs on a hart that has not fenced since.
static void new_remote(char *words[]) {
  (void)words;
  kstack_drain();
  struct thread *t = thread_create("new", 0, say_here, NULL);
  irq_t s = irq_save();
  if (t)
    run_elsewhere(t);
  irq_restore(s);
}

static __attribute__((noinline)) void fill(volatile char *p, uint32 n) {
  while (n-- > 0)
    *p++ = 'a';
}

// Overrun a local array, return address included.
static __attribute__((noinline)) void corrupt(uint32 n) {
  volatile char local[8];
  fill(local, n);
}

static void corrupt_stack(char *words[]) {
  corrupt(provoke_number(words[0], 64));
}

// Spoil what the way back to user mode restores.
static void corrupt_frame(char *words[]) {
  struct trap_frame *frame = thread_user_frame(thread_current());
  if (word_is(words[0], "mode"))
    frame->sstatus |= SSTATUS_SPP;
  else
    frame->sepc = (uint64)provoke_load;
}

// --- memory --------------------------------------------------------------------------------------

static void fail_alloc(char *words[]) {
  page_fail(provoke_number(words[0], 0));
}

static void end_thread(void *done) {
  provoke_here();
  store_release((uint32 *)done, 1);
  thread_exit();
}

static void make_thread(char *words[]) {
  (void)words;
  uint32 *done = kzalloc(sizeof(*done));
  struct thread *t = done ? thread_create("made", 0, end_thread, done) : NULL;
  if (t)
    thread_ready(t);
  while (t && !load_acquire(done))
    thread_yield();
  kfree(done);
}

// --- code where there is none, data where there may be none -------------------------------------

static void call(uint64 address) {
  asm volatile("fence.i" : "+r"(address) : : "memory");  // nor may the compiler see a null pointer
  ((void (*)(void))address)();
}

static void exec_stack(char *words[]) {
  (void)words;
  volatile uint32 code = CODE_RETURN;
  call((uint64)&code);
}

static void exec_rodata(char *words[]) {
  (void)words;
  call((uint64)&code_rodata);
}

static void exec_data(char *words[]) {
  (void)words;
  call((uint64)&code_data);
}

static void exec_kmalloc(char *words[]) {
  (void)words;
  static uint32 *code;  // kept: the test does not come back to free it
  if (!code)
    code = kzalloc(sizeof(*code));
  if (code)
    call((uint64)code);
}

// Two areas, one behind the other, kept like that of exec_kmalloc().  Returns the address of the
// first, or 0.
static __attribute__((noinline)) uint64 vmalloc_pair(void) {
  static struct vm_area *first, *second;
  if (!first)
    first = vmalloc_range(&vmalloc_general, AREA_SIZE);
  if (!second)
    second = vmalloc_range(&vmalloc_general, AREA_SIZE);
  return first && second ? first->base : 0;
}

static void exec_vmalloc(char *words[]) {
  (void)words;
  uint32 *code = (uint32 *)vmalloc_pair();
  if (!code)
    return;
  *code = CODE_RETURN;
  call((uint64)code);
}

static void overflow_vmalloc(char *words[]) {
  (void)words;
  provoke_store(vmalloc_pair() + AREA_SIZE);
}

static void exec_null(char *words[]) {
  (void)words;
  call(0);
}

static void exec_userspace(char *words[]) {
  (void)words;
  call(thread_user_frame(thread_current())->sepc);
}

static void access_null(char *words[]) {
  access(words, provoke_number(words[1], 0));
}

static void access_userspace(char *words[]) {
  access(words, frame_reg(thread_user_frame(thread_current()), REG_SP));
}

// Store to address, or to where the direct map has the same byte.
static void write_image(char *words[], uint64 address) {
  if (word_is(words[0], "direct"))
    address = (uint64)pa_to_ptr(address - IMAGE_BASE + IMAGE_PA);
  provoke_store(address);
}

static void write_ro(char *words[]) {
  write_image(words, (uint64)&code_rodata);
}

static void write_kern(char *words[]) {
  write_image(words, (uint64)provoke_illegal);
}

static void unmapped(char *words[]) {
  access(words, DEVICE_END - provoke_number(words[1], PAGE_SIZE));
}

static void illegal(char *words[]) {
  (void)words;
  provoke_illegal();
}

static void breakpoint(char *words[]) {
  (void)words;
  asm volatile("ebreak");
}

// Take the level-0 table that maps the last slots of the window's first gigabyte.
static void lose_table(void) {
  pte_t root = kernel_pagetable->pte[KSTACK_BASE >> 30 & (PT_ENTRIES - 1)];
  struct pagetable *window = pa_to_ptr(pte_to_pa(root));
  uint32 i = PT_ENTRIES;
  while (!window->pte[--i])
    ;
  window->pte[i] = 0;
}

// Check the address space, after spoiling it as the word says.
static void check_space(char *words[]) {
  const struct thread *me = thread_current();
  struct pagetable *own = pa_to_ptr(pte_to_pa(csr_read(satp) << 10));
  pte_t *stack = pagetable_lookup(kernel_pagetable, me->stack_lo);
  if (word_is(words[0], "guard"))
    stack[-1] = *stack;
  else if (word_is(words[0], "above"))
    stack[KSTACK_SIZE / PAGE_SIZE] = *stack;
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

static void say_panic(char *words[]) {
  (void)words;
  panic("provoked");
}

// --- buffers for devices -------------------------------------------------------------------------

// Give the buffer to a device: to none in particular, or have the disk read a block into it.
static __attribute__((noinline)) void hand_over(void *p, uint64 size, const char *how) {
  if (word_is(how, "disk") && disk_read(1, p) != 0)
    kprintf("FAIL: the disk does not read\n");
  provoke_dma(p, dma_map(p, size));
}

// Its own stack; one that was freed; or the end of the window, which RAM cannot fill.
static void dma_stack(char *words[]) {
  struct thread *me = thread_current();
  uint64 at = me->stack_lo;
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

static void dma_vmalloc(char *words[]) {
  hand_over((void *)vmalloc_pair(), BLOCK_SIZE, words[0]);
}

static void dma_heap(char *words[]) {
  void *p = kmalloc(BLOCK_SIZE);
  if (p)
    hand_over(p, BLOCK_SIZE, words[0]);
  kfree(p);
}

// Ranges that begin well and run off RAM, or off data; and code, by its address in the direct map.
static void dma_range(char *words[]) {
  const struct pa_range *ram = &machine.ram[machine.ram_count - 1];
  if (word_is(words[0], "ram"))
    hand_over(pa_to_ptr(ram->base + ram->size - PAGE_SIZE), 2 * PAGE_SIZE, NULL);
  else if (word_is(words[0], "data"))
    hand_over(&code_data, IMAGE_MAX, NULL);
  else
    hand_over(pa_to_ptr((uint64)provoke_illegal - IMAGE_BASE + IMAGE_PA), BLOCK_SIZE, NULL);
}

// --- where ---------------------------------------------------------------------------------------

struct move {
  struct thread *thread;
  struct hart *hart;
  bool done;  // [test_spinlock]
};

// Have a thread that sleeps on movers wake up on another hart.  It sleeps once the lock is free.
static void move_other(void *arg) {
  struct move *m = arg;
  irq_t s = spin_lock(&test_spinlock);
  thread_place(m->thread, m->hart);
  m->done = true;
  waitq_wake_all(&movers);
  spin_unlock(&test_spinlock, s);
  thread_exit();
}

// Move to that hart, by the help of a kernel thread.  An idle hart may be quicker: then not.
static void move_to(struct hart *h) {
  struct move *m = kmalloc(sizeof(*m));
  struct thread *t = m ? thread_create("mover", 0, move_other, m) : NULL;
  if (t) {
    *m = (struct move){thread_current(), h, false};
    irq_t s = spin_lock(&test_spinlock);
    thread_ready(t);
    while (!m->done)
      waitq_sleep_through(&movers, &test_spinlock);
    spin_unlock(&test_spinlock, s);
  }
  kfree(m);
}

static int run_test(char *words[]);

static void on_hart(char *words[]) {
  uint64 n = provoke_number(words[0], hart_count);
  for (uint32 tries = 0; tries < MOVES && n < hart_count && hart_index() != n; tries++)
    move_to(&harts[n]);
  if (hart_index() != n)
    kprintf("FAIL: cannot run on hart %s\n", words[0] ? words[0] : "?");
  else if (run_test(words + 1) != 0)
    kprintf("FAIL: no such test\n");
}

// What the next software interrupt of that hart does.
static struct {
  struct hart *hart;
  char **words;
} in_interrupt;

static void software_interrupt(void) {
  if (in_interrupt.hart != this_hart())
    return;
  in_interrupt.hart = NULL;
  if (run_test(in_interrupt.words) != 0)
    kprintf("FAIL: no such test\n");
}

static void interrupt(char *words[]) {
  irq_t s = irq_save();
  in_interrupt.words = words;
  in_interrupt.hart = this_hart();
  store_release(&irq_software_test, software_interrupt);
  csr_set(sip, SIE_SSIE);
  irq_restore(s);  // it comes here
  store_release(&irq_software_test, NULL);
}

// --- the device ---------------------------------------------------------------------------------

#define KASAN_ENTRY(name, help, function, returns) {#name, help, provoke_kasan_##function, returns},

static const struct test tests[] = {
    {"EXHAUST_STACK", "recurse until the stack is gone", exhaust_stack, false},
    {"EXHAUST_IRQOFF", "likewise with interrupts off", exhaust_irqoff, false},
    {"EXHAUST_SPINLOCK", "likewise holding a spin lock", exhaust_spinlock, false},
    {"EXHAUST_SLEEPLOCK", "likewise holding a sleep lock", exhaust_sleeplock, false},
    {"EXHAUST_TRANSACTION", "likewise in a transaction", exhaust_transaction, false},
    {"EXHAUST_KTHREAD", "likewise in a kernel thread", exhaust_kthread, false},
    {"EXHAUST_FRAMES", "[N] likewise, by assembly with frames of N bytes", exhaust_frames, false},
    {"EXHAUST_CONSOLE", "likewise within the console, which is locked", exhaust_console, false},
    {"EXHAUST_REPORTING",
     "[line|panic|message] of two processes one, when\n"
     "                           the other reports",
     exhaust_reporting, false},
    {"EXHAUST_ALL", "[off] as many processes as harts, at once", exhaust_all, false},
    {"COPY_LOW", "SP ADDRESS copy to the user's address with that sp", copy_low, false},
    {"COPY_KERNEL", "to|from|string SP user copy, the kernel's side there", copy_kernel, false},
    {"PLANT", "[N [small|mixed]] load from null, N + 1 calls deep", plant, false},
    {"STACK_GUARD_PAGE_LEADING", "[ACCESS [N]] byte N below this stack", guard_leading, false},
    {"STACK_GUARD_PAGE_TRAILING", "[ACCESS [N]] byte N above this stack", guard_trailing, false},
    {"GUARD_OTHER", "[ACCESS [N [PID]]] byte N below another stack", guard_other, false},
    {"STALE_STACK", "[ACCESS [N]] byte N of a stack that was freed", stale_stack, false},
    {"STALE_REMOTE", "[frame|slot] likewise on another hart, reused or not", stale_remote, true},
    {"REUSE_COUNT", "count stacks until a freed slot is used again", reuse_count, true},
    {"NEW_REMOTE", "run a thread with a new stack on another hart", new_remote, true},
    {"CORRUPT_STACK", "[N] overrun a local array by N bytes, return", corrupt_stack, false},
    {"CORRUPT_FRAME", "[mode] return to kernel code, or in kernel mode", corrupt_frame, true},
    {"JUMP_FRAME", "[N] set sp N bytes below the stack, store there", jump_frame, false},
    {"UNDERFLOW", "[N [TRAP]] set sp N bytes above the stack, trap", underflow, false},
    {"WILD_SP", "SP [TRAP] set sp, trap", wild_sp, false},
    {"REGISTERS", "[SP [SEED]] set every xN to SEED + N, fault", registers, false},
    {"REPORTER", "[fault] make the reporter itself overflow, or fault", reporter, false},
    {"STACK_USE", "N use N bytes of stack and go on", stack_use, true},
    {"DMA_STACK", "[disk|gone|nobody] give a stack address to a device", dma_stack, false},
    {"DMA_VMALLOC", "[disk] likewise one of an allocated area", dma_vmalloc, false},
    {"DMA_RANGE", "ram|data|text likewise a range past RAM, data; code", dma_range, false},
    {"DMA_HEAP", "[disk] likewise allocated memory, as a driver should", dma_heap, true},
    {"FAIL_ALLOC", "[N] fail this process' N-th allocation from now on", fail_alloc, true},
    {"MAKE_THREAD", "make a kernel thread that ends at once", make_thread, true},
    {"STACK_SECRET", "[N [DEPTH]] leave N bytes below DEPTH KiB of frames", provoke_stack_secret,
     true},
    {"STRAY_SECRET", "[N] leave one N bytes above the low end, then fault", provoke_stray_secret,
     false},
    {"STACK_IRQ", "[N] take N stacks in an interrupt, then in many", provoke_stack_irq, true},
    {"REUSE_STACK", "[N] take the stack of a thread that used N bytes", provoke_reuse_stack, true},
    {"EXEC_STACK", "execute the stack", exec_stack, false},
    {"EXEC_RODATA", "execute read-only data", exec_rodata, false},
    {"EXEC_DATA", "execute data", exec_data, false},
    {"EXEC_KMALLOC", "execute allocated memory", exec_kmalloc, false},
    {"EXEC_VMALLOC", "execute an allocated area", exec_vmalloc, false},
    {"EXEC_NULL", "call a null pointer", exec_null, false},
    {"EXEC_USERSPACE", "execute user code in the kernel", exec_userspace, false},
    {"ACCESS_NULL", "[ACCESS [N]] use a null pointer, offset N", access_null, false},
    {"ACCESS_USERSPACE", "[ACCESS] reach user memory without the user copy", access_userspace,
     false},
    {"VMALLOC_LINEAR_OVERFLOW", "store behind an allocated area", overflow_vmalloc, false},
    {"WRITE_RO", "[direct] store to read-only data", write_ro, false},
    {"WRITE_KERN", "[direct] store to kernel code", write_kern, false},
    {"UNMAPPED", "[ACCESS] use an address that nothing is mapped at", unmapped, false},
    {"ILLEGAL", "execute an illegal instruction", illegal, false},
    {"BREAKPOINT", "execute ebreak", breakpoint, false},
    {"VM_CHECK",
     "[guard|above|exec|user|alias|root|table|emergency]\n"
     "                           spoil and check the address space",
     check_space, true},
    {"BENCH_STACK", "count the instructions that stacks take", provoke_bench_stack, true},
    {"PANIC", "panic", say_panic, false},
    {"IN_INTERRUPT", "TEST... run the test in an interrupt handler", interrupt, true},
    {"ON_HART", "N TEST... run the test on that hart", on_hart, true},
#if KASAN
    KASAN_TESTS(KASAN_ENTRY)
#endif
};

// Return the part of the listing for test i, in buf.
static uint32 listing_line(const struct test *t, char *buf, size_t size) {
  return ksnprintf(buf, size, "%-26s %s\n", t->name, t->help);
}

static int64 crash_read(uva_t dst, uint64 n, uint64 offset) {
  char buf[160];
  uint64 at = 0, done = 0;
  for (uint32 i = 0; i < ARRAY_SIZE(tests) && done < n; i++) {
    uint64 length = listing_line(&tests[i], buf, sizeof(buf));
    uint64 skip = offset + done - at;
    at += length;
    if (skip >= length)
      continue;
    uint64 k = length - skip < n - done ? length - skip : n - done;
    if (copy_to_user(dst + done, buf + skip, k) != 0)
      return -EFAULT;
    done += k;
  }
  return done;
}

// Cut s into words at blanks.  Returns whether they fitted.
static bool split(char *s, char *words[], uint32 max) {
  for (uint32 n = 0;; n++) {
    while (*s == ' ' || *s == '\n')
      *s++ = 0;
    if (*s == 0)
      return true;
    if (n == max)
      return false;
    words[n] = s;
    while (*s && *s != ' ' && *s != '\n')
      s++;
  }
}

// Run the test that the words name.  Returns 0, or -EINVAL when there is none.
static int run_test(char *words[]) {
  for (uint32 i = 0; i < ARRAY_SIZE(tests); i++)
    if (word_is(words[0], tests[i].name)) {
      provoke_here();
      tests[i].run(words + 1);
      if (!tests[i].returns)
        kprintf("FAIL: %s survived\n", tests[i].name);
      return 0;
    }
  return -EINVAL;
}

static int64 crash_write(uva_t src, uint64 n, uint64 offset) {
  (void)offset;
  char command[COMMAND_SIZE];
  char *words[WORDS + WORDS] = {NULL};  // tests find null behind the last
  if (n >= sizeof(command))
    return -EINVAL;
  if (copy_from_user(command, src, n) != 0)
    return -EFAULT;
  command[n] = 0;
  if (!split(command, words, WORDS))
    return -EINVAL;
  if (!words[0])
    return n;
  int err = run_test(words);
  return err != 0 ? err : (int64)n;
}

void provoke_init(void) {
  static const struct device crash = {crash_read, crash_write};
  sleep_init(&test_sleeplock, "provoke");
  waitq_init(&movers);
  device_register(DEV_CRASH, &crash);
}
