// SPDX-License-Identifier: MIT
//
// Pipes.
#pragma once

#include "kern/lib/types.h"

struct pipe;

// Make a pipe with both ends open: what the pointers are from now on.  Returns 0 or -ENOMEM; then
// the pipe may stay in the record of the call until that ends (kern/sched/held.h, I4).
int pipe_create(struct pipe **read_end, struct pipe **write_end);

// Free a pipe that has no end any more, or a part of one.
void pipe_free(struct pipe *p);

// Close the end that *end is, and clear that; the second end frees the pipe.
void pipe_close(struct pipe **end, bool write_end);

// Give back the turn of the running thread, which is being killed: nothing was moved.
void pipe_give_turn(struct pipe *p);

// Read what there is, at most n bytes; wait while there is nothing.  Returns the count, 0 once the
// pipe is empty and its write end closed, -EINTR or -EFAULT (nothing is taken out).
int64 pipe_read(struct pipe *p, uva_t dst, uint64 n);

// Write n bytes, waiting for room.  Up to PIPE_ATOMIC bytes are written together.  Returns n, or
// what was written before an error; else -EPIPE (the read end is closed), -EINTR or -EFAULT.
#define PIPE_ATOMIC 512
int64 pipe_write(struct pipe *p, uva_t src, uint64 n);
