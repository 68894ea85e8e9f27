// SPDX-License-Identifier: MIT
//
// fsck [--json] [--recovered FILE] IMAGE: check a file-system image, and change nothing in it.
//
// A committed log is installed in memory first, as a mount would; --recovered writes the result to
// FILE.  Runs on the host.  It has the format from kern/lib/abi.h alone and shares nothing with
// mkfs, so that a mistake of one is seen by the other.  docs/fsck.md lists the rules.
//
// I1. A number from the image is an index only after it was compared with what it indexes.
// I2. Directories are walked without recursion: a damaged image can have any depth, and loops.
//
// abi.h has a struct stat and O_ flags of its own, so beside it only headers of standard C fit, and
// that of the host's stat.

#define stat guest_stat
#include "kern/lib/abi.h"
#undef stat

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the disk format is little-endian");
_Static_assert(sizeof(struct dinode) == 64, "layout of an inode");

#define ENTRIES_PER_BLOCK ((uint32_t)(BLOCK_SIZE / sizeof(struct dirent)))
#define BLOCKS_LIMIT      (1u << 21)  // 2 GiB are enough to hold in memory
#define KEPT_MAX          1000        // complaints that are printed
#define KEPT_OF_INODE     8           // of them, about the blocks of one inode
#define INDIRECT          MAXFILE     // in place of the index of a block

enum exit_code { CLEAN = 0, DAMAGED = 4, FAILED = 8, USAGE = 16 };  // those of e2fsck

struct complaint {
  const char *kind;
  bool note;       // nothing is wrong
  uint32_t inum;   // 0: about no inode
  uint32_t block;  // 0: about no block
  char *path;      // of the inode, or null
  char *text;      // the whole line
};

// What is known of an inode.
struct seen {
  uint32_t names;   // entries that name it
  uint32_t inside;  // of a directory: directories in it
  uint32_t parent;  // a directory that names it, and the entry there
  const struct dirent *entry;
  bool reached;  // from the root
  bool lost;     // from a directory that was reported as lost
};

static unsigned char *image;
static uint32_t image_blocks;
static struct superblock sb;
static struct seen *seen;      // by inode
static uint32_t *block_owner;  // by block: the inode that uses it
static struct complaint complaints[KEPT_MAX];
static uint32_t kept, problems, notes;
static uint32_t log_list[LOG_BLOCKS_MAX], log_count;  // blocks that the log has installed

// --- the format ---

static void *block(uint32_t n) {
  return image + (size_t)n * BLOCK_SIZE;
}

static struct dinode *inode(uint32_t n) {
  struct dinode *d = block(sb.inodestart + n / (uint32_t)INODES_PER_BLOCK);
  return d + n % INODES_PER_BLOCK;
}

static uint64_t blocks_for(uint64_t things, uint64_t a_block) {
  return (things + a_block - 1) / a_block;
}

static uint32_t data_start(void) {
  return sb.size - sb.nblocks;
}

static bool is_data(uint32_t n) {
  return n >= data_start() && n < sb.size;
}

static bool is_possible(const struct dinode *d) {
  return d->size <= MAXFILE * BLOCK_SIZE;
}

// Return how many blocks the size of the inode spans, at most what a file can have.
static uint32_t span(const struct dinode *d) {
  uint64_t n = blocks_for(d->size, BLOCK_SIZE);
  return n < MAXFILE ? (uint32_t)n : MAXFILE;
}

// Return the number of the inode's n-th block as it stands there; 0 also if the table has no place.
static uint32_t block_at(const struct dinode *d, uint32_t n) {
  if (n < NDIRECT)
    return d->addrs[n];
  uint32_t table = d->addrs[NDIRECT];
  return is_data(table) ? ((uint32_t *)block(table))[n - NDIRECT] : 0;
}

static uint32_t entry_count(const struct dinode *d) {
  uint32_t most = MAXFILE * ENTRIES_PER_BLOCK, n = d->size / (uint32_t)sizeof(struct dirent);
  return n < most ? n : most;
}

// Return the i-th entry of a directory, or NULL where its block is missing.
static const struct dirent *entry_at(const struct dinode *d, uint32_t i) {
  uint32_t b = block_at(d, i / ENTRIES_PER_BLOCK);
  return is_data(b) ? (const struct dirent *)block(b) + i % ENTRIES_PER_BLOCK : NULL;
}

static bool is_named(const struct dirent *e, const char *name) {
  return strncmp(e->name, name, DIRSIZ) == 0;
}

static bool is_directory(uint32_t inum) {
  return inode(inum)->type == T_DIR;
}

// --- complaints ---

static _Noreturn void no_memory(void) {
  fprintf(stderr, "fsck: no memory\n");
  exit(FAILED);
}

static void *allocate(size_t n, size_t size) {
  void *p = calloc(n ? n : 1, size);
  if (!p)
    no_memory();
  return p;
}

// Append a name to the text; what is not plain ASCII becomes \xNN.
static void append_name(char **at, const char *name) {
  for (int i = 0; i < DIRSIZ && name[i]; i++) {
    unsigned char c = (unsigned char)name[i];
    *at += c > 32 && c < 127 && c != '\\' ? sprintf(*at, "%c", c) : sprintf(*at, "\\x%02x", c);
  }
}

// Return a new string with the path of an inode, or NULL if the root does not lead to it.
static char *path_of(uint32_t inum) {
  if (inum == 0 || inum >= sb.ninodes || !seen || !seen[inum].reached)
    return NULL;
  uint32_t depth = 0;
  for (uint32_t i = inum; i != ROOT_INO; i = seen[i].parent)
    depth++;
  const struct dirent **steps = allocate(depth, sizeof(*steps));
  uint32_t n = depth;
  for (uint32_t i = inum; i != ROOT_INO; i = seen[i].parent)
    steps[--n] = seen[i].entry;
  char *path = allocate((size_t)depth * (1 + 4 * DIRSIZ) + 2, 1), *at = path;
  for (n = 0; n < depth; n++) {
    *at++ = '/';
    append_name(&at, steps[n]->name);
  }
  if (depth == 0)
    *at = '/';
  free(steps);
  return path;
}

// Return a new string that names an inode in a sentence.
static char *name_of(uint32_t inum) {
  char *path = path_of(inum);
  size_t room = (path ? strlen(path) : 0) + 40;
  char *name = allocate(room, 1);
  if (path)
    snprintf(name, room, "%s (inode %u)", path, inum);
  else
    snprintf(name, room, "inode %u", inum);
  free(path);
  return name;
}

// Keep what the format says about an inode, or about something else if inum is 0.
static void keep(struct complaint c, const char *format, va_list args) {
  char what[1200];
  *(c.note ? &notes : &problems) += 1;
  if (kept == KEPT_MAX)
    return;
  vsnprintf(what, sizeof(what), format, args);
  char *who = c.inum ? name_of(c.inum) : NULL;
  size_t room = strlen(what) + (who ? strlen(who) : 0) + 3;
  c.text = allocate(room, 1);
  snprintf(c.text, room, "%s%s%s", who ? who : "", who ? ": " : "", what);
  c.path = path_of(c.inum);
  free(who);
  complaints[kept++] = c;
}

static void problem(const char *kind, uint32_t inum, uint32_t n, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void problem(const char *kind, uint32_t inum, uint32_t n, const char *format, ...) {
  va_list args;
  va_start(args, format);
  keep((struct complaint){.kind = kind, .inum = inum, .block = n}, format, args);
  va_end(args);
}

static void note(const char *kind, uint32_t inum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void note(const char *kind, uint32_t inum, const char *format, ...) {
  va_list args;
  va_start(args, format);
  keep((struct complaint){.kind = kind, .inum = inum, .note = true}, format, args);
  va_end(args);
}

// --- superblock and log ---

// Every area in its place, none over another; sums are of 64 bits and cannot wrap.  Returns whether
// the rest can be checked, which is whether a mount takes it.
static bool check_superblock(void) {
  uint64_t log_end = (uint64_t)sb.logstart + sb.nlog;
  uint64_t inode_end = sb.inodestart + blocks_for(sb.ninodes, INODES_PER_BLOCK);
  uint64_t bitmap_end = sb.bmapstart + blocks_for(sb.size, BITS_PER_BLOCK);
  uint64_t room = bitmap_end < sb.size ? sb.size - bitmap_end : 0;
  if (sb.size > image_blocks)
    problem("super-size", 0, 1, "superblock: %u blocks, but the image has only %u", sb.size,
            image_blocks);
  if (sb.nlog < LOG_OP_MAX + 1)
    problem("super-log", 0, 1, "superblock: a log of %u blocks; a transaction needs %d", sb.nlog,
            LOG_OP_MAX + 1);
  if (sb.logstart < 2 || log_end > sb.inodestart)
    problem("super-log", 0, 1,
            "superblock: the log, %u blocks from %u, is not between block 1 and the inodes at %u",
            sb.nlog, sb.logstart, sb.inodestart);
  if (sb.ninodes <= ROOT_INO)
    problem("super-inodes", 0, 1, "superblock: %u inodes, and the root is number %d", sb.ninodes,
            ROOT_INO);
  if (inode_end > sb.bmapstart)
    problem("super-inodes", 0, 1, "superblock: %u inodes from block %u reach the bitmap at %u",
            sb.ninodes, sb.inodestart, sb.bmapstart);
  if (room == 0 || sb.nblocks > room)
    problem("super-data", 0, 1,
            "superblock: %u of %u blocks are for data; the bitmap at %u leaves no room for them",
            sb.nblocks, sb.size, sb.bmapstart);
  if (problems > 0)
    return false;
  if (sb.nblocks == 0) {
    sb.nblocks = (uint32_t)room;
    problem("super-data", 0, 1,
            "superblock: 0 blocks are for data; a mount takes all behind the bitmap, from %u",
            data_start());
  }
  return true;
}

// Find what is wrong with the log's header.  Its first sector has to name every block (docs/
// file-system.md, "The log"): of a header in two sectors one may be old.  Returns whether a mount
// installs the log.
static bool check_header(const uint32_t *header) {
  uint32_t n = header[0], before = problems;
  if (n >= sb.nlog)
    problem("log-header", 0, sb.logstart, "log: the header says %u blocks, and %u have room", n,
            sb.nlog - 1);
  else if (n > LOG_BLOCKS_MAX)
    problem("log-header", 0, sb.logstart,
            "log: the header names %u blocks in two sectors, and one may be old: recover it where "
            "it was written",
            n);
  if (problems > before)
    return false;
  bool taken = true;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t home = header[1 + i];
    if (home < sb.inodestart || home >= sb.size) {
      problem("log-block", 0, home, "log: it has a copy of block %u, which it may not have", home);
      taken = false;
    }
    for (uint32_t j = 0; j < i; j++)
      if (header[1 + j] == home)
        problem("log-twice", 0, home, "log: it has two copies of block %u; the later one counts",
                home);
  }
  return taken;
}

// Install what was committed, in memory; a header that a mount refuses installs nothing.
static bool replay_log(void) {
  uint32_t *header = block(sb.logstart);
  char list[LOG_BLOCKS_MAX * 9] = "", *at = list;
  if (!check_header(header))
    return false;
  log_count = header[0];
  for (uint32_t i = 0; i < log_count; i++) {
    log_list[i] = header[1 + i];
    memcpy(block(log_list[i]), block(sb.logstart + 1 + i), BLOCK_SIZE);
    at += sprintf(at, " %u", log_list[i]);
  }
  header[0] = 0;
  if (log_count > 0)
    note("log", 0, "log: committed and not yet in place, the next mount installs them: blocks%s",
         list);
  return true;
}

// --- the blocks of an inode ---

// What has been said about the blocks of one inode.
struct quota {
  uint32_t inum, said;
};

static bool may_say(struct quota *q) {
  return q->said++ < KEPT_OF_INODE;
}

// Take block n into use as the inode's block of that index, or INDIRECT.  Returns whether it was
// free until now.
static bool claim(struct quota *q, uint32_t n, uint32_t index) {
  if (is_data(n) && block_owner[n] == 0) {
    block_owner[n] = q->inum;
    return true;
  }
  if (!may_say(q))
    return false;
  char label[40] = "its indirect block";
  if (index < INDIRECT)
    snprintf(label, sizeof(label), "block %u of it", index);
  if (!is_data(n)) {
    problem("block-range", q->inum, n, "%s is block %u, outside the data, %u to %u", label, n,
            data_start(), sb.size - 1);
  } else if (block_owner[n] == q->inum) {
    problem("block-shared", q->inum, n, "%s is block %u, which it uses already", label, n);
  } else {
    char *other = name_of(block_owner[n]);
    problem("block-shared", q->inum, n, "%s is block %u, which belongs to %s", label, n, other);
    free(other);
  }
  return false;
}

// xv6's mkfs rounds the size of the root up even when its entries fill whole blocks: such a
// directory lacks its last block, and the indirect block if that was to have only this one.
static bool may_lack(const struct dinode *d, uint32_t n) {
  return d->type == T_DIR && d->size % BLOCK_SIZE == 0 && n + 1 == span(d) && n > 0 &&
         n <= NDIRECT && d->addrs[n] == 0;
}

static void say_missing(struct quota *q, uint32_t from, uint32_t to) {
  if (from < to && may_say(q))
    problem("block-missing", q->inum, 0, "%u bytes, but block %u of it is missing (%u in all)",
            inode(q->inum)->size, from, to - from);
}

static void check_blocks(uint32_t inum) {
  const struct dinode *d = inode(inum);
  struct quota q = {inum, 0};
  uint32_t table = d->addrs[NDIRECT], end = MAXFILE, beyond = 0, gap = 0, n;
  bool may_have_size = is_possible(d) && d->type != T_DEVICE;  // else that has been said
  // Nothing in a table that is not the inode's own is believed.
  if (table && !claim(&q, table, INDIRECT))
    end = NDIRECT;
  for (n = 0; n < end; n++) {
    uint32_t b = block_at(d, n);
    bool missing = b == 0 && n < span(d) && may_have_size && !may_lack(d, n);
    if (!missing) {
      say_missing(&q, gap, n);
      gap = n + 1;
    }
    if (b)
      claim(&q, b, n);
    beyond += b != 0 && n >= span(d);
  }
  say_missing(&q, gap, n);
  if (q.said > KEPT_OF_INODE)
    problem("blocks", inum, 0, "%u more of its blocks are wrong", q.said - KEPT_OF_INODE);
  if (beyond > 0)
    note("block-beyond", inum, "%u blocks lie beyond its %u bytes; they wait for more", beyond,
         d->size);
}

static void check_inode(uint32_t inum) {
  const struct dinode *d = inode(inum);
  if (d->type == 0)
    return;
  if (d->type < T_DIR || d->type > T_DEVICE)
    problem("type", inum, 0, "its type is %d: neither directory (1) nor file (2) nor device (3)",
            d->type);
  if (!is_possible(d))
    problem("size", inum, 0, "%u bytes; a file has at most %d", d->size, MAXFILE * BLOCK_SIZE);
  else if (d->type == T_DIR && d->size % sizeof(struct dirent) != 0)
    problem("size", inum, 0, "a directory of %u bytes, no whole number of entries", d->size);
  bool blocks = d->size > 0;
  for (uint32_t i = 0; i <= NDIRECT; i++)
    blocks |= d->addrs[i] != 0;
  if (d->type == T_DEVICE && blocks)
    problem("device", inum, 0, "a device with %u bytes or blocks; it can have none", d->size);
  if ((d->type == T_DIR || d->type == T_FILE) && (d->major != 0 || d->minor != 0))
    problem("device", inum, 0, "device numbers %d and %d, but it is no device", d->major, d->minor);
  check_blocks(inum);
}

// --- directories ---

// Go on from a directory that is reached, or lost, and mark all that it leads to.
static void walk(uint32_t from, bool lost) {
  uint32_t *todo = allocate(sb.ninodes, sizeof(*todo)), n = 0;
  todo[n++] = from;
  *(lost ? &seen[from].lost : &seen[from].reached) = true;
  while (n > 0) {
    uint32_t dir = todo[--n];
    const struct dinode *d = inode(dir);
    for (uint32_t i = 2; d->type == T_DIR && i < entry_count(d); i++) {
      const struct dirent *e = entry_at(d, i);
      if (!e || e->inum == 0 || e->inum >= sb.ninodes || inode(e->inum)->type == 0)
        continue;
      struct seen *s = &seen[e->inum];
      if (s->reached || s->lost)
        continue;
      s->parent = dir;
      s->entry = e;
      *(lost ? &s->lost : &s->reached) = true;
      todo[n++] = e->inum;
    }
  }
  free(todo);
}

static void check_dots(uint32_t dir) {
  const struct dinode *d = inode(dir);
  static const char *const names[] = {".", ".."};
  for (uint32_t i = 0; i < 2; i++) {
    const struct dirent *e = i < entry_count(d) ? entry_at(d, i) : NULL;
    if (!e && i < entry_count(d))
      continue;  // its block is missing, which has been said
    if (!e || e->inum == 0 || !is_named(e, names[i]))
      problem(i ? "dotdot" : "dot", dir, 0, "entry %u is not %s", i, names[i]);
    else if (i == 0 && e->inum != dir)
      problem("dot", dir, 0, ". is inode %u", e->inum);
  }
}

static void check_entry(uint32_t dir, uint32_t i, const struct dirent *e) {
  char text[4 * DIRSIZ + 1], *name = text;
  append_name(&name, e->name);
  *name = 0;
  if (text[0] == 0)
    problem("name", dir, 0, "entry %u, for inode %u, has no name", i, e->inum);
  if (memchr(e->name, '/', strnlen(e->name, DIRSIZ)))
    problem("name", dir, 0, "entry %u has a / in its name, %s", i, text);
  if (is_named(e, ".") || is_named(e, ".."))
    problem("name", dir, 0, "entry %u is %s, too", i, text);
  if (e->inum >= sb.ninodes) {
    problem("entry-range", dir, 0, "%s is inode %u, and there are %u", text, e->inum, sb.ninodes);
    return;
  }
  if (inode(e->inum)->type == 0) {
    problem("entry-free", dir, 0, "%s is inode %u, which is free", text, e->inum);
    return;
  }
  struct seen *s = &seen[e->inum];
  bool first = s->parent == 0 || (s->parent == dir && s->entry == e);
  if (is_directory(e->inum) && (!first || e->inum == ROOT_INO)) {
    problem("dir-twice", dir, 0, "%s is inode %u, a directory that stands elsewhere, too", text,
            e->inum);
    return;
  }
  if (s->parent == 0) {
    s->parent = dir;
    s->entry = e;
  }
  s->names++;
  seen[dir].inside += is_directory(e->inum);
}

static int compare_names(const void *a, const void *b) {
  const struct dirent *const *x = a, *const *y = b;
  int order = strncmp((*x)->name, (*y)->name, DIRSIZ);
  return order ? order : (*x > *y) - (*x < *y);
}

static void check_directory(uint32_t dir) {
  const struct dinode *d = inode(dir);
  uint32_t count = entry_count(d), n = 0;
  const struct dirent **sorted = allocate(count, sizeof(*sorted));
  if (d->nlink != 0 || d->size != 0)  // else a mkdir found no block, or it is half freed
    check_dots(dir);
  for (uint32_t i = 2; i < count; i++) {
    const struct dirent *e = entry_at(d, i);
    if (!e || e->inum == 0)
      continue;
    check_entry(dir, i, e);
    sorted[n++] = e;
  }
  qsort(sorted, n, sizeof(*sorted), compare_names);
  for (uint32_t i = 1; i < n; i++)
    if (strncmp(sorted[i - 1]->name, sorted[i]->name, DIRSIZ) == 0) {
      char text[4 * DIRSIZ + 1], *name = text;
      append_name(&name, sorted[i]->name);
      *name = 0;
      problem("name-twice", dir, 0, "the name %s is there twice, for inodes %u and %u", text,
              sorted[i - 1]->inum, sorted[i]->inum);
    }
  if (d->nlink == 0 && n > 0)
    problem("orphan-names", dir, 0, "a directory without links, but with %u name%s", n,
            n == 1 ? "" : "s");
  free(sorted);
}

// --- links ---

// Return whether a mount can free the inode, once it has no links: it loads only sound ones.
static bool can_be_freed(const struct dinode *d) {
  bool sound = d->type >= T_DIR && d->type <= T_DEVICE && is_possible(d) &&
               (d->type != T_DIR || d->size % sizeof(struct dirent) == 0);
  for (uint32_t i = 0; i <= NDIRECT; i++)
    sound &= d->addrs[i] == 0 || is_data(d->addrs[i]);
  return sound;
}

// A mount frees what has neither links nor names, but it counts inodes with 16 bits, as entries do.
static void check_unnamed(uint32_t inum) {
  const struct dinode *d = inode(inum);
  if (d->nlink != 0)
    problem("lost", inum, 0, "%d link%s, but no directory names it", d->nlink,
            d->nlink == 1 ? "" : "s");
  else if (inum > UINT16_MAX)
    problem("lost", inum, 0, "no links, and no mount frees it: its number is above %u", UINT16_MAX);
  else
    note("orphan", inum, "no links: it was open when the machine stopped%s",
         can_be_freed(d) ? ", and the next mount frees it" : "");
  walk(inum, true);
}

// A directory's links are its name and the .. of each directory in it.
static void check_links(uint32_t inum) {
  const struct dinode *d = inode(inum);
  struct seen *s = &seen[inum];
  if (d->type == 0)
    return;
  s->names += inum == ROOT_INO;  // nothing names the root; its own .. counts
  if (s->names == 0)
    check_unnamed(inum);
  else if (d->nlink < 0 || (uint32_t)d->nlink != s->names + s->inside)
    problem("links", inum, 0, "%d link%s, not %u: names %u, directories in it %u", d->nlink,
            d->nlink == 1 ? "" : "s", s->names + s->inside, s->names, s->inside);
}

// .. is where the directory stands.
static void check_parent(uint32_t dir) {
  const struct dinode *d = inode(dir);
  const struct dirent *e = entry_count(d) > 1 ? entry_at(d, 1) : NULL;
  uint32_t parent = dir == ROOT_INO ? ROOT_INO : seen[dir].parent;
  if (parent && e && e->inum != 0 && is_named(e, "..") && e->inum != parent) {
    char *where = name_of(parent);
    problem("dotdot", dir, 0, ".. is inode %u, but it stands in %s", e->inum, where);
    free(where);
  }
}

// What is neither reached nor below a lost directory is in a loop, or below one.
static void check_reached(uint32_t inum) {
  if (inode(inum)->type == 0 || seen[inum].reached || seen[inum].lost || seen[inum].parent == 0)
    return;
  uint32_t top = inum;
  for (uint32_t steps = 0; steps < sb.ninodes && seen[top].parent; steps++)
    top = seen[top].parent;
  problem("loop", top, 0, "a directory that stands in itself; the root does not lead to it");
  walk(top, true);
}

// --- the bitmap ---

static bool is_marked(uint32_t n) {
  const unsigned char *map = block(sb.bmapstart + n / BITS_PER_BLOCK);
  return map[n % BITS_PER_BLOCK / 8] >> (n % 8) & 1;
}

static void check_marked(uint32_t n) {
  if (is_marked(n))
    return;
  char *who = block_owner[n] ? name_of(block_owner[n]) : NULL;
  problem("block-free", 0, n, "block %u: marked free, but %s uses it", n,
          who ? who : "the file system itself");
  free(who);
}

static void check_bitmap(void) {
  uint32_t from = data_start();
  for (uint32_t n = 0; n < sb.size; n++) {
    bool used = n < data_start() || block_owner[n] != 0;
    if (used)
      check_marked(n);
    if (used || !is_marked(n))
      from = n + 1;
    else if (n + 1 == sb.size || block_owner[n + 1] != 0 || !is_marked(n + 1))
      problem("block-unused", 0, from, "blocks %u to %u: marked in use, but nothing uses them",
              from, n);
  }
}

// --- all of it ---

// Check what lies in image.  Returns whether the log could be installed.
static bool check_image(void) {
  memcpy(&sb, block(1), sizeof(sb));
  if (!check_superblock())
    return false;
  bool installed = replay_log();
  seen = allocate(sb.ninodes, sizeof(*seen));
  block_owner = allocate(sb.size, sizeof(*block_owner));
  if (inode(0)->type != 0)
    problem("inode-zero", 0, 0, "inode 0: in use, but an entry with number 0 is a free one");
  bool root = is_directory(ROOT_INO);
  if (root)
    walk(ROOT_INO, false);
  else
    problem("root", ROOT_INO, 0, "the root is no directory (type %d)", inode(ROOT_INO)->type);
  for (uint32_t i = ROOT_INO; i < sb.ninodes; i++)
    check_inode(i);
  for (uint32_t i = ROOT_INO; i < sb.ninodes; i++)
    if (is_directory(i))
      check_directory(i);
  for (uint32_t i = ROOT_INO; i < sb.ninodes && root; i++)
    check_links(i);
  for (uint32_t i = ROOT_INO; i < sb.ninodes && root; i++) {
    if (is_directory(i))
      check_parent(i);
    check_reached(i);
  }
  check_bitmap();
  return installed;
}

// Forget the last image.
static void forget(void) {
  while (kept > 0) {
    free(complaints[--kept].text);
    free(complaints[kept].path);
  }
  free(seen);
  free(block_owner);
  free(image);
  seen = NULL;
  block_owner = NULL;
  image = NULL;
  problems = notes = log_count = 0;
}

// --- files ---

static char error[600];  // of the last operation that failed

static bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(error, sizeof(error), format, args);
  va_end(args);
  return false;
}

static bool read_from(FILE *f, const char *path) {
  if (fgetc(f) == EOF && ferror(f))
    return fail("cannot read %s: %s", path, strerror(errno));
  long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
  if (size < 0)
    return fail("cannot read %s: it is no regular file", path);
  if (size < 2 * BLOCK_SIZE)
    return fail("%s is no file system: %ld bytes are too few", path, size);
  if (size / BLOCK_SIZE > BLOCKS_LIMIT)
    return fail("%s is too large: at most %u blocks can be checked", path, BLOCKS_LIMIT);
  rewind(f);
  image_blocks = (uint32_t)(size / BLOCK_SIZE);
  image = allocate(image_blocks, BLOCK_SIZE);
  if (fread(image, BLOCK_SIZE, image_blocks, f) != image_blocks)
    return fail("cannot read %s: %s", path, strerror(errno));
  uint32_t magic;
  memcpy(&magic, block(1), sizeof(magic));
  if (magic != FS_MAGIC)
    return fail("%s is no file system: its magic number is 0x%x, not 0x%x", path, magic, FS_MAGIC);
  return true;
}

static bool read_image(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f)
    return fail("cannot open %s: %s", path, strerror(errno));
  bool read = read_from(f, path);
  fclose(f);
  return read;
}

// Write what the next mount finds, once the log is in place, to path by way of the temporary file.
// The file is whole or not there.
static bool write_recovered(const char *path, const char *temporary) {
  FILE *f = fopen(temporary, "wb");
  bool written = f && fwrite(image, BLOCK_SIZE, image_blocks, f) == image_blocks;
  if (f && fclose(f) != 0)
    written = false;
  if (!written || rename(temporary, path) != 0) {
    fail("cannot write %s: %s", path, strerror(errno));
    if (f)
      remove(temporary);
    written = false;
  }
  return written;
}

// Return whether both names lead to one file.
static bool is_same_file(const char *one, const char *other) {
  struct stat a, b;
  return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// --- results ---

static void print_string(const char *text) {
  putchar('"');
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      printf("\\%c", c);
    else if (c < 32)
      printf("\\u%04x", c);
    else
      putchar(c);
  }
  putchar('"');
}

static void print_list(const char *key, bool want_notes) {
  const char *comma = "";
  printf(", \"%s\": [", key);
  for (uint32_t i = 0; i < kept; i++) {
    const struct complaint *c = &complaints[i];
    if (c->note != want_notes)
      continue;
    printf("%s\n  {\"kind\": \"%s\"", comma, c->kind);
    if (c->inum)
      printf(", \"inode\": %u", c->inum);
    if (c->path) {
      printf(", \"path\": ");
      print_string(c->path);
    }
    if (c->block)
      printf(", \"block\": %u", c->block);
    printf(", \"text\": ");
    print_string(c->text);
    printf("}");
    comma = ",";
  }
  printf("]");
}

static void print_json(const char *path, int code) {
  printf("{\"image\": ");
  print_string(path);
  printf(", \"exit\": %d", code);
  if (code == FAILED) {
    printf(", \"error\": ");
    print_string(error);
    printf("}\n");
    return;
  }
  printf(", \"installed\": [");
  for (uint32_t i = 0; i < log_count; i++)
    printf("%s%u", i ? ", " : "", log_list[i]);
  printf("]");
  print_list("problems", false);
  print_list("notes", true);
  printf(", \"left_out\": %u}\n", problems + notes - kept);
}

static void print_text(const char *path, int code) {
  if (code == FAILED)
    return;
  for (uint32_t i = 0; i < kept; i++)
    printf("%s%s\n", complaints[i].note ? "note: " : "", complaints[i].text);
  if (problems + notes > kept)
    printf("... and %u more\n", problems + notes - kept);
  if (problems == 0)
    printf("%s: clean\n", path);
  else
    printf("%s: damaged, %u problem%s%s\n", path, problems, problems == 1 ? "" : "s",
           seen ? "" : "; nothing else can be checked");
}

// Read the options.  Returns whether they make sense.
static bool parse(int argc, char *argv[], bool *json, const char **recovered, const char **path) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0)
      *json = true;
    else if (strcmp(argv[i], "--recovered") == 0 && i + 1 < argc)
      *recovered = argv[++i];
    else if (argv[i][0] != '-' && !*path)
      *path = argv[i];
    else
      return false;
  }
  return *path && **path;
}

// Write what was checked.  The image stays as it is, so neither file may be it.
static bool recover(const char *path, const char *recovered, bool installed) {
  size_t length = strlen(recovered) + sizeof(".tmp");
  char *temporary = allocate(length, 1);
  snprintf(temporary, length, "%s.tmp", recovered);
  bool written = false;
  if (is_same_file(recovered, path))
    fail("--recovered %s is the image itself, which stays as it is: name another file", recovered);
  else if (is_same_file(temporary, path))
    fail("--recovered %s would begin as %s, which is the image itself: name another file",
         recovered, temporary);
  else if (!installed)
    fail("%s is not written: a mount refuses this %s", recovered, seen ? "log" : "superblock");
  else
    written = write_recovered(recovered, temporary);
  free(temporary);
  return written;
}

static int run(const char *path, const char *recovered) {
  if (!read_image(path))
    return FAILED;
  bool installed = check_image();
  if (recovered && !recover(path, recovered, installed))
    return FAILED;
  return problems ? DAMAGED : CLEAN;
}

int main(int argc, char *argv[]) {
  bool json = false;
  const char *path = NULL, *recovered = NULL;
  if (!parse(argc, argv, &json, &recovered, &path)) {
    fprintf(stderr, "usage: fsck [--json] [--recovered FILE] IMAGE\n");
    return USAGE;
  }
  int code = run(path, recovered);
  if (code == FAILED)
    fprintf(stderr, "fsck: %s\n", error);
  (json ? print_json : print_text)(path, code);
  forget();
  return code;
}
