// SPDX-License-Identifier: MIT
//
// Error numbers.  Inside the kernel a failure is one of these, negated.  Calls 1 to 21 turn every
// one of them into -1 for the user; calls from 64 up hand it on.
#pragma once

enum {
  ENOENT = 2,
  ESRCH = 3,
  EINTR = 4,
  EIO = 5,
  E2BIG = 7,
  ENOEXEC = 8,
  EBADF = 9,
  ECHILD = 10,
  EAGAIN = 11,
  ENOMEM = 12,
  EFAULT = 14,
  EEXIST = 17,
  ENODEV = 19,
  ENOTDIR = 20,
  EISDIR = 21,
  EINVAL = 22,
  EMFILE = 24,
  EFBIG = 27,
  ENOSPC = 28,
  EROFS = 30,
  EMLINK = 31,
  EPIPE = 32,
  ENAMETOOLONG = 36,
  ENOTEMPTY = 39,
};
