// SPDX-License-Identifier: MIT
//
// Directories and paths.  A directory is a file of struct dirent; an entry with inum 0 is free.
//
// I1. Locks are taken in this order: transaction, `changing`, directory, the inode it names.
// I2. Only a holder of `changing` locks two inodes at once, so that even an image whose directories
//     form a loop cannot make two threads wait for each other.
// I3. A reference that could be the last is dropped after the transaction has ended.
#include "kern/fs/name.h"

#include "kern/fs/buf.h"
#include "kern/fs/fs.h"
#include "kern/fs/log.h"
#include "kern/lib/errno.h"
#include "kern/lib/string.h"

#define LINK_MAX 32767

static struct sleeplock changing;

void name_init(void) {
  sleep_init(&changing, "names");
}

// --- Directories ---

// Where an entry stands in its directory, and which inode it names.
struct place {
  uint64 off;
  uint32 inum;
};

// Find the first entry of the locked directory that matches.  Without one: -ENOENT, and at->off is
// the end of the directory.
static inline int scan(struct inode *dir, bool (*matches)(const struct dirent *, const char *),
                       const char *name, struct place *at) {
  for (at->off = 0; at->off < dir->disk.size;) {
    struct buf *b;
    int err = inode_block(dir, (uint32)(at->off / BLOCK_SIZE), &b);
    if (err < 0)
      return err;
    do {
      const struct dirent *e = (const struct dirent *)(b->data + at->off % BLOCK_SIZE);
      if (matches(e, name)) {
        at->inum = e->inum;
        buf_put(b);
        return 0;
      }
      at->off += sizeof(*e);
    } while (at->off % BLOCK_SIZE != 0 && at->off < dir->disk.size);
    buf_put(b);
  }
  return -ENOENT;
}

static bool is_named(const struct dirent *e, const char *name) {
  return e->name[0] == name[0] && e->inum != 0 && strncmp(e->name, name, DIRSIZ) == 0;
}

static bool is_free(const struct dirent *e, const char *unused) {
  (void)unused;
  return e->inum == 0;
}

static bool is_dots(const char *name) {
  return strncmp(name, ".", DIRSIZ) == 0 || strncmp(name, "..", DIRSIZ) == 0;
}

static bool is_child(const struct dirent *e, const char *unused) {
  (void)unused;
  return e->inum != 0 && !is_dots(e->name);
}

// Find the entry of that name.  Returns 0, -ENOENT or -EIO.
static int find_entry(struct inode *dir, const char *name, struct place *at) {
  return scan(dir, is_named, name, at);
}

static int write_entry(struct inode *dir, uint64 off, const char *name, uint32 inum) {
  struct dirent e = {.inum = (unsigned short)inum};
  if (name)
    memcpy(e.name, name, DIRSIZ);
  int64 n = inode_write(dir, &e, off, sizeof(e));
  return n < 0 ? (int)n : 0;
}

// Enter a name that the directory does not have, in a free entry or at the end.
static int add_entry(struct inode *dir, const char *name, uint32 inum) {
  struct place at;
  int err = scan(dir, is_free, NULL, &at);
  return err < 0 && err != -ENOENT ? err : write_entry(dir, at.off, name, inum);
}

// --- Paths ---

// Copy the next element of the path, padded with zeros, and return what follows it and its
// slashes; NULL when there is no element.
static const char *next_element(const char *path, char name[DIRSIZ]) {
  while (*path == '/')
    path++;
  if (*path == '\0')
    return NULL;
  memset(name, 0, DIRSIZ);
  for (uint32 i = 0; *path != '/' && *path != '\0'; i++, path++)
    if (i < DIRSIZ)
      name[i] = *path;
  while (*path == '/')
    path++;
  return path;
}

static int lock_directory(struct inode *ip) {
  int err = inode_lock(ip);
  if (err < 0 || ip->disk.type == T_DIR)
    return err;
  inode_unlock(ip);
  return -ENOTDIR;
}

// Replace *ip by the inode that name has in it.
static int path_step(struct inode **ip, const char *name) {
  int err = lock_directory(*ip);
  if (err < 0)
    return err;
  struct place at;
  struct inode *next = NULL;
  err = find_entry(*ip, name, &at);
  if (err == 0)
    err = inode_get(at.inum, &next);
  inode_unlock(*ip);
  if (err < 0)
    return err;
  inode_put(*ip);
  *ip = next;
  return 0;
}

// Walk the path: to its end, or if to_parent to the directory that has, or would have, its last
// element; name gets that.
static int path_walk(struct inode *cwd, const char *path, bool to_parent, char name[DIRSIZ],
                     struct inode **out) {
  *out = inode_hold(*path == '/' ? fs.root : cwd);
  path = next_element(path, name);
  if (to_parent && !path)
    return -EEXIST;
  int err = 0;
  while (err == 0 && path && (*path || !to_parent)) {
    err = path_step(out, name);
    path = next_element(path, name);
  }
  return err;
}

int name_lookup(struct inode *cwd, const char *path, struct inode **out) {
  char name[DIRSIZ];
  return path_walk(cwd, path, false, name, out);
}

int name_lookup_directory(struct inode *cwd, const char *path, struct inode **out) {
  int err = name_lookup(cwd, path, out);
  if (err == 0)
    err = lock_directory(*out);
  if (err == 0)
    inode_unlock(*out);
  return err;
}

// --- Changes ---

// Begin to change the directory that has, or would have, the last element of the path: a
// transaction, `changing`, the lock of the directory.  name gets the element.
static int begin_change(struct inode *cwd, const char *path, char name[DIRSIZ],
                        struct inode **out) {
  int err = path_walk(cwd, path, true, name, out);
  if (err == 0)
    err = log_begin();
  if (err < 0)
    return err;
  sleep_lock(&changing);
  err = lock_directory(*out);
  if (err == 0 && (*out)->disk.nlink == 0) {
    inode_unlock(*out);
    err = -ENOENT;
  }
  if (err < 0) {
    sleep_unlock(&changing);
    log_end();
  }
  return err;
}

// Returns the error of the change, or that of ending it.
static int end_change(struct inode *dir, int err) {
  sleep_unlock(&changing);
  inode_unlock(dir);
  int end = log_end();
  inode_put(dir);
  return err < 0 ? err : end;
}

// The name to be created exists.  That is no error if a file is to be created, and there is a file
// or a device.
static int use_existing(struct inode *dir, uint32 inum, short type, struct inode **out) {
  if (type != T_FILE || inum == dir->inum)
    return -EEXIST;
  int err = inode_get(inum, out);
  if (err == 0)
    err = inode_lock(*out);
  if (err < 0)
    return err;
  err = (*out)->disk.type == T_DIR ? -EEXIST : 0;
  inode_unlock(*out);
  return err;
}

static void add_links(struct inode *ip, int n) {
  ip->disk.nlink += n;
  inode_update(ip);
}

// Enter the new inode in dir.  Both are locked.
static int enter_new(struct inode *dir, const char *name, struct inode *ip) {
  bool is_dir = ip->disk.type == T_DIR;
  if (is_dir && dir->disk.nlink == LINK_MAX)
    return -EMLINK;
  int err = 0;
  if (is_dir) {
    static const char dot[DIRSIZ] = ".", dotdot[DIRSIZ] = "..";
    err = write_entry(ip, 0, dot, ip->inum);
    if (err == 0)
      err = write_entry(ip, sizeof(struct dirent), dotdot, dir->inum);
  }
  if (err == 0)
    err = add_entry(dir, name, ip->inum);
  if (err < 0)
    return err;
  add_links(ip, 1);
  if (is_dir)
    add_links(dir, 1);
  return 0;
}

static int create_in(struct inode *dir, const char *name, const struct dinode *like,
                     struct inode **out) {
  struct place at;
  int err = find_entry(dir, name, &at);
  if (err == 0)
    return use_existing(dir, at.inum, like->type, out);
  if (err != -ENOENT)
    return err;
  err = inode_alloc(like->type, like->major, like->minor, out);
  if (err < 0)
    return err;
  err = enter_new(dir, name, *out);
  inode_unlock(*out);
  return err;
}

int name_create(struct inode *cwd, const char *path, enum file_type type, short major, short minor,
                struct inode **out) {
  struct dinode like = {.type = (short)type, .major = major, .minor = minor};
  char name[DIRSIZ];
  struct inode *dir, *ip = NULL;
  int err = begin_change(cwd, path, name, &dir);
  if (err == 0)
    err = end_change(dir, create_in(dir, name, &like, &ip));
  if (err == 0 && out)
    *out = ip;
  else
    inode_put(ip);
  return err;
}

static int link_in(struct inode *dir, const char *name, struct inode *ip) {
  struct place at;
  if (ip == dir)
    return -EISDIR;
  int err = find_entry(dir, name, &at);
  if (err != -ENOENT)
    return err < 0 ? err : -EEXIST;
  err = inode_lock(ip);
  if (err < 0)
    return err;
  if (ip->disk.type == T_DIR)
    err = -EISDIR;
  else if (ip->disk.nlink == 0 || ip->disk.nlink == LINK_MAX)
    err = ip->disk.nlink == 0 ? -ENOENT : -EMLINK;
  else
    err = add_entry(dir, name, ip->inum);
  if (err == 0)
    add_links(ip, 1);
  inode_unlock(ip);
  return err;
}

int name_link(struct inode *cwd, const char *old_path, const char *new_path) {
  char name[DIRSIZ];
  struct inode *ip, *dir;
  int err = name_lookup(cwd, old_path, &ip);
  if (err < 0)
    return err;
  err = begin_change(cwd, new_path, name, &dir);
  if (err == 0)
    err = end_change(dir, link_in(dir, name, ip));
  inode_put(ip);
  return err;
}

// Remove the entry at off of dir, which names ip; both locked.
static int remove_entry(struct inode *dir, uint64 off, struct inode *ip) {
  bool is_dir = ip->disk.type == T_DIR;
  struct place child;
  int err = is_dir ? scan(ip, is_child, NULL, &child) : -ENOENT;
  if (err != -ENOENT)
    return err < 0 ? err : -ENOTEMPTY;
  if (ip->disk.nlink < 1 || (is_dir && dir->disk.nlink < 2))
    return fs_damage("too few links: inode", ip->inum);
  err = write_entry(dir, off, NULL, 0);
  if (err < 0)
    return err;
  if (is_dir)
    add_links(dir, -1);
  add_links(ip, -1);
  return 0;
}

static int unlink_in(struct inode *dir, const char *name, struct inode **out) {
  struct place at;
  if (is_dots(name))
    return -EINVAL;
  int err = find_entry(dir, name, &at);
  if (err == 0)
    err = inode_get(at.inum, out);
  if (err < 0)
    return err;
  if (*out == dir)
    return fs_damage("a directory in itself: inode", at.inum);
  err = inode_lock(*out);
  if (err < 0)
    return err;
  err = remove_entry(dir, at.off, *out);
  inode_unlock(*out);
  return err;
}

int name_unlink(struct inode *cwd, const char *path) {
  char name[DIRSIZ];
  struct inode *dir, *ip = NULL;
  int err = begin_change(cwd, path, name, &dir);
  if (err == 0)
    err = end_change(dir, unlink_in(dir, name, &ip));
  inode_put(ip);
  return err;
}
