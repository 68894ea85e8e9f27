// SPDX-License-Identifier: MIT
//
// Pipes: a ring of bytes, copied in runs.
//
// I1. write.moved - read.moved bytes are in the ring.  Both only grow, and are taken modulo the
//     size.
// I2. Copies happen without the lock.  Only the thread that has the turn at an end moves that end
//     on, so the bytes or the room that it saw stay there.  A turn counts as a sleep lock.
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
struct end {
  struct waitq waiting;   // [l]
  uint64 moved;           // [l] bytes ever read, or written
  struct thread *moving;  // [l] has the turn, or null
};

struct pipe {
  struct spinlock lock;
  struct end read, write;
  bool read_open, write_open;  // [l]
  uint32 size;                 // [I] a power of two
  uint8 *data;                 // [c]
};

int pipe_create(struct pipe **read_end, struct pipe **write_end) {
  struct pipe *p = held_alloc(HELD_PIPE, sizeof(*p));
  if (!p)
    return -ENOMEM;
  p->size = PIPE_SIZE;
  p->data = kmalloc(PIPE_SIZE);
  if (!p->data) {
    p->size = PIPE_SIZE_SMALL;
    p->data = kmalloc(PIPE_SIZE_SMALL);
  }
  if (!p->data)
    return -ENOMEM;
  spin_init(&p->lock, "pipe");
  waitq_init(&p->read.waiting, &p->lock);
  waitq_init(&p->write.waiting, &p->lock);
  irq_t irq = spin_lock(&p->lock);
  p->read_open = p->write_open = true;
  *read_end = *write_end = p;
  held_pop(HELD_PIPE, p);
  spin_unlock(&p->lock, irq);
  return 0;
}

__attribute__((noinline)) void pipe_free(struct pipe *p) {
  void *data = p->data;
  p->data = NULL;
  kfree(data);
  held_free(HELD_PIPE, p);
}

void pipe_close(struct pipe **end, bool write_end) {
  struct pipe *p = *end;
  irq_t irq = spin_lock(&p->lock);
  *(write_end ? &p->write_open : &p->read_open) = false;
  *end = NULL;
  bool unused = !p->read_open && !p->write_open;
  if (unused)
    held_push(HELD_PIPE, p);
  waitq_wake_all(&p->read.waiting);
  waitq_wake_all(&p->write.waiting);
  spin_unlock(&p->lock, irq);
  if (unused)
    pipe_free(p);
}

// Copy n bytes from position pos of the ring on; at most two runs.
static inline int copy_out(struct pipe *p, uint64 pos, uva_t dst, uint64 n) {
  uint64 size = p->size, at = pos & (size - 1), run = size - at;
  if (n <= run)
    return copy_to_user(dst, p->data + at, n);
  int err = copy_to_user(dst, p->data + at, run);
  return err < 0 ? err : copy_to_user(dst + run, p->data, n - run);
}

static inline int copy_in(struct pipe *p, uint64 pos, uva_t src, uint64 n) {
  uint64 size = p->size, at = pos & (size - 1), run = size - at;
  if (n <= run)
    return copy_from_user(p->data + at, src, n);
  int err = copy_from_user(p->data + at, src, run);
  return err < 0 ? err : copy_from_user(p->data, src + run, n - run);
}

static inline void wake(struct waitq *q) {
  if (!list_empty(&q->waiters))
    waitq_wake_all(q);
}

// Holds: the lock.
static inline void take_turn(struct pipe *p, struct end *end) {
  end->moving = thread_current();
  end->moving->sleeplocks++;
  held_push(HELD_TURN, p);
}

// Give the turn at the end back, with that moved on by what was copied.
static inline __attribute__((always_inline)) void end_turn(struct pipe *p, struct end *end,
                                                           uint64 copied) {
  irq_t irq = spin_lock(&p->lock);
  end->moved += copied;
  end->moving = NULL;
  held_pop(HELD_TURN, p);
  thread_let_go(thread_current());
  wake(&p->read.waiting);
  wake(&p->write.waiting);
  spin_unlock(&p->lock, irq);
}

void pipe_give_turn(struct pipe *p) {
  end_turn(p, p->read.moving == thread_current() ? &p->read : &p->write, 0);
}

// Wait for something to read, and take the turn.  Returns how many bytes there are, 0 at the end,
// or -EINTR.
static inline int64 begin_read(struct pipe *p) {
  irq_t irq = spin_lock(&p->lock);
  int64 there;
  do
    there = (int64)(p->write.moved - p->read.moved);
  while ((there > 0 ? !!p->read.moving : p->write_open) &&
         (there = waitq_sleep(&p->read.waiting)) == 0);
  if (there > 0)
    take_turn(p, &p->read);
  spin_unlock(&p->lock, irq);
  return there;
}

int64 pipe_read(struct pipe *p, uva_t dst, uint64 n) {
  int64 there = n > 0 ? begin_read(p) : 0;
  if (there <= 0)
    return there;
  n = n < (uint64)there ? n : (uint64)there;
  int err = copy_out(p, p->read.moved, dst, n);
  end_turn(p, &p->read, err < 0 ? 0 : n);
  return err < 0 ? err : (int64)n;
}

// Wait for room for at least n bytes, and take the turn.  Returns the room, -EPIPE or -EINTR.
static inline int64 begin_write(struct pipe *p, uint64 n) {
  irq_t irq = spin_lock(&p->lock);
  int64 room;
  do
    room = !p->read_open ? -EPIPE : (int64)(p->size - (p->write.moved - p->read.moved));
  while (room >= 0 && (p->write.moving || (uint64)room < n) &&
         (room = waitq_sleep(&p->write.waiting)) == 0);
  if (room > 0)
    take_turn(p, &p->write);
  spin_unlock(&p->lock, irq);
  return room;
}

// Write at least one byte and at most n; all n if they are at most PIPE_ATOMIC.
static inline __attribute__((always_inline)) int64 write_some(struct pipe *p, uva_t src, uint64 n) {
  int64 room = begin_write(p, n <= PIPE_ATOMIC ? n : 1);
  if (room < 0)
    return room;
  n = n < (uint64)room ? n : (uint64)room;
  int err = copy_in(p, p->write.moved, src, n);
  end_turn(p, &p->write, err < 0 ? 0 : n);
  return err < 0 ? err : (int64)n;
}

// Write on, of n bytes of which done are written, up to an error.  Returns how many are then.
static __attribute__((noinline)) int64 write_on(struct pipe *p, uva_t src, uint64 n, uint64 done) {
  for (int64 put; done < n && (put = write_some(p, src + done, n - done)) > 0;)
    done += (uint64)put;
  return (int64)done;
}

int64 pipe_write(struct pipe *p, uva_t src, uint64 n) {
  int64 put = n > 0 ? write_some(p, src, n) : 0;
  return put > 0 && (uint64)put < n ? write_on(p, src, n, (uint64)put) : put;
}
