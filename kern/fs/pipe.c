// SPDX-License-Identifier: MIT
//
// Pipes: a ring of bytes, copied in runs.
//
// I1. head - tail bytes are in the ring; both only grow, and are taken modulo the size.
// I2. Copies happen without the lock.  `reading` makes its holder the only one to move tail,
//     `writing` the only one to move head, so the bytes (or the room) they saw stay theirs.
#include "kern/fs/pipe.h"

#include "kern/lib/errno.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/waitq.h"
#include "vm/kmalloc.h"
#include "vm/usercopy.h"

#define PIPE_SIZE       16384
#define PIPE_SIZE_SMALL 4096  // when memory is short

// [I] fixed after creation  [l] lock  [c] bytes: the holder of `reading` or `writing`, see I2
struct pipe {
  struct spinlock lock;
  struct waitq readers;        // [l]
  struct waitq writers;        // [l]
  uint64 head;                 // [l] bytes ever written
  uint64 tail;                 // [l] bytes ever read
  bool reading, writing;       // [l]
  bool read_open, write_open;  // [l]
  uint32 size;                 // [I] a power of two
  uint8 *data;                 // [c]
};

struct pipe *pipe_create(void) {
  struct pipe *p = kzalloc(sizeof(*p));
  if (!p)
    return NULL;
  p->size = PIPE_SIZE;
  p->data = kmalloc(PIPE_SIZE);
  if (!p->data) {
    p->size = PIPE_SIZE_SMALL;
    p->data = kmalloc(PIPE_SIZE_SMALL);
  }
  if (!p->data) {
    kfree(p);
    return NULL;
  }
  spin_init(&p->lock, "pipe");
  waitq_init(&p->readers);
  waitq_init(&p->writers);
  p->read_open = p->write_open = true;
  return p;
}

void pipe_close(struct pipe *p, bool write_end) {
  irq_t s = spin_lock(&p->lock);
  if (write_end)
    p->write_open = false;
  else
    p->read_open = false;
  bool unused = !p->read_open && !p->write_open;
  waitq_wake_all(&p->readers);
  waitq_wake_all(&p->writers);
  spin_unlock(&p->lock, s);
  if (!unused)
    return;
  kfree(p->data);
  kfree(p);
}

static uint64 min(uint64 a, uint64 b) {
  return a < b ? a : b;
}

// Copy n bytes from position pos of the ring on; at most two runs.
static int copy_out(struct pipe *p, uint64 pos, uva_t dst, uint64 n) {
  uint64 at = pos & (p->size - 1);
  uint64 run = min(n, p->size - at);
  int err = copy_to_user(dst, p->data + at, run);
  if (err < 0 || run == n)
    return err;
  return copy_to_user(dst + run, p->data, n - run);
}

static int copy_in(struct pipe *p, uint64 pos, uva_t src, uint64 n) {
  uint64 at = pos & (p->size - 1);
  uint64 run = min(n, p->size - at);
  int err = copy_from_user(p->data + at, src, run);
  if (err < 0 || run == n)
    return err;
  return copy_from_user(p->data, src + run, n - run);
}

static void wake(struct waitq *q) {
  if (!list_empty(&q->waiters))
    waitq_wake_all(q);
}

// Wait for something to read and for the turn to read it.  Returns the bytes there are, 0 at the
// end, or -EINTR.  Holds: the lock.
static int64 wait_readable(struct pipe *p) {
  while (p->reading || p->head == p->tail) {
    if (p->head == p->tail && !p->write_open)
      return 0;
    int err = waitq_sleep(&p->readers, &p->lock);
    if (err < 0)
      return err;
  }
  return (int64)(p->head - p->tail);
}

int64 pipe_read(struct pipe *p, uva_t dst, uint64 n) {
  if (n == 0)
    return 0;
  irq_t s = spin_lock(&p->lock);
  int64 got = wait_readable(p);
  if (got > 0) {
    n = min(n, (uint64)got);
    p->reading = true;
    uint64 tail = p->tail;
    spin_unlock(&p->lock, s);
    int err = copy_out(p, tail, dst, n);
    s = spin_lock(&p->lock);
    p->reading = false;
    got = err;
    if (err == 0) {
      p->tail += n;
      got = (int64)n;
    }
    wake(&p->readers);
    wake(&p->writers);
  }
  spin_unlock(&p->lock, s);
  return got;
}

static uint64 room(const struct pipe *p) {
  return p->size - (p->head - p->tail);
}

// Wait for at least n bytes of room and for the turn to fill it.  Returns the room, -EPIPE or
// -EINTR.  Holds: the lock.
static int64 wait_writable(struct pipe *p, uint64 n) {
  while (p->read_open && (p->writing || room(p) < n)) {
    int err = waitq_sleep(&p->writers, &p->lock);
    if (err < 0)
      return err;
  }
  return p->read_open ? (int64)room(p) : -EPIPE;
}

// Write at least one byte and at most n, or all of them if they are few.
static int64 write_some(struct pipe *p, uva_t src, uint64 n) {
  irq_t s = spin_lock(&p->lock);
  int64 put = wait_writable(p, n <= PIPE_ATOMIC ? n : 1);
  if (put > 0) {
    n = min(n, (uint64)put);
    p->writing = true;
    uint64 head = p->head;
    spin_unlock(&p->lock, s);
    int err = copy_in(p, head, src, n);
    s = spin_lock(&p->lock);
    p->writing = false;
    put = err;
    if (err == 0) {
      p->head += n;
      put = (int64)n;
    }
    wake(&p->writers);
    wake(&p->readers);
  }
  spin_unlock(&p->lock, s);
  return put;
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
