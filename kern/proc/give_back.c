// SPDX-License-Identifier: MIT
//
// A call that fails has ended its transaction and released its locks; its references are given back
// here.  A killed one did neither.  So its transaction ends first, while nobody else can see what
// it has half changed; then it lets go of its sleep locks, and then of its references, since giving
// them back may take locks.
#include "kern/proc/give_back.h"

#include "kern/dev/console.h"
#include "kern/fs/buf.h"
#include "kern/fs/file.h"
#include "kern/fs/fs.h"
#include "kern/fs/inode.h"
#include "kern/fs/log.h"
#include "kern/fs/pipe.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/proc/process.h"
#include "kern/sched/held.h"
#include "kern/sched/sleeplock.h"

// Give back one object.  It leaves the record there where it cannot be given back twice.
static void give_back(enum held_kind kind, void *object) {
  switch (kind) {
  case HELD_BUF:
    buf_put(object);
    break;
  case HELD_INODE:
    inode_put(object);
    break;
  case HELD_FILE:
    file_end(object);
    break;
  case HELD_PIPE:
    pipe_free(object);
    break;
  case HELD_PROCESS:
    process_discard(object);
    break;
  case HELD_TURN:
    if (object)
      pipe_give_turn(object);
    else
      console_give_turn();
    break;
  case HELD_SPACE:
    process_free_space(object);
    break;
  default:
    held_free(kind, object);
  }
}

void give_back_references(void) {
  struct thread *t = thread_current();
  while (t->held_count > 0) {
    uint64 entry = t->held[t->held_count - 1];
    give_back(entry % 8, (void *)(entry & ~7UL));
  }
}

void give_back_held(void) {
  struct thread *t = thread_current();
  if (t->gives_back && t->in_transaction) {
    log_fail("the transaction of a killed call cannot be ended");
    t->in_transaction = false;
  } else if (t->gives_back && t->held_count > 0) {
    t->sleeplocks -= t->held[--t->held_count] % 8 == HELD_TURN;
  }
  t->gives_back = true;
  fetch_add(&fs.epoch, 1);  // what its locks guarded is read again
  if (t->in_transaction)
    log_abandon();
  while (t->locks)
    sleep_unlock(t->locks);
  give_back_references();
}
