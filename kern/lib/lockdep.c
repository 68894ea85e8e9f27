// SPDX-License-Identifier: MIT
//
// The order of locks, learned as the kernel runs.
//
// Holding a and taking b is an edge from a to b.  The kernel may deadlock if the edges have a ring,
// whether or not it does so this time.
// I1. reach[a] has all classes that edges lead to from a, so an edge is checked before it is added,
//     and the graph never has a ring.
// I2. Spin locks and sleep locks need no edges between them: no sleep lock is taken with a spin
//     lock held, and that is checked too.
// I3. After the first report nothing is checked, since the order is not known any more.
#include "kern/lib/lockdep.h"

#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "kern/lib/symbols.h"

#define CLASSES 64
#define EDGES   256
#define TRACE   12
#define BIT(n)  (1UL << (n))

struct trace {
  uint64 pc[TRACE];  // ends at 0
};

static struct {
  const char *name;
  bool sleeps;
} classes[CLASSES];  // from 1 on

static struct edge {
  uint64 from, to;
  struct trace trace;  // where it was learned
} edges[EDGES];

static uint64 direct[CLASSES];  // [a] classes that were taken with this one held
static uint64 reach[CLASSES];
static uint32 class_count = 1, edge_count;
static uint32 graph_busy;  // [a] guards all of these; no spin lock, which would come here again
static bool lockdep_off;   // [a] I3

static void graph_lock(void) {
  while (atomic_swap(&graph_busy, 1))
    panic_poll();
}

static uint64 class_of(const char *name, bool sleeps) {
  graph_lock();
  uint32 i = 1;
  while (i < class_count && (classes[i].sleeps != sleeps || strncmp(classes[i].name, name, 64)))
    i++;
  assert(i < CLASSES);
  classes[i].name = name;
  classes[i].sleeps = sleeps;
  if (i == class_count)
    class_count++;
  store_release(&graph_busy, 0);
  return i;
}

// Follow the frame pointers of the running stack, from the caller on.
static __attribute__((noinline)) void trace_here(struct trace *t) {
  const uint64 *fp = __builtin_frame_address(0);
  memset(t, 0, sizeof(*t));
  for (uint32 i = 0; i < TRACE; i++) {
    const uint64 *next = (const uint64 *)fp[-2];
    t->pc[i] = fp[-1];
    if (next <= fp || ((uint64)next - 16) / KSTACK_SIZE != (uint64)fp / KSTACK_SIZE ||
        (uint64)next % 16)
      break;
    fp = next;
  }
}

static void print_pc(const char *before, uint64 pc) {
  struct symbol s = {.name = "?"};
  symbol_find(pc - 4, &s);
  kprintf("%s%s+0x%lx\n", before, s.name, pc - 4 - s.start);
}

static void print_trace(const struct trace *t) {
  for (uint32 i = 0; i < TRACE && t->pc[i]; i++)
    print_pc("    ", t->pc[i]);
}

static void begin_report(struct trace *here) {
  irq_off();
  store_release(&lockdep_off, true);
  store_release(&graph_busy, 0);
  trace_here(here);
  print_begin_report();
}

// b is about to be taken with a held, but the edges lead from b to a.
static _Noreturn void report_order(uint64 a, uint64 b) {
  struct trace here;
  begin_report(&here);
  kprintf("\nThe %s lock \"%s\" is taken with \"%s\" held. %s\n\n",
          classes[b].sleeps ? "sleep" : "spin", classes[b].name, classes[a].name,
          a == b ? "Nothing says which of two locks of one name comes first."
                 : "Elsewhere it is the other way round.");
  uint64 at = b;
  for (const struct edge *e = edges; at != a && e < edges + edge_count; e++)
    if (e->from == at && (e->to == a || (reach[e->to] & BIT(a)))) {
      kprintf("  \"%s\", then \"%s\", first taken in:\n", classes[at].name, classes[e->to].name);
      print_trace(&e->trace);
      at = e->to;
      e = edges - 1;
    }
  kprintf("  \"%s\", then \"%s\", now in:\n", classes[a].name, classes[b].name);
  print_trace(&here);
  kprintf("\nTwo harts that do both at once wait for each other for ever.\n"
          "What to try: Take them in one order everywhere; docs/locks.md has it.\n");
  panic("lockdep: the order of \"%s\" and \"%s\" is not always the same", classes[a].name,
        classes[b].name);
}

static void report_held(const struct spinlock *l, const char *what, const char *advice) {
  struct trace here;
  if (!l || load_relaxed(&lockdep_off))
    return;
  begin_report(&here);
  kprintf("\n%s with the spin lock \"%s\" held.\n", what, l->name);
  print_pc("  Taken in ", l->taken_at);
  kprintf("  now in:\n");
  print_trace(&here);
  kprintf("\nWhat to try: %s\n", advice);
  panic("lockdep: %s with \"%s\" held", what, l->name);
}

static void add_edge(uint64 a, uint64 b) {
  if ((load_relaxed(&direct[a]) & BIT(b)) || load_relaxed(&lockdep_off))
    return;
  graph_lock();
  // A directory, then the inode it names; two that are not so need the lock "names".
  bool fine = a == b && classes[a].sleeps && strncmp(classes[a].name, "inode", 6) == 0;
  if (!fine && (a == b || (reach[b] & BIT(a))))
    report_order(a, b);
  if (!(direct[a] & BIT(b))) {  // else another hart was faster
    assert(edge_count < EDGES);
    edges[edge_count].from = a;
    edges[edge_count].to = b;
    trace_here(&edges[edge_count++].trace);
    direct[a] |= BIT(b);
  }
  for (uint32 i = 1; i < class_count && a != b; i++)
    if (i == a || (reach[i] & BIT(a)))
      reach[i] |= BIT(b) | reach[b];
  store_release(&graph_busy, 0);
}

void lockdep_taken(struct spinlock *l) {
  if (!l->class)
    l->class = class_of(l->name, false);
  l->taken_at = (uint64)__builtin_return_address(0);
}

void lockdep_restores(uint64 irq) {
  if (irq & SSTATUS_SIE)
    report_held(this_hart()->held, "Interrupts come on",
                "A handler that takes this lock waits for ever. Restore the first state last.");
}

void lockdep_spin(struct spinlock *l, uint64 irq) {
  lockdep_restores(irq);
  for (const struct spinlock *held = this_hart()->held; held; held = held->held_next)
    if (held != l)
      add_edge(held->class, l->class ? l->class : class_of(l->name, false));
}

void lockdep_waits(const struct spinlock *l) {
  irq_t irq = irq_save();
  const struct spinlock *held = this_hart()->held;
  report_held(held && held == l ? held->held_next : held, "A thread is about to sleep",
              "Release it first, or use a sleep lock: others spin for it meanwhile.");
  if (this_hart()->irq_depth && !load_relaxed(&lockdep_off))
    panic("lockdep: an interrupt handler is about to sleep");
  irq_restore(irq);
}

void lockdep_order(const char *held, const char *taken) {
  irq_t irq = irq_save();
  add_edge(class_of(held, true), class_of(taken, true));
  irq_restore(irq);
}
