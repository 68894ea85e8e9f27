// SPDX-License-Identifier: MIT
//
// Open files.
//
// The offset belongs to the inode's lock, so that two processes that share a file append to each
// other's output.  What is written is copied from the user before the transaction begins: a bad
// address changes nothing, and nobody waits for a page inside a transaction.
#include "kern/fs/file.h"

#include "kern/dev/device.h"
#include "kern/fs/inode.h"
#include "kern/fs/log.h"
#include "kern/fs/name.h"
#include "kern/fs/pipe.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/panic.h"
#include "kern/sched/held.h"
#include "vm/layout.h"
#include "vm/usercopy.h"

#define WRITE_PIECE 8192  // bytes copied in before each transaction

// [I] fixed after creation  [l] the inode's lock  [a] atomic
struct file {
  bool readable, writable;      // [I]
  uint32 refs;                  // [a]
  uint64 offset;                // [l], or [a] for a device: bytes read
  struct pipe *pipe;            // [I] null unless it is the end of one
  struct inode *inode;          // [I] null for a pipe
  const struct device *device;  // [I] null unless the inode is a device's
};

// --- Opening and closing ---

// Set the file up for the inode, which O_TRUNC empties.
static int open_inode(struct file *f, struct inode *ip, int flags) {
  int err = inode_lock(ip);
  if (err < 0)
    return err;
  held_pop(HELD_INODE, ip);
  f->inode = ip;
  f->refs = 1;
  f->readable = !(flags & O_WRONLY);
  f->writable = flags & (O_WRONLY | O_RDWR);
  if (ip->disk.type == T_DEVICE)
    f->device = device_find(ip->disk.major);
  if (ip->disk.type == T_DIR && flags != O_RDONLY)
    err = -EISDIR;
  bool cut = (flags & O_TRUNC) && ip->disk.type == T_FILE && ip->disk.size > 0;
  inode_unlock(ip);
  return cut ? inode_truncate(ip) : err;
}

int file_open(struct inode *cwd, const char *path, int flags, struct file **out) {
  struct file *f = held_alloc(HELD_FILE, sizeof(*f));
  if (!f)
    return -ENOMEM;
  struct inode *ip;
  int err =
      flags & O_CREATE ? name_create(cwd, path, T_FILE, 0, 0, &ip) : name_lookup(cwd, path, &ip);
  if (err == 0)
    err = open_inode(f, ip, flags);
  if (err < 0)
    return err;
  held_pop(HELD_FILE, f);
  *out = f;
  return 0;
}

void file_console(struct file **out) {
  static struct inode nowhere = {
      .refs = 1, .valid = true, .disk = {.type = T_DEVICE, .major = DEV_CONSOLE, .nlink = 1}};
  struct file *f = held_alloc(HELD_FILE, sizeof(*f));
  sleep_init(&nowhere.lock, "console");
  if (f) {
    open_inode(f, inode_hold(&nowhere), O_RDWR);
    held_pop(HELD_FILE, f);
    *out = f;
  }
}

int file_pipe(struct file **read_end, struct file **write_end) {
  struct file *r = held_alloc(HELD_FILE, sizeof(*r));
  struct file *w = held_alloc(HELD_FILE, sizeof(*w));
  if (!r || !w)
    return -ENOMEM;
  r->readable = w->writable = true;
  r->refs = w->refs = 1;
  int err = pipe_create(&r->pipe, &w->pipe);
  if (err < 0)
    return err;
  held_pop(HELD_FILE, w);
  *write_end = w;
  held_pop(HELD_FILE, r);
  *read_end = r;
  return 0;
}

UNDIVIDED void file_dup(struct file *f, struct file **at) {
  fetch_add(&f->refs, 1);
  *at = f;
}

void file_end(struct file *f) {
  if (f->pipe)
    pipe_close(&f->pipe, f->writable);
  inode_close(&f->inode);
  held_free(HELD_FILE, f);
}

UNDIVIDED void file_close(struct file **at) {
  struct file *f = *at;
  *at = NULL;
  uint32 before = fetch_sub(&f->refs, 1);
  assert(before > 0);
  if (before > 1)
    return;
  held_push(HELD_FILE, f);
  file_end(f);
}

// --- Reading ---

static __attribute__((noinline)) int64 read_inode(struct file *f, uva_t dst, uint64 n) {
  int err = inode_lock(f->inode);
  if (err < 0)
    return err;
  int64 got = inode_read_user(f->inode, dst, f->offset, n);
  if (got > 0)
    f->offset += (uint64)got;
  inode_unlock(f->inode);
  return got;
}

static __attribute__((noinline)) int64 read_device(struct file *f, uva_t dst, uint64 n) {
  if (!f->device->read)
    return -ENODEV;
  int64 got = f->device->read(dst, n, load_relaxed(&f->offset));
  if (got > 0)
    fetch_add(&f->offset, (uint64)got);
  return got;
}

int64 file_read(struct file *f, uva_t dst, uint64 n) {
  if (!f || !f->readable)
    return -EBADF;
  if (f->pipe)
    return pipe_read(f->pipe, dst, n);
  if (f->device)
    return read_device(f, dst, n);
  return read_inode(f, dst, n);
}

// --- Writing ---

// Return whether the process can read all n bytes.  A write of several transactions asks first, so
// that a bad address fails it as a whole.
static bool user_readable(uva_t src, uint64 n) {
  uint8 byte;
  if (src + n < src)
    return false;
  for (uva_t at = src; at < src + n; at = ROUND_DOWN(at, PAGE_SIZE) + PAGE_SIZE)
    if (copy_from_user(&byte, at, 1) < 0)
      return false;
  return true;
}

static int64 write_once(struct file *f, const void *src, uint64 n) {
  int64 put = log_begin();
  if (put < 0)
    return put;
  put = inode_lock(f->inode);
  if (put == 0) {
    put = inode_write(f->inode, src, f->offset, n);
    f->offset += put > 0 ? (uint64)put : 0;
    thread_current()->changed = false;  // complete: a kill does not undo it any more
    inode_unlock(f->inode);
  }
  int err = log_end();
  return put >= 0 && err < 0 ? err : put;
}

static int64 write_pieces(struct file *f, uint8 *piece, uva_t src, uint64 n) {
  uint64 done = 0;
  while (done < n) {
    uint64 size = n - done < WRITE_PIECE ? n - done : WRITE_PIECE;
    int64 put = copy_from_user(piece, src + done, size);
    if (put == 0)
      put = write_once(f, piece, size);
    if (put <= 0)
      return done > 0 ? (int64)done : put;
    done += (uint64)put;
  }
  return (int64)done;
}

static __attribute__((noinline)) int64 write_inode(struct file *f, uva_t src, uint64 n) {
  if (n == 0)
    return 0;
  if (n > WRITE_PIECE && !user_readable(src, n))
    return -EFAULT;
  uint8 *piece = held_alloc(HELD_OBJECT, n < WRITE_PIECE ? n : WRITE_PIECE);
  if (!piece)
    return -ENOMEM;
  int64 put = write_pieces(f, piece, src, n);
  held_free(HELD_OBJECT, piece);
  return put;
}

static __attribute__((noinline)) int64 write_device(struct file *f, uva_t src, uint64 n) {
  if (!f->device->write)
    return -ENODEV;
  return f->device->write(src, n, load_relaxed(&f->offset));
}

int64 file_write(struct file *f, uva_t src, uint64 n) {
  if (!f || !f->writable)
    return -EBADF;
  if (f->pipe)
    return pipe_write(f->pipe, src, n);
  if (f->device)
    return write_device(f, src, n);
  return write_inode(f, src, n);
}

// --- Status ---

int file_stat(struct file *f, uva_t dst) {
  struct inode *ip = f ? f->inode : NULL;
  if (!ip)
    return -EBADF;
  int err = inode_lock(ip);
  if (err < 0)
    return err;
  struct stat st = {
      .dev = 1,
      .ino = ip->inum,
      .type = ip->disk.type,
      .nlink = ip->disk.nlink,
      .size = ip->disk.size,
  };
  inode_unlock(ip);
  return copy_to_user(dst, &st, sizeof(st));
}
