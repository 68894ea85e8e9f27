// SPDX-License-Identifier: MIT
//
// System calls on files, through the running process's descriptors.
//
// Only the process's own thread changes its table, so a descriptor found free stays free, and an
// open file stays open, for the length of a call.
#include "kern/fs/file.h"
#include "kern/fs/log.h"
#include "kern/fs/name.h"
#include "kern/lib/abi.h"
#include "kern/lib/errno.h"
#include "kern/proc/process.h"
#include "kern/sched/held.h"
#include "kern/sys/sys.h"
#include "vm/usercopy.h"

// Return the open file, or NULL.
static struct file *fd_file(uint64 arg) {
  int fd = arg;
  return fd >= 0 && fd < FILES_MAX ? process_current()->files[fd] : NULL;
}

// Return the lowest free descriptor from first on, or -EMFILE.
static int fd_free(int first) {
  for (int fd = first; fd < FILES_MAX; fd++)
    if (!process_current()->files[fd])
      return fd;
  return -EMFILE;
}

static int64 copy_path(char *path, uva_t from) {
  return copy_string_from_user(path, from, PATH_MAX);
}

int64 sys_read(const uint64 *arg) {
  int n = arg[2];
  return n < 0 ? -EINVAL : file_read(fd_file(arg[0]), arg[1], n);
}

int64 sys_write(const uint64 *arg) {
  int n = arg[2];
  return n < 0 ? -EINVAL : file_write(fd_file(arg[0]), arg[1], n);
}

int64 sys_fstat(const uint64 *arg) {
  return file_stat(fd_file(arg[0]), arg[1]);
}

int64 sys_dup(const uint64 *arg) {
  struct file *f = fd_file(arg[0]);
  if (!f)
    return -EBADF;
  int fd = fd_free(0);
  if (fd >= 0)
    file_dup(f, &process_current()->files[fd]);
  return fd;
}

int64 sys_close(const uint64 *arg) {
  if (!fd_file(arg[0]))
    return -EBADF;
  file_close(&process_current()->files[(int)arg[0]]);
  return 0;
}

int64 sys_pipe(const uint64 *arg) {
  int fd[2];
  fd[0] = fd_free(0);
  fd[1] = fd[0] < 0 ? fd[0] : fd_free(fd[0] + 1);
  if (fd[1] < 0)
    return fd[1];
  struct file **files = process_current()->files;
  int err = copy_to_user(arg[0], fd, sizeof(fd));
  return err < 0 ? err : file_pipe(&files[fd[0]], &files[fd[1]]);
}

int64 sys_open(const uint64 *arg) {
  char path[PATH_MAX];
  int err = copy_path(path, arg[0]);
  int fd = fd_free(0);
  if (err < 0 || fd < 0)
    return err < 0 ? err : fd;
  struct process *p = process_current();
  err = file_open(p->cwd, path, (int)arg[1], &p->files[fd]);
  return err < 0 ? err : fd;
}

int64 sys_chdir(const uint64 *arg) {
  char path[PATH_MAX];
  struct process *p = process_current();
  struct inode *directory;
  int err = copy_path(path, arg[0]);
  if (err >= 0)
    err = name_lookup_directory(p->cwd, path, &directory);
  if (err < 0)
    return err;
  inode_close(&p->cwd);
  held_pop(HELD_INODE, directory);
  p->cwd = directory;
  return 0;
}

int64 sys_mkdir(const uint64 *arg) {
  char path[PATH_MAX];
  int err = copy_path(path, arg[0]);
  return err < 0 ? err : name_create(process_current()->cwd, path, T_DIR, 0, 0, NULL);
}

int64 sys_mknod(const uint64 *arg) {
  char path[PATH_MAX];
  int err = copy_path(path, arg[0]);
  return err < 0 ? err : name_create(process_current()->cwd, path, T_DEVICE, arg[1], arg[2], NULL);
}

int64 sys_unlink(const uint64 *arg) {
  char path[PATH_MAX];
  int err = copy_path(path, arg[0]);
  return err < 0 ? err : name_unlink(process_current()->cwd, path);
}

int64 sys_link(const uint64 *arg) {
  char old_path[PATH_MAX], new_path[PATH_MAX];
  int err = copy_path(old_path, arg[0]);
  if (err >= 0)
    err = copy_path(new_path, arg[1]);
  return err < 0 ? err : name_link(process_current()->cwd, old_path, new_path);
}

int64 sys_sync(const uint64 *arg) {
  (void)arg;
  return log_sync();
}
