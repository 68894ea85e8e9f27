// SPDX-License-Identifier: MIT
//
// Pipes: a ring of bytes, copied in runs.
//
// I1. head - tail bytes are in the ring; both only grow, and are taken modulo the size.
// I2. Copies happen without the lock.  Only the thread that has the turn to read moves tail, and
//     only the one that has the turn to write moves head, so the bytes or the room that it saw stay
//     there.  A turn counts as a sleep lock.
#include "kern/fs/pipe.h"

#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/held.h"
#include "kern/sched/thread.h"
#include "kern/sched/waitq.h"
#include "vm/kmalloc.h"
#include "vm/usercopy.h"

#define PIPE_SIZE       16384
#define PIPE_SIZE_SMALL 4096  // when memory is short

// [I] fixed after creation  [l] lock  [c] see I2
struct pipe {
  struct spinlock lock;
  struct waitq readers;        // [l]
  struct waitq writers;        // [l]
  uint64 head;                 // [l] bytes ever written
  uint64 tail;                 // [l] bytes ever read
  struct thread *reader;       // [l] has the turn to read, or null
  struct thread *writer;       // [l]
  bool read_open, write_open;  // [l]
  uint32 size;                 // [I] a power of two
  uint8 *data;                 // [c]
};

struct pipe *pipe_create(void) {
  struct pipe *p = kzalloc(sizeof(*p));
  if (!p)
    return NULL;
  held_push(HELD_PIPE, p);
  p->size = PIPE_SIZE;
  p->data = kmalloc(PIPE_SIZE);
  if (!p->data) {
    p->size = PIPE_SIZE_SMALL;
    p->data = kmalloc(PIPE_SIZE_SMALL);
  }
  if (!p->data)
    return NULL;
  spin_init(&p->lock, "pipe");
  waitq_init(&p->readers, &p->lock);
  waitq_init(&p->writers, &p->lock);
  p->read_open = p->write_open = true;
  return p;
}

void pipe_free(struct pipe *p) {
  void *data = p->data;
  p->data = NULL;
  kfree(data);
  held_pop(HELD_PIPE, p);
  kfree(p);
}

void pipe_close(struct pipe **end, bool write_end) {
  struct pipe *p = *end;
  irq_t irq = spin_lock(&p->lock);
  if (write_end)
    p->write_open = false;
  else
    p->read_open = false;
  *end = NULL;
  bool unused = !p->read_open && !p->write_open;
  if (unused)
    held_push(HELD_PIPE, p);
  waitq_wake_all(&p->readers);
  waitq_wake_all(&p->writers);
  spin_unlock(&p->lock, irq);
  if (unused)
    pipe_free(p);
}

// Copy n bytes from position pos of the ring on; at most two runs.
static int copy_out(struct pipe *p, uint64 pos, uva_t dst, uint64 n) {
  uint64 at = pos & (p->size - 1);
  uint64 run = n < p->size - at ? n : p->size - at;
  int err = copy_to_user(dst, p->data + at, run);
  if (err < 0 || run == n)
    return err;
  return copy_to_user(dst + run, p->data, n - run);
}

static int copy_in(struct pipe *p, uint64 pos, uva_t src, uint64 n) {
  uint64 at = pos & (p->size - 1);
  uint64 run = n < p->size - at ? n : p->size - at;
  int err = copy_from_user(p->data + at, src, run);
  if (err < 0 || run == n)
    return err;
  return copy_from_user(p->data, src + run, n - run);
}

static void wake(struct waitq *q) {
  if (!list_empty(&q->waiters))
    waitq_wake_all(q);
}

// Holds: the lock.
static void take_turn(struct pipe *p, struct thread **turn) {
  assert(spin_holding(&p->lock));
  *turn = thread_current();
  (*turn)->sleeplocks++;
  held_push(HELD_TURN, p);
}

// Give the turn back, with its position moved on by what was copied.
static void end_turn(struct pipe *p, struct thread **turn, uint64 *position, uint64 copied) {
  irq_t irq = spin_lock(&p->lock);
  *position += copied;
  *turn = NULL;
  held_pop(HELD_TURN, p);
  thread_let_go(thread_current());
  wake(&p->readers);
  wake(&p->writers);
  spin_unlock(&p->lock, irq);
}

void pipe_give_turn(struct pipe *p) {
  bool reads = p->reader == thread_current();
  end_turn(p, reads ? &p->reader : &p->writer, &p->head, 0);
}

// Wait for something to read, and take the turn.  Returns how many bytes there are, 0 at the end,
// or -EINTR.
static int64 begin_read(struct pipe *p) {
  int err = 0;
  irq_t irq = spin_lock(&p->lock);
  while (err == 0 && (p->reader || p->head == p->tail) && (p->write_open || p->head != p->tail))
    err = waitq_sleep(&p->readers);
  int64 there = err < 0 ? err : (int64)(p->head - p->tail);
  if (there > 0)
    take_turn(p, &p->reader);
  spin_unlock(&p->lock, irq);
  return there;
}

int64 pipe_read(struct pipe *p, uva_t dst, uint64 n) {
  int64 there = n > 0 ? begin_read(p) : 0;
  if (there <= 0)
    return there;
  n = n < (uint64)there ? n : (uint64)there;
  int err = copy_out(p, p->tail, dst, n);
  end_turn(p, &p->reader, &p->tail, err < 0 ? 0 : n);
  return err < 0 ? err : (int64)n;
}

static uint64 pipe_room(const struct pipe *p) {
  return p->size - (p->head - p->tail);
}

// Wait for room for at least n bytes, and take the turn.  Returns the room, -EPIPE or -EINTR.
static int64 begin_write(struct pipe *p, uint64 n) {
  int err = 0;
  irq_t irq = spin_lock(&p->lock);
  while (err == 0 && p->read_open && (p->writer || pipe_room(p) < n))
    err = waitq_sleep(&p->writers);
  if (err == 0 && !p->read_open)
    err = -EPIPE;
  int64 free = err < 0 ? err : (int64)pipe_room(p);
  if (free > 0)
    take_turn(p, &p->writer);
  spin_unlock(&p->lock, irq);
  return free;
}

// Write at least one byte and at most n; all n if they are at most PIPE_ATOMIC.
static int64 write_some(struct pipe *p, uva_t src, uint64 n) {
  int64 free = begin_write(p, n <= PIPE_ATOMIC ? n : 1);
  if (free < 0)
    return free;
  n = n < (uint64)free ? n : (uint64)free;
  int err = copy_in(p, p->head, src, n);
  end_turn(p, &p->writer, &p->head, err < 0 ? 0 : n);
  return err < 0 ? err : (int64)n;
}

int64 pipe_write(struct pipe *p, uva_t src, uint64 n) {
  uint64 done = 0;
  while (done < n) {
    int64 put = write_some(p, src + done, n - done);
    if (put < 0)
      return done > 0 ? (int64)done : put;
    done += (uint64)put;
  }
  return (int64)done;
}
