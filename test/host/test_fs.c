// SPDX-License-Identifier: MIT
//
// The file system on a fake disk: what each operation does, what a power cut at every single
// write and flush leaves, what damaged images and failing disks do, and threads that all change the
// same names. Every scenario runs in a process of its own, with a fresh kernel half.
//
// Links: kern/fs/bitmap.c kern/fs/buf.c kern/fs/file.c kern/fs/inode.c kern/fs/log.c
// Links: kern/fs/name.c kern/fs/pipe.c kern/proc/give_back.c
// Links: kern/sched/held.c kern/sched/sleeplock.c
// Links: test/host/fs_stubs.c test/host/fs_image.c
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kern/dev/disk.h"
#include "kern/fs/buf.h"
#include "kern/fs/file.h"
#include "kern/fs/fs.h"
#include "kern/fs/inode.h"
#include "kern/fs/log.h"
#include "kern/fs/name.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/proc/give_back.h"
#include "kern/sched/held.h"
#include "test/host/fs_image.h"

static struct inode *root;

// What a failing call leaves in its record is given back at its end.  What another one got is the
// test's.
static int end_call(int err) {
  if (err < 0)
    give_back_references();
  thread_current()->held_count = 0;
  return err;
}
#define name_lookup(...)           end_call(name_lookup(__VA_ARGS__))
#define name_lookup_directory(...) end_call(name_lookup_directory(__VA_ARGS__))
#define name_create(...)           end_call(name_create(__VA_ARGS__))
#define name_link(...)             end_call(name_link(__VA_ARGS__))
#define name_unlink(...)           end_call(name_unlink(__VA_ARGS__))
#define file_open(...)             end_call(file_open(__VA_ARGS__))
#define file_pipe(...)             end_call(file_pipe(__VA_ARGS__))

static int mount(void) {
  const char *why = NULL;
  int err = fs_mount(&why);
  if (err < 0) {
    CHECK(why);
    if (!quiet)
      fprintf(stderr, "mount: %s (%d)\n", why, err);
    return err;
  }
  return name_lookup(NULL, "/", &root);
}

// Run scenario(arg) in a child process; it must end well within 60 s.
static void run(void (*scenario)(uint64), uint64 arg, const char *name) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    scenario(arg);
    CHECK(thread_current()->held_count == 0 && !thread_current()->locks);
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  if (status != 0) {
    fprintf(stderr, "%s(%llu) failed: status %#x\n", name, (unsigned long long)arg, status);
    exit(1);
  }
}
#define RUN(scenario, arg) run(scenario, arg, #scenario)

// --- The calls of a process, in short ---

static struct file *open_file(const char *path, int flags) {
  struct file *f = NULL;
  return file_open(root, path, flags, &f) < 0 ? NULL : f;
}

static uint8 pattern(uint64 at, uint32 seed) {
  return (uint8)(at * 7 + at / 251 + seed);
}

static int64 write_some(struct file *f, uint64 at, uint64 n, uint32 seed) {
  for (uint64 i = 0; i < n; i++)
    user_memory[i] = pattern(at + i, seed);
  return file_write(f, USER_BASE, n);
}

static int64 make_file(const char *path, uint64 size, uint32 seed) {
  struct file *f = open_file(path, O_CREATE | O_WRONLY | O_TRUNC);
  if (!f)
    return -1;
  int64 n = write_some(f, 0, size, seed);
  file_close(&f);
  return n;
}

static int64 check_file(const char *path, uint64 size, uint32 seed, uint64 piece) {
  struct file *f = open_file(path, O_RDONLY);
  CHECK(f);
  uint64 at = 0;
  int64 n;
  while ((n = file_read(f, USER_BASE, piece)) > 0) {
    for (int64 i = 0; i < n; i++)
      CHECK(user_memory[i] == pattern(at + (uint64)i, seed));
    at += (uint64)n;
  }
  CHECK(n == 0 && at == size);
  file_close(&f);
  return (int64)at;
}

static struct stat stat_of(const char *path) {
  struct file *f = open_file(path, O_RDONLY);
  CHECK(f);
  memset(user_memory, 0xff, sizeof(struct stat));
  CHECK(file_stat(f, USER_BASE) == 0);
  file_close(&f);
  struct stat st;
  memcpy(&st, user_memory, sizeof(st));
  CHECK(st.pad == 0);
  return st;
}

static int make(const char *path, enum file_type type) {
  return name_create(root, path, type, 0, 0, NULL);
}

static void check_image(void) {
  const char *bad = image_check();
  if (bad)
    fprintf(stderr, "image: %s\n", bad);
  CHECK(!bad);
}

// --- Operations ---

static void test_files(uint64 unused) {
  (void)unused;
  image_make(2000, 200, 30);
  CHECK(mount() == 0);
  uint32 before = image_free_blocks();
  static const uint64 sizes[] = {0, 1, 1023, 1024, 1025, 12 * 1024, 12 * 1024 + 1, 100000};
  for (uint32 i = 0; i < ARRAY_SIZE(sizes); i++) {
    CHECK(make_file("f", sizes[i], i) == (int64)sizes[i]);
    check_file("f", sizes[i], i, 1 + i * 777);
    check_image();
  }
  CHECK(make_file("f", MAXFILE * 1024 + 5, 1) == MAXFILE * 1024);
  check_file("/f", MAXFILE * 1024, 1, 4096);
  struct file *f = open_file("f", O_RDWR);
  CHECK(file_read(f, USER_BASE, 1 << 19) == MAXFILE * 1024);
  CHECK(file_write(f, USER_BASE, 1) == -EFBIG);
  file_close(&f);
  CHECK(name_unlink(root, "f") == 0 && image_free_blocks() == before);
  CHECK(!open_file("f", O_RDONLY));
  check_image();
}

static void test_names(uint64 unused) {
  (void)unused;
  struct inode *dir, *ip;
  image_make(2000, 200, 30);
  CHECK(mount() == 0);
  int64 live = live_objects;
  uint32 before = image_free_blocks();
  CHECK(make("d", T_DIR) == 0 && make("d", T_DIR) == -EEXIST && make("/", T_DIR) == -EEXIST);
  CHECK(make("/d//e/", T_DIR) == 0 && make("x/y", T_DIR) == -ENOENT);
  CHECK(name_lookup_directory(root, "d/e/../e/.", &dir) == 0);
  CHECK(name_create(dir, "../../d/e/f", T_FILE, 0, 0, NULL) == 0);
  CHECK(name_lookup(dir, "f", &ip) == 0 && name_lookup(dir, "f/x", &ip) == -ENOTDIR);
  CHECK(name_lookup_directory(dir, "f", &(struct inode *){0}) == -ENOTDIR);
  inode_put(ip);
  CHECK(name_link(dir, "f", "/g") == 0 && stat_of("g").nlink == 2);
  CHECK(name_link(root, "d", "h") == -EISDIR && name_link(root, "g", "d/e/f") == -EEXIST);
  CHECK(name_link(root, "nil", "h") == -ENOENT && name_link(root, "g", "no/h") == -ENOENT);
  CHECK(name_unlink(root, "d") == -ENOTEMPTY && name_unlink(root, "d/e/.") == -EINVAL);
  CHECK(name_unlink(root, "d/e/..") == -EINVAL && name_unlink(root, "nil") == -ENOENT);
  CHECK(stat_of("d").nlink == 2 && stat_of("/").nlink == 2 && stat_of("..").ino == ROOT_INO);
  CHECK(name_unlink(root, "d/e/f") == 0 && stat_of("g").nlink == 1);
  CHECK(name_unlink(root, "d/e") == 0);
  CHECK(name_create(dir, "late", T_FILE, 0, 0, NULL) == -ENOENT);
  CHECK(name_lookup(dir, "..", &ip) == 0);
  inode_put(ip);
  inode_put(dir);
  CHECK(make("a-name-longer-than-fourteen", T_FILE) == 0);
  CHECK(stat_of("a-name-longer-but").type == T_FILE && make("a-name-longer-", T_DIR) == -EEXIST);
  CHECK(name_unlink(root, "a-name-longer-x") == 0);
  CHECK(name_unlink(root, "g") == 0 && name_unlink(root, "d") == 0 && stat_of("").nlink == 1);
  inode_put(root);
  CHECK(image_free_blocks() == before && live_objects == live - 0);
  check_image();
}

static void test_open(uint64 unused) {
  (void)unused;
  image_make(2000, 200, 30);
  CHECK(mount() == 0);
  int64 live = live_objects;
  CHECK(make("d", T_DIR) == 0 && name_create(root, "c", T_DEVICE, DEV_CONSOLE, 0, NULL) == 0);
  CHECK(name_create(root, "n", T_DEVICE, 77, 0, NULL) == 0);
  CHECK(!open_file(".", O_CREATE) && !open_file("d/..", O_CREATE) && make("d/.", T_DIR) < 0);
  CHECK(!open_file("d", O_RDWR) && !open_file("d", O_CREATE) && !open_file("d", O_TRUNC));
  struct file *f = open_file("n", O_RDWR);
  CHECK(f && file_read(f, USER_BASE, 1) == -ENODEV && file_write(f, USER_BASE, 1) == -ENODEV);
  file_close(&f);
  f = open_file("c", O_CREATE | O_RDWR);
  CHECK(f && file_read(f, USER_BASE, 5) == 1 && file_read(f, USER_BASE, 5) == 0);
  CHECK(file_write(f, USER_BASE, 1) == -ENODEV);
  file_close(&f);
  CHECK(stat_of("c").type == T_DEVICE);
  f = open_file("d", O_RDONLY);
  CHECK(f && file_write(f, USER_BASE, 1) == -EBADF);
  CHECK(file_read(f, USER_BASE, 100) == 32);
  struct file *again;
  file_dup(f, &again);
  CHECK(again == f);
  file_close(&again);
  file_close(&f);
  f = open_file("w", O_CREATE | O_WRONLY);
  CHECK(f && file_read(f, USER_BASE, 1) == -EBADF && write_some(f, 0, 100, 3) == 100);
  struct file *g = open_file("w", O_TRUNC | O_RDWR);
  CHECK(g && stat_of("w").size == 0 && file_write(f, USER_BASE, 1) == -EINVAL);
  CHECK(write_some(g, 0, 200, 3) == 200 && write_some(f, 100, 200, 3) == 200);
  check_file("w", 300, 3, 1000);
  file_close(&f);
  CHECK(name_unlink(root, "w") == 0 && !open_file("w", O_RDONLY));
  CHECK(write_some(g, 200, 300000, 3) == MAXFILE * 1024 - 200);
  file_close(&g);
  CHECK(name_unlink(root, "c") == 0 && name_unlink(root, "d") == 0 && name_unlink(root, "n") == 0);
  check_image();
  CHECK(live_objects == live);
}

// Bad addresses change nothing.
static void test_addresses(uint64 unused) {
  (void)unused;
  image_make(2000, 200, 30);
  CHECK(mount() == 0 && make_file("f", 50000, 1) == 50000);
  uint64 digest = image_digest();
  struct file *f = open_file("f", O_RDWR);
  CHECK(file_read(f, USER_BASE, 10000) == 10000);
  user_bad_from = USER_BASE + 20480;
  static const uint64 sizes[] = {1, 5000, 20000, 1UL << 40, ~0UL};
  for (uint32 i = 0; i < ARRAY_SIZE(sizes); i++) {
    CHECK(file_write(f, user_bad_from - 1, sizes[i]) == (i ? -EFAULT : 1) || i == 0);
    CHECK(file_write(f, 0, sizes[i]) == -EFAULT && file_write(f, ~0UL, sizes[i]) == -EFAULT);
    CHECK(file_read(f, 0, sizes[i]) == -EFAULT && file_read(f, ~0UL, sizes[i]) == -EFAULT);
    CHECK(i == 0 || file_read(f, user_bad_from - 1, sizes[i]) == -EFAULT);
    if (i == 0)
      digest = image_digest();
  }
  CHECK(file_write(f, USER_BASE + 4096, 20000) == -EFAULT && image_digest() == digest);
  CHECK(file_write(f, 0, 0) == 0 && file_read(f, 0, 0) == 0 && file_stat(f, 0) == -EFAULT);
  user_bad_from = USER_BASE + USER_SIZE;
  CHECK(file_read(f, USER_BASE, 1) == 1 && user_memory[0] == pattern(10001, 1));
  file_close(&f);
  check_image();
}

// Fill the disk, then the inodes; nothing is lost, and all of it comes back.
static void test_full(uint64 unused) {
  (void)unused;
  image_make(300, 40, 30);
  CHECK(mount() == 0);
  uint32 before = image_free_blocks();
  int64 big = make_file("big", 268 * 1024, 1);
  CHECK(big > 0 && big < 268 * 1024 && image_free_blocks() == 0);
  CHECK(make_file("none", 1, 1) < 0 && make("dir", T_DIR) == -ENOSPC);
  check_file("big", (uint64)big, 1, 5000);
  CHECK(name_unlink(root, "none") == 0);
  check_image();
  CHECK(name_unlink(root, "big") == 0 && image_free_blocks() == before);
  char name[4] = "a";
  uint32 n = 0;
  for (; make(name, T_FILE) == 0; n++)
    snprintf(name, sizeof(name), "%u", n);
  CHECK(n == 38 && make("more", T_DIR) == -ENOSPC);
  check_image();
}

// Create a file for which the directory d, of 1,002 entries, needs a block.  No call's record gets
// deeper (docs/survival.md).
static void make_deepest_record(void) {
  struct thread *t = thread_current();
  char name[16];
  for (int i = 0; i < 22; i++) {
    snprintf(name, sizeof(name), "d/x%d", i);
    CHECK(name_link(root, "t", name) == 0);
  }
  memset(t->held, 0, sizeof(t->held));
  struct file *f = open_file("d/deep", O_CREATE | O_RDWR);
  CHECK(f && t->held[5] != 0 && t->held[6] == 0);  // what has been taken out is still there
  file_close(&f);
  CHECK(name_unlink(root, "d/deep") == 0);
  for (int i = 0; i < 22; i++) {
    snprintf(name, sizeof(name), "d/x%d", i);
    CHECK(name_unlink(root, name) == 0);
  }
}

// More entries than a block has; freed ones are used again.
static void test_large_directory(uint64 unused) {
  (void)unused;
  image_make(2000, 600, 30);
  CHECK(mount() == 0 && make("d", T_DIR) == 0 && make("t", T_FILE) == 0);
  char name[16];
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 1000; i++) {
      snprintf(name, sizeof(name), "d/%d", i);
      CHECK(name_link(root, "t", name) == 0);
    }
    check_image();
    CHECK(stat_of("t").nlink == 1001 && stat_of("d").size == 1002 * 16);
    if (round == 1)
      make_deepest_record();
    for (int i = 999; i >= 0; i--) {
      snprintf(name, sizeof(name), "d/%d", i);
      CHECK(name_unlink(root, name) == 0);
    }
  }
  CHECK(name_unlink(root, "d") == 0);
  check_image();
}

// A file whose blocks lie all over a large image is written and freed in several transactions.
static void test_scattered(uint64 unused) {
  (void)unused;
  image_make(DISK_MAX, 100, 15);  // the smallest log
  struct superblock *sb = image_super();
  // Leave ten free blocks for each block of the bitmap.
  for (uint32 b = 0; b < (DISK_MAX + BITS_PER_BLOCK - 1) / BITS_PER_BLOCK; b++)
    for (uint32 i = 0; i < BITS_PER_BLOCK - 3000 - 10; i++)
      disk->current[sb->bmapstart + b][i / 8] |= (uint8)(1 << i % 8);
  for (uint32 b = 0; b < (DISK_MAX + BITS_PER_BLOCK - 1) / BITS_PER_BLOCK; b++)
    memset(disk->current[sb->bmapstart + b] + (BITS_PER_BLOCK - 3000) / 8, 0xff, 3000 / 8);
  CHECK(mount() == 0);
  uint32 before = image_free_blocks();
  CHECK(before > 130 && make_file("a", 130 * 1024, 1) == 130 * 1024);
  check_file("a", 130 * 1024, 1, 10000);
  CHECK(before - image_free_blocks() == 131 && name_unlink(root, "a") == 0);
  CHECK(image_free_blocks() == before && make_file("b", 130 * 1024, 2) == 130 * 1024);
}

static void test_few_buffers(uint64 unused) {
  (void)unused;
  fake_pages = 1;  // the fewest buffers
  image_make(20000, 5000, 255);
  CHECK(mount() == 0 && buf_count() == 64);
  char name[8];
  for (uint32 i = 0; i < 40; i++) {
    snprintf(name, sizeof(name), "f%u", i);
    CHECK(make_file(name, i * 3000, i) == i * 3000);
  }
  for (uint32 i = 0; i < 40; i++) {
    snprintf(name, sizeof(name), "f%u", i);
    check_file(name, i * 3000, i, 4096);
    CHECK(name_unlink(root, name) == 0);
  }
  check_image();
}

// Any allocation may fail; the call fails, and the image and the memory are as they were.
static void test_no_memory(uint64 unused) {
  (void)unused;
  image_make(2000, 200, 30);
  CHECK(mount() == 0 && make("d", T_DIR) == 0);
  int64 live = live_objects;
  for (int64 i = 1; i < 8; i++) {
    fail_allocation = i;
    make("d/x", T_FILE);
    fail_allocation = i;
    struct file *f, *g;
    if (file_open(root, "d/y", O_CREATE | O_RDWR, &f) == 0) {
      write_some(f, 0, 5000, 1);
      file_close(&f);
    }
    fail_allocation = i;
    if (file_pipe(&f, &g) == 0) {
      file_close(&f);
      file_close(&g);
    }
    fail_allocation = 0;
    name_unlink(root, "d/x");
    name_unlink(root, "d/y");
    CHECK(live_objects == live);
    check_image();
  }
}

// --- Power cuts ---

#define COMMITS_MAX 400
#define STEPS_MAX   2000
struct history {
  uint64 digest[COMMITS_MAX];  // after that many commits
  uint64 at[COMMITS_MAX];      // the step that cleared the log
  uint64 logged[COMMITS_MAX];  // the step that wrote the log's header
  uint64 commits, steps;
  uint32 block[STEPS_MAX];  // that the step wrote, 0: it flushed
  uint8 data[STEPS_MAX][BLOCK_SIZE];
};
static struct history *history;
static void (*workload)(void);

// One of everything, twice, on a small disk.
static void one_of_each(void) {
  CHECK(make("d", T_DIR) == 0);
  for (uint32 i = 0; i < 2; i++) {
    CHECK(make_file("d/f", 20000, i) == 20000 && make_file("g", 700, i) == 700);
    CHECK(name_link(root, "d/f", "l") == 0 && make("d/e", T_DIR) == 0);
    CHECK(make_file("d/e/x", 3000, i) == 3000);
    struct file *f = open_file("g", O_RDWR);
    CHECK(name_unlink(root, "g") == 0 && write_some(f, 0, 15000, i) == 15000);
    CHECK(make_file("l", 9000, 5) == 9000);
    file_close(&f);
    CHECK(name_unlink(root, "d/e/x") == 0 && name_unlink(root, "d/e") == 0);
    CHECK(name_unlink(root, "l") == 0);
    CHECK(make_file("d/f", 1500, 9) == 1500);
  }
}

static pthread_barrier_t barrier;

// Keep a transaction open from the first meeting to the second.
static void *hold(void *unused) {
  CHECK(log_begin() == 0);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  log_end();
  return unused;
}

// Commits as large as the log can hold.
static void large_commits(void) {
  pthread_t holder;
  char name[8];
  CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
  for (uint32 i = 0; i < 2; i++) {
    CHECK(pthread_create(&holder, NULL, hold, NULL) == 0);
    pthread_barrier_wait(&barrier);
    // A file changes at most 12 blocks more; the one open and one beside it must find room.
    for (uint32 n = 12 + 2 * LOG_OP_MAX; n <= fs.log_capacity; n += 12) {
      snprintf(name, sizeof(name), "%u.%u", i, n);
      CHECK(make_file(name, 8000 - i * 1000, n + i) > 0);
    }
    pthread_barrier_wait(&barrier);
    pthread_join(holder, NULL);
  }
}

static void note_step(uint64 block, const uint8 *data) {
  CHECK(disk->steps < STEPS_MAX);
  history->block[disk->steps] = (uint32)block;
  memcpy(history->data[disk->steps], data, BLOCK_SIZE);
  if (block != image_super()->logstart)
    return;
  CHECK(history->commits + 1 < COMMITS_MAX);
  if (*(const uint32 *)data != 0) {
    history->logged[history->commits + 1] = disk->steps;
    return;
  }
  history->commits++;
  history->digest[history->commits] = image_digest();
  history->at[history->commits] = disk->steps;
}

static void record(uint64 unused) {
  (void)unused;
  CHECK(mount() == 0);
  history->digest[0] = image_digest();
  disk_on_write = note_step;
  workload();
  history->steps = disk->steps;
  check_image();
}

// Do to the disk what the workload did before that step.
static void redo_until(uint64 cut) {
  disk_restore();
  for (uint64 step = 1; step < cut; step++)
    CHECK((history->block[step] ? disk_write(history->block[step], history->data[step])
                                : disk_flush()) == 0);
}

static void recover(uint64 cut) {
  CHECK(mount() == 0);
  check_image();
  uint64 done = 0;
  while (done < history->commits && history->at[done + 1] < cut)
    done++;
  uint64 now = image_digest();
  CHECK(now == history->digest[done] ||
        (done < history->commits && now == history->digest[done + 1]));
  CHECK(make_file("after", 30000, 1) == 30000);
  check_image();
}

static void mount_until_cut(uint64 cut) {
  disk->cut_at = disk->steps + cut;
  (void)mount();
}

// Cut the power at that step and mount again.  Returns whether the log's header was on its way.
static bool cut_power(uint64 cut, unsigned seed) {
  redo_until(cut);
  uint32 n = disk->npending;
  bool header = n > 0 && disk->pending[n - 1] == image_super()->logstart;
  disk_settle(seed);
  // The power may fail again while the log is recovered, until a mount has nothing left to do.
  for (uint64 again = cut % 7, before = ~0UL; again > 0 && disk->steps != before; again--) {
    before = disk->steps;
    RUN(mount_until_cut, again * 3);
    disk_settle((unsigned)(cut * 10 + again));
  }
  RUN(recover, cut);
  return header;
}

// Cut the power when only the log has that commit, and again at each step of its recovery; the
// first sector of the header arrives then.  Returns the number of steps.
static uint64 cut_recovery(uint64 commit) {
  uint64 cut = history->logged[commit] + 2;  // after the flush of the header
  for (uint64 step = 1;; step++) {
    redo_until(cut);
    CHECK(disk->npending == 0);
    RUN(mount_until_cut, step);
    if (!disk->cut)
      return step - 1;
    disk_settle((unsigned)(commit + step) * 2 + 1);
    RUN(recover, cut);
  }
}

static void test_power_cuts(void (*work)(void), uint32 nlog) {
  image_make(600, 60, nlog);
  disk_save();
  memset(history, 0, sizeof(*history));
  workload = work;
  RUN(record, 0);
  uint64 steps = history->steps, cuts = 0;
  for (uint64 cut = 1; cut <= steps; cut++) {
    unsigned part = 0;  // of the header that arrives: each is tried
    while (cut_power(cut, (unsigned)cut * 5 + part) && part < 3)
      part++;
    cuts += part + 1;
  }
  uint64 later = 0;
  for (uint64 commit = 1; commit <= history->commits; commit++)
    later += cut_recovery(commit);
  CHECK(later > history->commits);
  printf("test_fs: %llu power cuts, %llu in recoveries, %llu commits\n", (unsigned long long)cuts,
         (unsigned long long)later, (unsigned long long)history->commits);
}

// --- Durability ---

// Write to a file of its own for ever.
static void *write_on(void *arg) {
  char name[8];
  snprintf(name, sizeof(name), "w%u", (unsigned)(uintptr_t)arg);
  for (;;) {
    struct file *f = open_file(name, O_CREATE | O_WRONLY | O_TRUNC);
    CHECK(f && file_write(f, USER_BASE, 3000) == 3000);
    file_close(&f);
  }
}

// Write a file beside others that never stop.
static void write_beside_others(uint32 seed) {
  pthread_t thread;
  CHECK(mount() == 0);
  for (uintptr_t i = 0; i < 4; i++)
    CHECK(pthread_create(&thread, NULL, write_on, (void *)i) == 0);
  usleep(1000);
  CHECK(make_file("mine", 20000, seed) == 20000);
}

static void cut_after_sync(uint64 seed) {
  write_beside_others((uint32)seed);
  CHECK(log_sync() == 0);
  disk->cut_at = 1;
  pause();
}

static void find_mine(uint64 seed) {
  CHECK(mount() == 0);
  check_file("mine", 20000, (uint32)seed, 4096);
  check_image();
}

static void *close_log(void *result) {
  *(int *)result = log_close();
  return NULL;
}

// Two close the log at once.  Then nothing is written any more, and the image is whole.
static void test_close(uint64 seed) {
  pthread_t other;
  int result = 1;
  write_beside_others((uint32)seed);
  CHECK(pthread_create(&other, NULL, close_log, &result) == 0 && log_close() == 0);
  pthread_join(other, NULL);
  uint64 steps = disk->steps;
  usleep(5000);
  CHECK(result == 0 && disk->steps == steps && disk->npending == 0);
  check_image();
  check_file("mine", 20000, (uint32)seed, 4096);
}

static int sync_result, late_result;  // 1: not yet

static void *sync_now(void *unused) {
  store_relaxed(&sync_result, log_sync());
  return unused;
}

// Begin a transaction, and end it when sync has returned.
static void *begin_late(void *unused) {
  store_relaxed(&late_result, log_begin());
  while (load_relaxed(&sync_result) == 1)
    usleep(100);
  if (late_result == 0)
    CHECK(log_end() == 0);
  return unused;
}

// Wait until n threads sleep, or sync or the late transaction has its result.
static void await_sleepers(int n) {
  while (load_relaxed(&threads_asleep) < n && load_relaxed(&sync_result) == 1 &&
         load_relaxed(&late_result) == 1)
    usleep(100);
}

// A file is written while another transaction is open; then the log fails, or not.  Sync waits for
// that transaction and for none that begins later, which wait for its commit.
static void test_sync(uint64 fails) {
  pthread_t threads[3];
  quiet = fails;
  image_make(600, 60, 60);
  CHECK(mount() == 0 && log_sync() == 0);
  CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
  CHECK(pthread_create(&threads[0], NULL, hold, NULL) == 0);
  pthread_barrier_wait(&barrier);
  CHECK(make_file("f", 100, 1) == 100 && disk->steps == 0);
  sync_result = late_result = 1;
  CHECK(pthread_create(&threads[1], NULL, sync_now, NULL) == 0);
  await_sleepers(1);
  CHECK(pthread_create(&threads[2], NULL, begin_late, NULL) == 0);
  await_sleepers(2);
  CHECK(load_relaxed(&sync_result) == 1 && load_relaxed(&late_result) == 1);
  disk->fail_to = fails ? ~0UL : 0;
  pthread_barrier_wait(&barrier);
  for (uint32 i = 0; i < ARRAY_SIZE(threads); i++)
    pthread_join(threads[i], NULL);
  int expected = fails ? -EROFS : 0;
  CHECK(sync_result == expected && late_result == expected);
  CHECK(log_sync() == expected && log_close() == expected);
}

// A call is killed in its transaction, alone or while another one is open.
static void test_killed(uint64 shared) {
  static const struct dirent half = {.inum = ROOT_INO, .name = "half"};
  pthread_t holder;
  struct inode *ip;
  quiet = true;
  image_make(600, 60, 60);
  CHECK(mount() == 0 && make_file("old", 3000, 1) == 3000 && log_sync() == 0);
  CHECK(make_file("gone", 9000, 1) == 9000 && name_unlink(root, "gone") == 0);
  uint64 before = image_digest();
  CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
  if (shared) {
    CHECK(pthread_create(&holder, NULL, hold, NULL) == 0);
    pthread_barrier_wait(&barrier);
    CHECK(make_file("new", 100, 2) == 100);
  }
  struct file *f = open_file(shared ? "new" : "old", O_RDWR);
  CHECK(log_begin() == 0 && inode_lock(root) == 0);
  CHECK(inode_write(root, &half, root->disk.size, sizeof(half)) == sizeof(half));
  CHECK(inode_alloc(T_FILE, 0, 0, &ip) == 0);
  log_abandon();
  inode_unlock(ip);
  inode_unlock(root);
  inode_put(ip);
  CHECK(!thread_current()->in_transaction && image_digest() == before);
  CHECK(name_lookup(root, "half", &ip) == -ENOENT);
  check_file("old", 3000, 1, 1000);
  if (shared) {
    CHECK(file_read(f, USER_BASE, 1) < 0 && file_write(f, USER_BASE, 1) == -EROFS);
    CHECK(name_lookup(root, "new", &ip) == -ENOENT && make("d", T_DIR) == -EROFS);
    pthread_barrier_wait(&barrier);
    pthread_join(holder, NULL);
    CHECK(log_sync() == -EROFS && image_digest() == before);
  } else {
    CHECK(make_file("half", 9000, 3) == 9000 && make("d", T_DIR) == 0 && log_sync() == 0);
    check_file("half", 9000, 3, 1000);
    check_image();
  }
  file_close(&f);
}

// A call is killed as it makes a block a new file's, which was another one's before this commit.
// That one has its contents again.
static void test_killed_at_zeros(uint64 seed) {
  pthread_t holder;
  struct inode *ip;
  quiet = true;
  image_make(600, 60, 60);
  CHECK(mount() == 0 && make_file("old", 3000, (uint32)seed) == 3000 && log_sync() == 0);
  CHECK(name_lookup(root, "old", &ip) == 0 && inode_lock(ip) == 0);
  uint32 block = ip->disk.addrs[0];
  inode_unlock(ip);
  inode_put(ip);
  CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
  CHECK(pthread_create(&holder, NULL, hold, NULL) == 0);
  pthread_barrier_wait(&barrier);
  CHECK(name_unlink(root, "old") == 0);
  CHECK(log_begin() == 0 && inode_lock(root) == 0);
  inode_update(root);
  struct buf *b = buf_get_zeroed(block);
  log_abandon();
  inode_unlock(root);
  buf_put(b);
  check_file("old", 3000, (uint32)seed, 1000);
  pthread_barrier_wait(&barrier);
  pthread_join(holder, NULL);
}

// A call is killed while another one has locked a directory of this commit.  The inode of that is
// then free on the disk, but the other call does not get it as its new one.
static void *kill_one(void *arg) {
  CHECK(log_begin() == 0 && inode_lock(root) == 0);
  inode_update(root);
  log_abandon();
  inode_unlock(root);
  return arg;
}

static void test_killed_beside(uint64 unused) {
  (void)unused;
  pthread_t holder, killed;
  struct inode *dir, *ip = NULL;
  quiet = true;
  image_make(600, 60, 60);
  CHECK(mount() == 0 && pthread_barrier_init(&barrier, NULL, 2) == 0);
  CHECK(pthread_create(&holder, NULL, hold, NULL) == 0);
  pthread_barrier_wait(&barrier);
  CHECK(make("d", T_DIR) == 0 && name_lookup(root, "d", &dir) == 0);
  CHECK(log_begin() == 0 && inode_lock(dir) == 0);
  CHECK(pthread_create(&killed, NULL, kill_one, NULL) == 0);
  pthread_join(killed, NULL);
  CHECK(inode_alloc(T_FILE, 0, 0, &ip) == -EIO);
  inode_unlock(dir);
  CHECK(log_end() == -EIO);
  inode_put(ip);
  inode_put(dir);
  pthread_barrier_wait(&barrier);
  pthread_join(holder, NULL);
}

static void test_durability(void) {
  for (unsigned seed = 0; seed < 20; seed++) {
    RUN(test_sync, seed % 2);
    image_make(600, 60, 60);
    RUN(test_close, seed);
    image_make(600, 60, 60);
    RUN(cut_after_sync, seed);
    CHECK(disk->cut);
    disk_settle(seed);
    RUN(find_mine, seed);
  }
}

// --- Failing disks ---

// From the given step on, two writes or flushes fail: the calls fail, reading goes on, and what is
// on the disk is a state that was committed.
static void test_write_errors(uint64 at) {
  quiet = true;
  CHECK(mount() == 0);
  disk->fail_from = disk->steps + at;
  disk->fail_to = disk->fail_from + 2;
  bool failed = false;
  char name[8];
  for (uint32 i = 0; i < 12; i++) {
    snprintf(name, sizeof(name), "w%u", i % 5);
    failed |= make_file(name, 2500, i) != 2500;
    failed |= name_unlink(root, name) < 0;
  }
  CHECK(failed && log_sync() == -EROFS);
  CHECK(stat_of("/").type == T_DIR && make("x", T_DIR) == -EROFS);
}

static void remount(uint64 unused) {
  (void)unused;
  CHECK(mount() == 0);
  check_image();
  CHECK(make_file("after", 30000, 1) == 30000);
}

static void test_read_errors(uint64 block) {
  quiet = true;
  disk->bad_block = (uint32)block;
  if (mount() == 0)
    for (uint32 i = 0; i < 3; i++) {
      make("dir", T_DIR);
      make_file("dir/file", 20000, 1);
      struct file *f = open_file("old", O_RDWR);
      if (f) {
        while (file_read(f, USER_BASE, 4096) > 0)
          ;
        file_close(&f);
      }
      name_unlink(root, "old");
      name_unlink(root, "dir/file");
    }
}

static void make_old(uint64 unused) {
  (void)unused;
  CHECK(mount() == 0 && make_file("old", 40000, 1) == 40000 && make("d", T_DIR) == 0);
  CHECK(name_link(root, "old", "d/link") == 0 && make_file("d/x", 5000, 1) == 5000);
}

static void test_errors(void) {
  image_make(400, 60, 30);
  disk_save();
  for (uint64 at = 1; at < 60; at++) {
    disk_restore();
    RUN(test_write_errors, at);
    disk->fail_from = disk->fail_to = 0;
    disk_settle((unsigned)at);
    RUN(remount, 0);
  }
  disk_restore();
  RUN(make_old, 0);
  disk_save();
  for (uint64 block = 1; block < 120; block++) {
    disk_restore();
    RUN(test_read_errors, block);
    disk->bad_block = 0;
    RUN(remount, 0);
  }
}

// --- Damaged images ---

static void use_everything(uint64 unused) {
  (void)unused;
  quiet = true;
  if (mount() < 0)
    return;
  static const char *const names[] = {"old", "d", "d/link", "d/x", "d/../old", "new", "d/y", "."};
  for (uint32 round = 0; round < 2; round++)
    for (uint32 i = 0; i < ARRAY_SIZE(names); i++) {
      struct file *f = open_file(names[i], O_RDWR);
      if (!f)
        f = open_file(names[i], O_RDONLY);
      if (f) {
        for (uint32 n = 0; n < 100 && file_read(f, USER_BASE, 4096) > 0; n++)
          ;
        file_write(f, USER_BASE, 30000);
        file_stat(f, USER_BASE);
        file_close(&f);
      }
      make_file(names[i], 15000, i);
      make(names[i], T_DIR);
      name_link(root, names[i], "d/new");
      name_unlink(root, names[(i * 3 + round) % ARRAY_SIZE(names)]);
    }
}

// Hit the metadata: a few bytes, or whole words with telling values.
static void damage(unsigned seed) {
  srand(seed);
  struct superblock *sb = image_super();
  uint32 end = sb->bmapstart + 1;
  static const uint32 values[] = {0, 1, 2, 33, 60, 399, 400, 401, 0x7fffffff, 0x80000000, ~0U, 16};
  for (int n = 1 + rand() % 6; n > 0; n--) {
    uint32 block = 1 + (uint32)rand() % (end + 30);
    if (rand() % 4 == 0)
      block = sb->inodestart < 100 ? sb->inodestart : 1;  // where the inodes in use are
    uint32 limit = block == 1 ? 32 : BLOCK_SIZE;
    if (rand() % 2)
      disk->current[block][(uint32)rand() % limit] = (uint8)rand();
    else
      ((uint32 *)disk->current[block])[(uint32)rand() % (limit / 4)] =
          values[(uint32)rand() % ARRAY_SIZE(values)];
  }
  memcpy(disk->durable, disk->current, disk->blocks * BLOCK_SIZE);
}

static void mount_fails(uint64 unused) {
  (void)unused;
  quiet = true;
  CHECK(mount() < 0);
}

// Every field of the superblock with every bad value: a clean error.
static void test_superblocks(void) {
  static const uint32 bad[][2] = {
      {0, 0x10203041}, {1, 401}, {1, 30}, {1, ~0U}, {2, 500}, {2, ~0U}, {3, 0},   {3, 1},
      {3, 5000},       {3, ~0U}, {4, 0},  {4, 14},  {4, 31},  {4, ~0U}, {5, 0},   {5, 1},
      {5, 3},          {5, ~0U}, {6, 31}, {6, 36},  {6, ~0U}, {7, 35},  {7, 400}, {7, ~0U}};
  for (uint32 i = 0; i < ARRAY_SIZE(bad); i++) {
    disk_restore();
    ((uint32 *)disk->current[1])[bad[i][0]] = bad[i][1];
    RUN(mount_fails, bad[i][0] * 1000 + i);
  }
  static const uint32 headers[][2] = {{30, 40}, {~0U, 40}, {1, 0},   {1, 1},
                                      {1, 2},   {1, 31},   {1, 400}, {1, ~0U}};
  for (uint32 i = 0; i < ARRAY_SIZE(headers); i++) {
    disk_restore();
    memcpy(disk->current[2], headers[i], sizeof(headers[i]));
    RUN(mount_fails, i);
  }
  disk_restore();
  uint64 blocks = disk->blocks;
  disk->blocks = 0;
  RUN(mount_fails, 0);
  disk->blocks = blocks;
  disk_restore();
  image_inode(ROOT_INO)->type = T_FILE;
  RUN(mount_fails, 1);
}

// A log that another kernel has filled is recovered, with fewer buffers than it has blocks, if one
// sector names them all; else it is left alone.
static void test_full_log(uint64 n) {
  quiet = true;
  fake_pages = 1;
  image_make(800, 60, 256);
  struct superblock *sb = image_super();
  uint32 *header = (uint32 *)disk->current[sb->logstart];
  header[0] = (uint32)n;
  for (uint32 i = 0; i < n; i++) {
    header[1 + i] = 799 - i;
    memset(disk->current[sb->logstart + 1 + i], (int)i + 1, BLOCK_SIZE);
  }
  if (n <= LOG_BLOCKS_MAX)
    CHECK(mount() == 0 && buf_count() / 2 < n && disk->current[799 - 126][1023] == 127);
  else
    CHECK(mount() == -EINVAL && disk->steps == 0);
}

// Bad block numbers, and entries that lead to themselves, up, to free inodes and out of the table.
static void test_targets(void) {
  static const uint32 blocks[] = {1, 2, 5, 33, 37, 400, 0x10000, ~0U};
  for (uint32 i = 0; i < ARRAY_SIZE(blocks); i++)
    for (uint32 place = 0; place < 3; place++) {
      disk_restore();
      struct dinode *old = image_inode(2);
      uint32 *indirect = (uint32 *)disk->current[old->addrs[NDIRECT]];
      *(place == 0 ? &indirect[i] : &old->addrs[place == 1 ? i : NDIRECT]) = blocks[i];
      RUN(use_everything, i * 10 + place);
    }
  static const uint16_t inums[] = {ROOT_INO, 2, 3, 9, 59, 60, 61, 65535};
  for (uint32 i = 0; i < ARRAY_SIZE(inums); i++) {
    disk_restore();
    struct dirent *e = (struct dirent *)disk->current[image_inode(3)->addrs[0]];
    e[i % 4].inum = inums[i];
    e[(i + 2) % 4].inum = 3;
    RUN(use_everything, i);
  }
}

static void test_damage(unsigned rounds) {
  image_make(400, 60, 30);
  RUN(make_old, 0);
  disk_save();
  test_superblocks();
  for (unsigned seed = 1; seed <= rounds; seed++) {
    disk_restore();
    damage(seed);
    RUN(use_everything, seed);
  }
  test_targets();
}

// --- Threads ---

static void *busy(void *arg) {
  unsigned seed = (unsigned)(uintptr_t)arg;
  static const char *const names[] = {"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a"};
  for (int i = 0; i < 400; i++) {
    const char *name = names[(uint32)rand_r(&seed) % ARRAY_SIZE(names)];
    const char *other = names[(uint32)rand_r(&seed) % ARRAY_SIZE(names)];
    struct file *f;
    switch (rand_r(&seed) % 6) {
    case 0:
      make(name, T_DIR);
      break;
    case 1:
    case 2:
      if (file_open(root, name, O_CREATE | O_RDWR | (rand_r(&seed) % 2 ? O_TRUNC : 0), &f) == 0) {
        file_write(f, USER_BASE, (uint64)rand_r(&seed) % 20000);
        file_close(&f);
      }
      break;
    case 3:
      name_link(root, name, other);
      break;
    case 4:
      if (file_open(root, name, O_RDONLY, &f) == 0) {
        file_stat(f, USER_BASE + 8192 * ((uintptr_t)arg % 8));
        file_close(&f);
      }
      break;
    default:
      name_unlink(root, name);
    }
  }
  return NULL;
}

static void test_threads(uint64 seed) {
  image_make(1000, 60, 45);
  CHECK(mount() == 0);
  pthread_t threads[6];
  for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
    CHECK(pthread_create(&threads[i], NULL, busy, (void *)(seed * 10 + i)) == 0);
  for (uint32 i = 0; i < ARRAY_SIZE(threads); i++)
    pthread_join(threads[i], NULL);
  check_image();
}

static void *read_own(void *arg) {
  char name[8];
  snprintf(name, sizeof(name), "f%u", (unsigned)(uintptr_t)arg);
  for (int i = 0; i < 10; i++) {
    struct file *f = open_file(name, O_RDONLY);
    CHECK(f && file_read(f, USER_BASE + 20480 * (uintptr_t)arg, 20480) == 20480);
    file_close(&f);
  }
  return NULL;
}

// More threads than there are buffers for two each: they wait for one another's.
static void test_starved(uint64 unused) {
  (void)unused;
  fake_pages = 1;
  image_make(2000, 60, 30);
  CHECK(mount() == 0 && buf_count() == 64);
  pthread_t threads[45];
  char name[8];
  for (uint32 i = 0; i < ARRAY_SIZE(threads); i++) {
    snprintf(name, sizeof(name), "f%u", i);
    CHECK(make_file(name, 20480, i) == 20480);
  }
  disk->slow = true;
  for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
    CHECK(pthread_create(&threads[i], NULL, read_own, (void *)i) == 0);
  for (uint32 i = 0; i < ARRAY_SIZE(threads); i++)
    pthread_join(threads[i], NULL);
  for (uint32 i = 0; i < ARRAY_SIZE(threads); i++)
    for (uint64 k = 0; k < 20480; k++)
      CHECK(user_memory[20480 * i + k] == pattern(k, i));
}

static void *read_indirect(void *arg) {
  char name[8];
  snprintf(name, sizeof(name), "f%u", (unsigned)(uintptr_t)arg);
  for (int i = 0; i < 10; i++) {
    struct file *f = open_file(name, O_RDONLY);
    CHECK(f && file_read(f, USER_BASE, NDIRECT * BLOCK_SIZE) == NDIRECT * BLOCK_SIZE);
    pthread_barrier_wait(&barrier);
    CHECK(file_read(f, USER_BASE, 1) == 1);
    file_close(&f);
  }
  return NULL;
}

// More readers at once, each of an indirect block and of one behind it, than there are buffers.
static void test_readers(uint64 unused) {
  (void)unused;
  fake_pages = 1;
  image_make(2000, 120, 30);
  CHECK(mount() == 0 && buf_count() == 64);
  pthread_t threads[100];
  char name[8];
  CHECK(pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(threads)) == 0);
  for (uint32 i = 0; i < ARRAY_SIZE(threads); i++) {
    snprintf(name, sizeof(name), "f%u", i);
    CHECK(make_file(name, (NDIRECT + 1) * BLOCK_SIZE, i) == (NDIRECT + 1) * BLOCK_SIZE);
  }
  disk->slow = true;
  for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
    CHECK(pthread_create(&threads[i], NULL, read_indirect, (void *)i) == 0);
  for (uint32 i = 0; i < ARRAY_SIZE(threads); i++)
    pthread_join(threads[i], NULL);
}

static void *unlink_loop(void *arg) {
  for (int i = 0; i < 2000; i++) {
    CHECK(name_unlink(root, arg) < 0);
    struct inode *ip;
    if (name_lookup(root, "a/b/a/b/a", &ip) == 0)
      inode_put(ip);
  }
  return NULL;
}

// Two directories that contain each other: no thread waits for ever.
static void test_loop(uint64 unused) {
  (void)unused;
  quiet = true;
  image_make(400, 60, 45);
  CHECK(mount() == 0 && make("a", T_DIR) == 0 && make("a/b", T_DIR) == 0);
  CHECK(make("a/b/a", T_FILE) == 0);
  struct inode *ip;
  CHECK(name_lookup(root, "a/b", &ip) == 0 && inode_lock(ip) == 0);
  struct buf *b;
  CHECK(inode_block(ip, 0, &b) == 0);
  ((struct dirent *)b->data)[2].inum = 2;
  buf_put(b);
  inode_unlock(ip);
  inode_put(ip);
  pthread_t one, other;
  CHECK(pthread_create(&one, NULL, unlink_loop, (void *)(uintptr_t) "a/b") == 0);
  CHECK(pthread_create(&other, NULL, unlink_loop, (void *)(uintptr_t) "a/b/a") == 0);
  pthread_join(one, NULL);
  pthread_join(other, NULL);
}

int main(int argc, char **argv) {
  unsigned scale = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
  history = shared_memory(sizeof(*history));
  RUN(test_files, 0);
  RUN(test_names, 0);
  RUN(test_open, 0);
  RUN(test_addresses, 0);
  RUN(test_full, 0);
  RUN(test_large_directory, 0);
  RUN(test_scattered, 0);
  RUN(test_few_buffers, 0);
  RUN(test_no_memory, 0);
  for (uint64 seed = 1; seed <= 3 * scale; seed++)
    RUN(test_threads, seed);
  RUN(test_starved, 0);
  RUN(test_readers, 0);
  RUN(test_loop, 0);
  RUN(test_full_log, LOG_BLOCKS_MAX);
  RUN(test_full_log, LOG_BLOCKS_MAX + 1);
  test_durability();
  RUN(test_killed, false);
  RUN(test_killed, true);
  RUN(test_killed_at_zeros, 1);
  RUN(test_killed_beside, 0);
  test_errors();
  test_damage(200 * scale);
  test_power_cuts(one_of_each, 30);
  fake_pages = 16384;  // with enough buffers for them
  test_power_cuts(large_commits, 256);
  return 0;
}
