// SPDX-License-Identifier: MIT
//
// kern/sched/ready.c: no wake-up is missed.  Harts are threads of the host, and wfi is a semaphore.
// In each ring of simulated threads one is ready at a time, wakes the next one, mostly on another
// hart, and sleeps; there are no ticks, so that a wake-up which is lost stops its ring for good.
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test/host/panic_host.h"
#include "test/host/spin_host.h"

static void irq_restore(irq_t state);
static void irq_on(void);
static void irq_off(void);
static void wait_for_interrupt(void);
#include "kern/sched/ready.c"

#define HARTS     4
#define RINGS     3
#define RING      4
#define HANDOVERS 20000
#define SECONDS   120  // without progress; the host may be very busy
#define ODDS(n)   (random_number() % (n) == 0)

struct hart harts[HART_MAX];
uint32 hart_count = HARTS;
void thread_start_slices(void) {
}

static struct runqueue queues[HARTS];
static struct thread threads[RINGS * RING];
static uint32 running[RINGS * RING];  // [a] must never be 2
static uint64 handovers[RINGS];       // [a]
static sem_t interrupts[HARTS];
static __thread struct hart *self;
static __thread uint64 seed;

static uint64 random_number(void) {
  seed = seed * 6364136223846793005UL + 1442695040888963407UL;
  return seed >> 33;
}

// Called between what must not be torn apart, too: give the others time to come between.
void kstack_refill(void) {
}

void panic_poll(void) {
  if (ODDS(2))
    sched_yield();
}

struct runqueue *hart_queue(void) {
  return self->queue;
}

static void irq_restore(irq_t state) {
  (void)state;
}

static void irq_off(void) {
}

static void irq_on(void) {
  while (sem_trywait(&interrupts[self->index]) == 0)
    ;
}

static void wait_for_interrupt(void) {
  sem_wait(&interrupts[self->index]);
}

void sbi_send_ipi(uint64 id) {
  sem_post(&interrupts[id]);
}

// What thread n does when it runs: hand over to the next one, once that one sleeps.
static void body(uint64 n) {
  uint64 r = n / RING;
  struct thread *next = &threads[r * RING + (n + 1) % RING];
  while (load_acquire(&next->state) != THREAD_SLEEPING)
    sched_yield();
  if (fetch_add(&handovers[r], 1) + 1 == HANDOVERS)
    return;
  self->irq_depth = ODDS(2);
  if (ODDS(2))
    thread_place(next, &harts[random_number() % HARTS]);
  else if (ODDS(2))
    thread_kill(next);
  else
    thread_ready(next);
  if (ODDS(8))
    runq_balance(self->queue);
  self->irq_depth = 0;
}

// Run the threads of q to where they sleep, until there is none.
void runq_yield(struct runqueue *q) {
  for (struct thread *t; (t = runq_pop(q));) {
    uint64 n = (uint64)(t - threads);
    if (t->hart != self || t->state != THREAD_READY)
      panic("hart %u runs a thread that is in state %d", self->index, t->state);
    if (fetch_add(&running[n], 1) != 0)
      panic("a thread runs twice");
    store_relaxed(&t->state, THREAD_RUNNING);
    self->current = t;
    spin_unlock_irq_off(&q->lock);
    body(n);
    spin_lock(&q->lock);
    fetch_sub(&running[n], 1);
    store_release(&t->state, THREAD_SLEEPING);
    self->current = &q->idle;
  }
  spin_unlock_irq_off(&q->lock);
}

static void *hart_main(void *h) {
  self = h;
  seed = self->index + 1;
  thread_idle();
}

static uint64 total(void) {
  uint64 sum = 0;
  for (uint32 r = 0; r < RINGS; r++)
    sum += load_acquire(&handovers[r]);
  return sum;
}

static void watch(void) {
  uint64 before = 0;
  for (uint32 idle = 0; total() != RINGS * HANDOVERS; idle++) {
    if (total() != before)
      idle = 0;
    before = total();
    if (idle == SECONDS * 100)
      panic("a wake-up was lost after %lu handovers", before);
    usleep(10000);
  }
}

int main(void) {
  for (uint32 i = 0; i < HARTS; i++) {
    sem_init(&interrupts[i], 0, 0);
    list_init(&queues[i].ready);
    queues[i].hart = &harts[i];
    harts[i] = (struct hart){.index = i, .id = i, .queue = &queues[i], .current = &queues[i].idle};
  }
  for (uint32 n = 0; n < RINGS * RING; n++) {
    struct thread *t = &threads[n];
    t->hart = &harts[n % HARTS];
    t->state = THREAD_SLEEPING;
    list_init(&t->run_node);
  }
  self = &harts[0];
  for (uint32 r = 0; r < RINGS; r++)
    thread_ready(&threads[r * RING]);
  for (uint32 i = 0; i < HARTS; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, hart_main, &harts[i]) != 0)
      panic("cannot make a hart");
  }
  watch();
  _exit(0);
}
