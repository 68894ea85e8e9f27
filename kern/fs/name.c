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

// A walk over the entries of a locked directory.
struct cursor {
  struct inode *dir;
  uint64 next;      // offset of the entry that comes next
  struct buf *buf;  // block of the entry returned last, or null
};

static void cursor_end(struct cursor *c) {
  if (c->buf)
    buf_put(c->buf);
  c->buf = NULL;
}

// Get the next entry, or NULL at the end.
static int cursor_next(struct cursor *c, const struct dirent **entry) {
  *entry = NULL;
  if (c->next >= c->dir->disk.size)
    return 0;
  if (c->next % BLOCK_SIZE == 0) {
    cursor_end(c);
    int err = inode_block(c->dir, (uint32)(c->next / BLOCK_SIZE), &c->buf);
    if (err < 0)
      return err;
  }
  *entry = (const struct dirent *)(c->buf->data + c->next % BLOCK_SIZE);
  c->next += sizeof(struct dirent);
  return 0;
}

static bool same_name(const struct dirent *e, const char *name) {
  return e->name[0] == name[0] && strncmp(e->name, name, DIRSIZ) == 0;
}

// Find the entry of that name.  *inum gets its inode, *off its place.  -ENOENT if there is none.
static int find_entry(struct inode *dir, const char *name, uint32 *inum, uint64 *off) {
  struct cursor c = {.dir = dir};
  const struct dirent *e;
  int err;
  while ((err = cursor_next(&c, &e)) == 0 && e)
    if (e->inum != 0 && same_name(e, name))
      break;
  if (e) {
    *inum = e->inum;
    *off = c.next - sizeof(*e);
  }
  cursor_end(&c);
  return err < 0 ? err : e ? 0 : -ENOENT;
}

// Find where a new entry goes: a free one, or the end.
static int find_room(struct inode *dir, uint64 *off) {
  struct cursor c = {.dir = dir};
  const struct dirent *e;
  int err;
  while ((err = cursor_next(&c, &e)) == 0 && e)
    if (e->inum == 0)
      break;
  *off = e ? c.next - sizeof(*e) : dir->disk.size;
  cursor_end(&c);
  return err;
}

static bool is_dots(const char *name) {
  return strncmp(name, ".", DIRSIZ) == 0 || strncmp(name, "..", DIRSIZ) == 0;
}

// Return 0, or -ENOTEMPTY when the directory has entries beside "." and "..".
static int check_empty(struct inode *dir) {
  struct cursor c = {.dir = dir};
  const struct dirent *e;
  int err;
  while ((err = cursor_next(&c, &e)) == 0 && e)
    if (e->inum != 0 && !is_dots(e->name))
      break;
  cursor_end(&c);
  return err < 0 ? err : e ? -ENOTEMPTY : 0;
}

static int write_entry(struct inode *dir, uint64 off, const char *name, uint32 inum) {
  struct dirent e = {.inum = (unsigned short)inum};
  if (name)
    memcpy(e.name, name, DIRSIZ);
  int64 n = inode_write(dir, &e, off, sizeof(e));
  return n < 0 ? (int)n : 0;
}

// Enter a name that the directory does not have.
static int add_entry(struct inode *dir, const char *name, uint32 inum) {
  uint64 off;
  int err = find_room(dir, &off);
  return err < 0 ? err : write_entry(dir, off, name, inum);
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
  uint32 inum;
  uint64 off;
  struct inode *next = NULL;
  err = find_entry(*ip, name, &inum, &off);
  if (err == 0)
    err = inode_get(inum, &next);
  inode_unlock(*ip);
  if (err < 0)
    return err;
  inode_put(*ip);
  *ip = next;
  return 0;
}

static int path_start(struct inode *cwd, const char *path, struct inode **out) {
  if (*path == '/')
    return inode_get(ROOT_INO, out);
  *out = inode_hold(cwd);
  return 0;
}

int name_lookup(struct inode *cwd, const char *path, struct inode **out) {
  char name[DIRSIZ];
  struct inode *ip;
  int err = path_start(cwd, path, &ip);
  if (err < 0)
    return err;
  while ((path = next_element(path, name))) {
    err = path_step(&ip, name);
    if (err < 0) {
      inode_put(ip);
      return err;
    }
  }
  *out = ip;
  return 0;
}

int name_lookup_directory(struct inode *cwd, const char *path, struct inode **out) {
  int err = name_lookup(cwd, path, out);
  if (err < 0)
    return err;
  err = lock_directory(*out);
  if (err < 0)
    inode_put(*out);
  else
    inode_unlock(*out);
  return err;
}

// Find the directory that has, or would have, the last element of the path; name gets that.
static int lookup_parent(struct inode *cwd, const char *path, char name[DIRSIZ],
                         struct inode **out) {
  struct inode *ip;
  int err = path_start(cwd, path, &ip);
  if (err < 0)
    return err;
  path = next_element(path, name);
  err = path ? 0 : -EEXIST;
  while (err == 0 && *path) {
    err = path_step(&ip, name);
    path = next_element(path, name);
  }
  if (err < 0)
    inode_put(ip);
  else
    *out = ip;
  return err;
}

// --- Changes ---

// Begin to change the directory: a transaction, `changing`, the directory's lock.
static int begin_change(struct inode *dir) {
  int err = log_begin();
  if (err < 0)
    return err;
  sleep_lock(&changing);
  err = lock_directory(dir);
  if (err == 0 && dir->disk.nlink > 0)
    return 0;
  if (err == 0) {
    inode_unlock(dir);
    err = -ENOENT;
  }
  sleep_unlock(&changing);
  log_end();
  return err;
}

static int end_change(struct inode *dir, int err) {
  inode_unlock(dir);
  sleep_unlock(&changing);
  int end = log_end();
  return err < 0 ? err : end;
}

// Creating has found that the name is taken: good if both are files, or it is a device.
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

// Give a new directory its first two entries.
static int fill_directory(struct inode *ip, uint32 parent) {
  static const char dot[DIRSIZ] = ".", dotdot[DIRSIZ] = "..";
  int err = write_entry(ip, 0, dot, ip->inum);
  return err < 0 ? err : write_entry(ip, sizeof(struct dirent), dotdot, parent);
}

// Enter the new inode in dir, both locked.
static int enter_new(struct inode *dir, const char *name, struct inode *ip) {
  bool is_dir = ip->disk.type == T_DIR;
  if (is_dir && dir->disk.nlink == LINK_MAX)
    return -EMLINK;
  int err = is_dir ? fill_directory(ip, dir->inum) : 0;
  if (err == 0)
    err = add_entry(dir, name, ip->inum);
  if (err < 0)
    return err;
  ip->disk.nlink = 1;
  inode_update(ip);
  if (is_dir) {
    dir->disk.nlink++;
    inode_update(dir);
  }
  return 0;
}

static int create_in(struct inode *dir, const char *name, const struct dinode *like,
                     struct inode **out) {
  uint32 inum;
  uint64 off;
  int err = find_entry(dir, name, &inum, &off);
  if (err == 0)
    return use_existing(dir, inum, like->type, out);
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
  int err = lookup_parent(cwd, path, name, &dir);
  if (err < 0)
    return err;
  err = begin_change(dir);
  if (err == 0)
    err = end_change(dir, create_in(dir, name, &like, &ip));
  inode_put(dir);
  if (err == 0 && out)
    *out = ip;
  else
    inode_put(ip);
  return err;
}

// Count one link more or less.
static int change_links(struct inode *ip, int by) {
  int err = inode_lock(ip);
  if (err < 0)
    return err;
  if (by > 0 && ip->disk.type == T_DIR)
    err = -EISDIR;
  else if (by > 0 && (ip->disk.nlink == 0 || ip->disk.nlink == LINK_MAX))
    err = ip->disk.nlink == 0 ? -ENOENT : -EMLINK;
  if (err == 0) {
    ip->disk.nlink = (short)(ip->disk.nlink + by);
    inode_update(ip);
  }
  inode_unlock(ip);
  return err;
}

static int link_in(struct inode *dir, const char *name, struct inode *ip) {
  uint32 inum;
  uint64 off;
  if (ip == dir)
    return -EISDIR;
  int err = find_entry(dir, name, &inum, &off);
  if (err != -ENOENT)
    return err < 0 ? err : -EEXIST;
  err = change_links(ip, 1);
  if (err < 0)
    return err;
  err = add_entry(dir, name, ip->inum);
  if (err < 0)
    change_links(ip, -1);
  return err;
}

int name_link(struct inode *cwd, const char *old_path, const char *new_path) {
  char name[DIRSIZ];
  struct inode *ip, *dir;
  int err = name_lookup(cwd, old_path, &ip);
  if (err < 0)
    return err;
  err = lookup_parent(cwd, new_path, name, &dir);
  if (err == 0) {
    err = begin_change(dir);
    if (err == 0)
      err = end_change(dir, link_in(dir, name, ip));
    inode_put(dir);
  }
  inode_put(ip);
  return err;
}

// Remove the entry at off of dir, which names ip; both locked.
static int remove_entry(struct inode *dir, uint64 off, struct inode *ip) {
  bool is_dir = ip->disk.type == T_DIR;
  int err = is_dir ? check_empty(ip) : 0;
  if (err < 0)
    return err;
  if (ip->disk.nlink < 1 || (is_dir && dir->disk.nlink < 2))
    return fs_damage("too few links: inode", ip->inum);
  err = write_entry(dir, off, NULL, 0);
  if (err < 0)
    return err;
  if (is_dir) {
    dir->disk.nlink--;
    inode_update(dir);
  }
  ip->disk.nlink--;
  inode_update(ip);
  return 0;
}

static int unlink_in(struct inode *dir, const char *name, struct inode **out) {
  uint32 inum;
  uint64 off;
  int err = find_entry(dir, name, &inum, &off);
  if (err == 0)
    err = inode_get(inum, out);
  if (err < 0)
    return err;
  if (*out == dir)
    return fs_damage("a directory in itself: inode", inum);
  err = inode_lock(*out);
  if (err < 0)
    return err;
  err = remove_entry(dir, off, *out);
  inode_unlock(*out);
  return err;
}

int name_unlink(struct inode *cwd, const char *path) {
  char name[DIRSIZ];
  struct inode *dir, *ip = NULL;
  int err = lookup_parent(cwd, path, name, &dir);
  if (err < 0)
    return err;
  err = is_dots(name) ? -EINVAL : begin_change(dir);
  if (err == 0)
    err = end_change(dir, unlink_in(dir, name, &ip));
  inode_put(ip);
  inode_put(dir);
  return err;
}
