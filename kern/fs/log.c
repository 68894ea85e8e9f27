// SPDX-License-Identifier: MIT
//
// The log: write-ahead redo logging with group commit, in xv6's format on disk: a header block
// (n, then n block numbers) and n blocks of data.
//
// A commit is four steps, each made durable before the next begins:
//   1. the changed blocks into the log    2. the header with n > 0: from here on it has happened
//   3. the blocks into their places       4. the header with n = 0: the log is free again
// While it runs no transaction is open, so that the buffers themselves are what is written.
#include "kern/fs/log.h"

#include "kern/dev/disk.h"
#include "kern/fs/buf.h"
#include "kern/fs/fs.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/thread.h"
#include "kern/sched/waitq.h"
#include "vm/kmalloc.h"

// The first sector has all of it, so that no half of it can be old.
struct log_header {
  uint32 n;
  uint32 block[LOG_BLOCKS_MAX];
  uint8 unused[BLOCK_SIZE - SECTOR_SIZE];
};
_Static_assert(sizeof(struct log_header) == BLOCK_SIZE, "the header is one block");

// [l] lock  [c] the thread that commits  [I] fixed after recovery  [a] atomic
static struct {
  struct spinlock lock;
  struct waitq waiting;              // [l] for room, or for the end of a commit
  uint32 open;                       // [l] open transactions
  uint32 commits;                    // [l] finished commits
  bool sealed;                       // [l] no transaction may begin before the next commit ends
  bool closed;                       // [a] for good
  bool failed;                       // [l] see I3
  bool shared;                       // [l] another transaction was open in this commit
  bool committing;                   // [l]
  uint32 n;                          // [l] blocks collected
  struct buf *bufs[LOG_BLOCKS_MAX];  // [l] each with a reference
  struct disk_block list[LOG_BLOCKS_MAX];  // [c]
  struct log_header *header;               // [I] the block; contents [c]
} log = {.lock = SPINLOCK_INIT("log"), .waiting = WAITQ_INIT(log.waiting, log.lock)};

static int write_header(uint32 n) {
  log.header->n = n;
  int err = disk_write(fs.log_start, log.header);
  return err < 0 ? err : disk_flush();
}

static int check_header(const char **why) {
  *why = "the log's header takes two sectors, and one may be old: recover it where it was written";
  if (log.header->n > LOG_BLOCKS_MAX && log.header->n <= fs.log_size)
    return -EINVAL;
  *why = "the log's header is damaged";
  if (log.header->n > fs.log_size)
    return -EIO;
  for (uint32 i = 0; i < log.header->n; i++)
    if (log.header->block[i] < fs.inode_start || log.header->block[i] >= fs.size)
      return -EIO;  // the boot block, the superblock, the log itself, or beyond the image
  return 0;
}

static int replay(void) {
  for (uint32 i = 0; i < log.header->n; i++) {
    struct buf *b = buf_get(fs.log_start + 1 + i);
    if (!b)
      return -EIO;
    int err = disk_write(log.header->block[i], b->data);
    buf_put(b);
    if (err < 0)
      return err;
  }
  return disk_flush();
}

int log_recover(const char **why) {
  *why = "no memory for the log";
  log.header = kmalloc(BLOCK_SIZE);
  if (!log.header)
    return -ENOMEM;
  *why = "the log cannot be read";
  int err = disk_read(fs.log_start, log.header);
  if (err < 0)
    return err;
  err = check_header(why);
  if (err < 0 || log.header->n == 0)
    return err;
  *why = "the log cannot be recovered";
  err = replay();
  return err < 0 ? err : write_header(0);
}

int log_begin(void) {
  struct thread *t = thread_current();
  assert(!hart_held() && !t->in_transaction && !t->locks);
  irq_t irq = spin_lock(&log.lock);
  while (!log.failed && (log.sealed || load_relaxed(&log.closed) ||
                         log.n + (log.open + 1) * LOG_OP_MAX > fs.log_capacity))
    waitq_sleep_through(&log.waiting);
  bool failed = log.failed;
  if (!failed)
    log.shared = log.open++ > 0;
  t->in_transaction = !failed;
  t->changed = false;
  spin_unlock(&log.lock, irq);
  return failed ? -EROFS : 0;
}

void log_write(struct buf *b) {
  struct thread *t = thread_current();
  assert(t->in_transaction);
  irq_t irq = spin_lock(&log.lock);
  t->changed = true;
  store_release(&b->valid, true);  // see buf_get_zeroed
  if (load_relaxed(&fs.dropped)) {
    buf_forget(b);
  } else if (!b->logged) {
    if (log.n >= fs.log_capacity)
      panic("log: %u blocks in one commit, %u transactions open", log.n, log.open);
    buf_hold(b);
    b->logged = true;
    log.bufs[log.n++] = b;
  }
  spin_unlock(&log.lock, irq);
}

// Holds: log.lock.
static void fail(const char *what) {
  assert(spin_holding(&log.lock));
  if (!log.failed)
    kprintf("fs: %s; the file system is read-only from now on\n", what);
  log.failed = true;
  waitq_wake_all(&log.waiting);  // the transaction that they wait for may never end
}

void log_fail(const char *what) {
  irq_t irq = spin_lock(&log.lock);
  fail(what);
  spin_unlock(&log.lock, irq);
}

// Write the collected blocks to where log.list says.
static int write_list(void) {
  int err = disk_write_all(log.list, log.n);
  return err < 0 ? err : disk_flush();
}

// Write everything collected, in the four steps.  No transaction is open and none begins:
// log.sealed.
static int commit(void) {
  if (log.n == 0)
    return 0;
  for (uint32 i = 0; i < log.n; i++) {
    log.header->block[i] = log.bufs[i]->block;
    log.list[i] = (struct disk_block){fs.log_start + 1 + i, log.bufs[i]->data};
  }
  int err = write_list();                     // 1
  err = err < 0 ? err : write_header(log.n);  // 2
  for (uint32 i = 0; i < log.n; i++)
    log.list[i].block = log.header->block[i];
  err = err < 0 ? err : write_list();     // 3
  err = err < 0 ? err : write_header(0);  // 4
  if (err < 0) {
    log_fail("a commit failed");
    return err;
  }
  for (uint32 i = 0; i < log.n; i++) {
    log.bufs[i]->logged = false;
    buf_drop(log.bufs[i]);
  }
  return 0;
}

int log_end(void) {
  struct thread *t = thread_current();
  assert(t->in_transaction);
  irq_t irq = spin_lock(&log.lock);
  assert(log.open > 0);
  int err = log.failed ? -EIO : 0;
  if (--log.open == 0 && !log.failed) {
    log.sealed = log.committing = true;
    spin_unlock(&log.lock, irq);
    err = commit();
    irq = spin_lock(&log.lock);
    log.sealed = log.committing = false;
    log.n = 0;
    log.commits++;
  }
  t->in_transaction = false;  // only now: no thread is killed in the middle of a commit
  waitq_wake_all(&log.waiting);
  spin_unlock(&log.lock, irq);
  if (t->doomed)
    thread_ask_end();
  return err;
}

// Give up all changes that are not committed: their blocks are read from the disk again, and so is
// what was copied from them.  Holds: log.lock.
static void drop(void) {
  assert(spin_holding(&log.lock));
  for (uint32 i = 0; i < log.n; i++) {
    buf_forget(log.bufs[i]);
    log.bufs[i]->logged = false;
    buf_drop(log.bufs[i]);
  }
  log.n = 0;
  fetch_add(&fs.epoch, 1);
}

void log_abandon(void) {
  struct thread *t = thread_current();
  irq_t irq = spin_lock(&log.lock);
  bool whole = !log.committing && (!t->changed || !t->locks);
  bool alone = log.open == 1 && !log.shared && !log.failed;
  if (!whole) {
    if (!alone)
      fail("what a killed call has changed cannot be undone");
    if (!log.committing) {
      store_relaxed(&fs.dropped, !alone);
      drop();
      log.open--;
    }
    log.sealed = false;
    log.commits++;
    t->in_transaction = false;
    waitq_wake_all(&log.waiting);
  }
  spin_unlock(&log.lock, irq);
  if (whole)
    log_end();
}

int log_sync(void) {
  assert(!thread_current()->in_transaction);
  irq_t irq = spin_lock(&log.lock);
  uint32 before = log.commits;
  while (!log.failed && log.commits == before && (log.open > 0 || log.n > 0)) {
    log.sealed = true;
    waitq_sleep_through(&log.waiting);
  }
  bool failed = log.failed;
  spin_unlock(&log.lock, irq);
  return failed ? -EROFS : 0;
}

int log_close(void) {
  store_relaxed(&log.closed, true);
  return log_sync();
}
