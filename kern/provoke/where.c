// SPDX-License-Identifier: MIT
//
// Another test, on a given hart, in an interrupt handler, or with few spare pages.
#include "kern/provoke/tests.h"

#include "kern/dev/irq.h"
#include "kern/dev/timer.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/print.h"
#include "kern/provoke/provoke.h"
#include "kern/provoke/words.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "kern/sched/thread.h"
#include "kern/sched/waitq.h"
#include "vm/kmalloc.h"
#include "vm/page.h"

#define MOVES 1000

static struct spinlock move_lock = SPINLOCK_INIT("provoke-move");

struct move {
  struct thread *thread;
  struct hart *hart;
  bool done;              // [move_lock]
  struct waitq finished;  // [move_lock]
};

// Have the thread, which sleeps once the lock is free, wake up on the other hart.
static void move_other(void *arg) {
  struct move *m = arg;
  irq_t irq = spin_lock(&move_lock);
  thread_place(m->thread, m->hart);
  m->done = true;
  waitq_wake_all(&m->finished);
  spin_unlock(&move_lock, irq);
  thread_exit();
}

// Move to that hart with the help of a kernel thread.  An idle hart may take the thread first.
static void move_to(struct hart *h) {
  struct move *m = kmalloc(sizeof(*m));
  struct thread *t = m ? thread_create("mover", 0, move_other, m) : NULL;
  if (t) {
    m->thread = thread_current();
    m->hart = h;
    m->done = false;
    waitq_init(&m->finished, &move_lock);
    irq_t irq = spin_lock(&move_lock);
    thread_ready(t);
    while (!m->done)
      waitq_sleep_through(&m->finished);
    spin_unlock(&move_lock, irq);
  }
  kfree(m);
}

void provoke_on_hart(char *words[]) {
  uint64 n = word_number(words[0], hart_count);
  for (uint32 tries = 0; tries < MOVES && n < hart_count && hart_index() != n; tries++)
    move_to(&harts[n]);
  if (hart_index() != n)
    kprintf("FAIL: cannot run on hart %s\n", words[0] ? words[0] : "?");
  else if (provoke_run(words + 1) != 0)
    kprintf("FAIL: no such test\n");
}

// An interrupt would bring new pages, so no tick comes for a second.
void provoke_spare(char *words[]) {
  irq_t irq = irq_save();
  timer_set_comparator(csr_read(time) + machine.timebase);
  struct hart *h = this_hart();
  while (h->spares > word_number(words[0], 0))
    page_put(h->spare[--h->spares]);
  irq_restore(irq);
  if (!words[0] || provoke_run(words + 1) != 0)
    kprintf("FAIL: no such test\n");
}

// What the next software interrupt of that hart does.
static struct {
  struct hart *hart;
  char **words;
} in_interrupt;

static void run_in_interrupt(void) {
  if (in_interrupt.hart != this_hart())
    return;
  in_interrupt.hart = NULL;
  if (provoke_run(in_interrupt.words) != 0)
    kprintf("FAIL: no such test\n");
}

void provoke_in_interrupt(char *words[]) {
  irq_t irq = irq_save();
  in_interrupt.words = words;
  in_interrupt.hart = this_hart();
  store_release(&irq_software_test, run_in_interrupt);
  csr_set(sip, SIE_SSIE);
  irq_restore(irq);  // it comes here
  store_release(&irq_software_test, NULL);
}
