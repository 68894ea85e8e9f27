// SPDX-License-Identifier: MIT
//
// The report of a hang: what has happened, then each hart with its backtrace.
//
// I1. One hart asks, and prints everything.  The others answer with the frame of what they were
//     doing, and stand still until the report is out: at an interrupt, or where they spin.
// I2. A hart that does neither has its interrupts off.  The report says so; S-mode has no way to
//     look at its registers.
#include "kern/lib/atomic.h"
#include "kern/lib/hang.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/sbi.h"
#include "kern/sched/runq.h"
#include "kern/sched/sleeplock.h"
#include "trap/backtrace.h"
#include "trap/trap.h"

#define ANSWER_SECONDS 2  // a busy host may hold a hart back
#define CHAIN          8  // locks shown in a row

static const struct {
  const char *name, *sentence, *advice;
  uint32 limit;  // in hang_limit
} kinds[] = {
    {"spin-lock", "has waited for a spin lock",
     "Look at what the holder does: it forgot to release the lock, or waits for one itself.", 1},
    {"hard-lockup", "has taken no interrupt",
     "Look for a loop with interrupts off. GDB shows where: info threads, then bt.", 2},
    {"soft-lockup", "has kept a ready thread waiting",
     "Look for a loop at the end of a stack, where no thread is preempted.", 2},
    {"hung-task", "has waited for a sleep lock",
     "Look at what the holder does. Two threads may take two locks in opposite orders.", 6},
};

static struct hart *asker;        // [a] the hart that reports, or null
static uint64 answers[HART_MAX];  // [a] by index: the address of a trap frame, or 1 plus a frame
                                  //     pointer of a function whose caller is meant; 0: none

void hang_answer(const struct trap_frame *frame) {
  const struct hart *a = load_acquire(&asker);
  if (!a)
    return;
  irq_t irq = irq_save();
  if (a != this_hart()) {
    uint64 answer = frame ? (uint64)frame : (uint64)__builtin_frame_address(0) + 1;
    do {  // again, since this may be the next report already, whose asker forgot all answers
      panic_obey();
      store_release(&answers[this_hart()->index], answer);
      fence_all();
    } while (load_acquire(&asker));
  }
  irq_restore(irq);
}

static void ask_all(const struct hart *me) {
  for (uint32 i = 0; i < hart_count; i++)
    if (&harts[i] != me && load_relaxed(&harts[i].online)) {
      store_release(&answers[i], 0);  // given to an earlier report
      sbi_send_ipi(harts[i].id);
    }
  uint64 start = csr_read(time);
  for (uint32 i = 0; i < hart_count; i++)
    while (&harts[i] != me && load_relaxed(&harts[i].online) && !load_acquire(&answers[i]) &&
           csr_read(time) - start < ANSWER_SECONDS * machine.timebase)
      ;
}

static void print_thread(const char *before, const struct thread *t) {
  if (t && t->pid)
    kprintf("%spid %d (%s)", before, t->pid, t->name);
  else
    kprintf("%skernel thread %s", before, t ? t->name : "boot");
}

// Print the backtrace of a function that is about to go on at pc.
static __attribute__((noinline)) void print_from(uint64 pc, const void *sp, uint64 fp) {
  struct trap_frame frame = {.sepc = pc - 4};       // in the call
  uint64 lo = ROUND_DOWN((uint64)sp, KSTACK_SIZE);  // stacks are aligned to their size
  frame_reg(&frame, REG_SP) = (uint64)sp;
  frame_reg(&frame, REG_S0) = fp;
  backtrace_print(&frame, (struct stack_bounds){lo, lo + KSTACK_SIZE});
}

static void print_answer(uint64 answer) {
  const uint64 *fp = (const uint64 *)(answer - 1);
  const struct trap_frame *frame = (const struct trap_frame *)answer;
  uint64 lo = ROUND_DOWN(answer, KSTACK_SIZE);
  if (answer & 1)
    print_from(fp[-1], fp, fp[-2]);
  else if (is_kernel_text(frame->sepc))
    backtrace_print(frame, (struct stack_bounds){lo, lo + KSTACK_SIZE});
  else
    kprintf("  in user mode, at 0x%lx\n", frame->sepc);
}

static void print_hart(const struct hart *h, uint64 answer) {
  const struct spinlock *wanted = load_relaxed(&h->wanted), *held = load_relaxed(&h->held);
  kprintf("\nHart %u runs ", h->index);
  print_thread("", h->current);
  if (wanted)
    kprintf(", waits for the spin lock \"%s\"%s", wanted->name,
            load_relaxed(&wanted->owner) ? "" : ", which is taken but held by no hart");
  for (uint32 n = 0; held && n < CHAIN; n++, held = held->held_next)
    kprintf(", holds \"%s\"", held->name);
  kprintf("%s\n", answer ? ":" : ", and does not answer: its interrupts are off.");
  if (answer)
    print_answer(answer);
}

// Where t went to sleep and for which lock, then the same of the lock's holder, and so on.
static void print_chain(const struct thread *t) {
  const struct thread *first = t;
  for (uint32 n = 0; t && n < CHAIN && (t != first || n == 0); n++) {
    const struct sleeplock *l = sleep_wanted(t);
    const struct switch_frame *saved = (const struct switch_frame *)t->sp;
    print_thread("\n", t);
    if (l)
      kprintf(" waits for the sleep lock \"%s\"", l->guard.name);
    if (l && l->owner)
      print_thread(", held by ", l->owner);
    kprintf(":\n");
    if (thread_state(t) == THREAD_SLEEPING)
      print_from(saved->ra, saved + 1, saved->s[0]);
    t = l ? l->owner : NULL;
  }
  if (t == first)
    kprintf("\nThat is a deadlock: each waits for the next.\n");
}

static void report(enum hang class, const struct hart *h, const struct thread *t) {
  kprintf("\n");
  if (h)
    kprintf("Hart %u, ", h->index);
  print_thread("", t);
  kprintf("%s %s for %lu s.\n", h ? "," : "", kinds[class].sentence,
          kinds[class].limit * hang_limit / machine.timebase);
  if (class == HANG_TASK)
    print_chain(t);
  for (uint32 i = 0; i < hart_count; i++)
    if (load_relaxed(&harts[i].online))
      print_hart(&harts[i], load_acquire(&answers[i]));
  kprintf("\nWhat to try: %s\n", kinds[class].advice);
}

void hang_report(enum hang class, const struct hart *h, const struct thread *t) {
  irq_t irq = irq_save();
  struct hart *me = this_hart(), *none = NULL;
  fetch_add(&panic_attention, 1);
  if (compare_swap(&asker, &none, me)) {
    answers[me->index] = (uint64)__builtin_frame_address(0) + 1;
    fetch_add(&reports_pending, 1);
    ask_all(me);
    print_begin_report();
    report(class, h, h ? h->current : t);
    print_end_report();
    fetch_sub(&reports_pending, 1);
    if (class != HANG_TASK)
      panic("hart %u hangs: %s", h->index, kinds[class].name);
    store_release(&asker, (struct hart *)NULL);
  }
  hang_answer(NULL);
  fetch_sub(&panic_attention, 1);
  irq_restore(irq);
}
