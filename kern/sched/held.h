// SPDX-License-Identifier: MIT
//
// What the running thread's call holds, for the case that a fault kills it (docs/survival.md), or
// that it fails.
//
// I1. A reference to which nothing that lasts points yet, or points any more, is in the record of
//     the thread that has it.  Where a lock guards the reference, both change under that lock.
// I2. The record is empty on every way to user mode.
// I3. A doomed thread may be ended by any interrupt, so between any two instructions.  So where no
//     lock is held, an entry is taken out before something else points to the object or it is
//     freed, and put in after: at worst memory is lost, but nothing is given back twice.  Where
//     others would wait for what is lost, as for the end of a pipe, the function is UNDIVIDED.
// I4. A call that fails leaves its references in the record, and syscall() gives them back.  So a
//     function that returns an error may leave in it whatever it got.  One that goes on after such
//     an error gives back by itself what has come: thus buffers, and all that is locked.
// Memory is the exception: what a function of vm/ has taken and not yet returned is in no record.
// An overflow there goes on in the reserve until the function has returned.
#pragma once

#include "kern/lib/hart.h"
#include "kern/sched/thread.h"
#include "vm/kmalloc.h"

// kern/proc/give_back.c says how each is given back.
enum held_kind {
  HELD_OBJECT,   // of kmalloc
  HELD_SPACE,    // that no thread has
  HELD_BUF,      // a reference
  HELD_INODE,    // a reference
  HELD_FILE,     // to which nothing points
  HELD_PIPE,     // with both ends closed, or not open yet
  HELD_TURN,     // at a pipe; null: at the console
  HELD_PROCESS,  // that nothing sees yet, or any more
  HELD_KINDS,
};
_Static_assert(HELD_KINDS <= 8, "objects are aligned to 8 bytes: the kind is in the low bits");

// Enter object, null or of which there may be several entries.
static inline void held_push(enum held_kind kind, const void *object) {
  struct thread *t = thread_current();
  __atomic_signal_fence(__ATOMIC_SEQ_CST);  // I3
  assert(t->held_count < HELD_MAX);
  t->held[t->held_count] = (uint64)object | kind;
  t->held_count++;
}

// A function in which, and in what it calls, no doomed thread is ended.
#define UNDIVIDED __attribute__((noinline, section(".text.undivided")))

// What held_pop does when the entry is not the last one.
void held_remove(uint64 entry);

// Take an entry of object out, if there is one.
static inline void held_pop(enum held_kind kind, const void *object) {
  struct thread *t = thread_current();
  uint64 entry = (uint64)object | kind;
  if (__builtin_expect(t->held_count > 0 && t->held[t->held_count - 1] == entry, 1))
    t->held_count--;
  else
    held_remove(entry);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);  // I3
}

// Allocate an object, in the record.  It is filled with zeros, since it may be given back at any
// time, unless its kind is HELD_OBJECT.  Returns NULL on no memory.
static inline void *held_alloc(enum held_kind kind, size_t size) {
  void *object = kind == HELD_OBJECT ? kmalloc(size) : kzalloc(size);
  if (object)
    held_push(kind, object);
  return object;
}

// Take an object out of the record, and free its memory.
static inline void held_free(enum held_kind kind, void *object) {
  held_pop(kind, object);
  kfree(object);
}
