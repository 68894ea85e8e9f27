// SPDX-License-Identifier: MIT
#include "test/host/fs_stubs.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kern/dev/console.h"
#include "kern/dev/device.h"
#include "kern/dev/disk.h"
#include "kern/lib/atomic.h"
#include "kern/lib/errno.h"
#include "kern/lib/hart.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/spinlock.h"
#include "kern/proc/process.h"
#include "kern/sched/thread.h"
#include "kern/sched/waitq.h"
#include "vm/kmalloc.h"
#include "vm/page.h"
#include "vm/usercopy.h"

struct fake_disk *disk;
void (*disk_on_write)(uint64 block, const uint8 *data);
uint8 user_memory[USER_SIZE];
uva_t user_bad_from = USER_BASE + USER_SIZE;
int64 live_objects;
int64 fail_allocation;
uint64 fake_pages = 2048;
int threads_asleep;
bool quiet;

// --- Threads and locks: one mutex stands for all spin locks ---

static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static _Thread_local int depth;
static _Thread_local struct thread self;

struct thread *thread_current(void) {
  return &self;
}

void watch_wait(struct thread *t, struct sleeplock *l) {
  (void)t, (void)l;
}

void watch_wait_over(struct thread *t) {
  (void)t;
}

void thread_ask_end(void) {
  CHECK(false);  // nobody is doomed here
}

void spin_init(struct spinlock *l, const char *name) {
  memset(l, 0, sizeof(*l));
  l->name = name;
}

irq_t spin_lock(struct spinlock *l) {
  CHECK(!spin_holding(l));
  if (depth++ == 0)
    pthread_mutex_lock(&big);
  store_relaxed(&l->owner, (struct hart *)&self);
  return 0;
}

void spin_unlock(struct spinlock *l, irq_t state) {
  (void)state;
  CHECK(spin_holding(l));
  store_relaxed(&l->owner, NULL);
  if (--depth == 0)
    pthread_mutex_unlock(&big);
}

// Null or not is all that is asked.
struct spinlock *hart_held(void) {
  static struct spinlock some;
  return depth ? &some : NULL;
}

bool spin_holding(const struct spinlock *l) {
  return load_relaxed(&l->owner) == (struct hart *)&self;
}

void waitq_init(struct waitq *q, struct spinlock *lock) {
  *q = (struct waitq)WAITQ_INIT((*q), *lock);
}

void waitq_sleep_through(struct waitq *q) {
  struct spinlock *lock = q->lock;
  CHECK(depth == 1 && spin_holding(lock));
  list_push_back(&q->waiters, &self.wait_node);
  store_relaxed(&lock->owner, NULL);
  depth = 0;
  fetch_add(&threads_asleep, 1);
  while (!list_empty(&self.wait_node))
    pthread_cond_wait(&woken, &big);
  fetch_sub(&threads_asleep, 1);
  depth = 1;
  store_relaxed(&lock->owner, (struct hart *)&self);
}

int waitq_sleep(struct waitq *q) {
  if (self.killed)
    return -EINTR;
  waitq_sleep_through(q);
  return self.killed ? -EINTR : 0;
}

void waitq_wake_one(struct waitq *q) {
  CHECK(spin_holding(q->lock));
  if (list_pop_front(&q->waiters))
    pthread_cond_broadcast(&woken);
}

void waitq_wake_all(struct waitq *q) {
  while (!list_empty(&q->waiters))
    waitq_wake_one(q);
}

// --- Printing and the end ---

void kprintf(const char *fmt, ...) {
  if (quiet)
    return;
  va_list args;
  va_start(args, fmt);
  vfprintf(stderr, fmt, args);
  va_end(args);
}

_Noreturn void panic(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vfprintf(stderr, fmt, args);
  va_end(args);
  fputc('\n', stderr);
  abort();
}

// --- Memory ---

static bool allocation_fails(void) {
  return fail_allocation > 0 && --fail_allocation == 0;
}

void *kmalloc(size_t size) {
  if (allocation_fails())
    return NULL;
  __atomic_fetch_add(&live_objects, 1, __ATOMIC_RELAXED);
  return malloc(size);
}

void *kzalloc(size_t size) {
  void *p = kmalloc(size);
  if (p)
    memset(p, 0, size);
  return p;
}

void kfree(void *p) {
  if (p)
    __atomic_fetch_sub(&live_objects, 1, __ATOMIC_RELAXED);
  free(p);
}

void *page_alloc(void) {
  return allocation_fails() ? NULL : malloc(PAGE_SIZE);
}

uint64 page_total(void) {
  return fake_pages;
}

static uint8 *user_pointer(uva_t va, uint64 n) {
  if (va < USER_BASE || va + n < va || va + n > user_bad_from)
    return NULL;
  return user_memory + (va - USER_BASE);
}

int copy_to_user(uva_t dst, const void *src, uint64 n) {
  CHECK(depth == 0);
  uint8 *p = user_pointer(dst, n);
  if (n == 0)
    return 0;
  if (!p)
    return -EFAULT;
  memcpy(p, src, n);
  return 0;
}

int copy_from_user(void *dst, uva_t src, uint64 n) {
  CHECK(depth == 0);
  uint8 *p = user_pointer(src, n);
  if (n == 0)
    return 0;
  if (!p)
    return -EFAULT;
  memcpy(dst, p, n);
  return 0;
}

// --- What the file system's calls do not hold ---

void console_give_turn(void) {
  CHECK(false);
}

void process_discard(struct process *p) {
  CHECK(!p);
}

void process_free_space(struct space *space) {
  CHECK(!space);
}

// --- Devices ---

static int64 device_read(uva_t dst, uint64 n, uint64 offset) {
  if (offset > 0 || n == 0)
    return 0;
  return copy_to_user(dst, "d", 1) < 0 ? -EFAULT : 1;
}

const struct device *device_find(int major) {
  static const struct device device = {.read = device_read}, none;
  return major == DEV_CONSOLE ? &device : &none;
}

// --- The disk ---

static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;

void *shared_memory(size_t size) {
  void *p =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(p != MAP_FAILED);
  return p;
}

void disk_fresh(uint64 blocks) {
  if (disk)
    munmap(disk, sizeof(*disk));
  disk = shared_memory(sizeof(*disk));
  disk->blocks = blocks;
}

static uint8 *saved;

void disk_save(void) {
  CHECK(disk->npending == 0);
  free(saved);
  saved = malloc(disk->blocks * BLOCK_SIZE);
  memcpy(saved, disk->current, disk->blocks * BLOCK_SIZE);
}

void disk_restore(void) {
  uint64 blocks = disk->blocks;
  memset(disk, 0, offsetof(struct fake_disk, durable));
  disk->blocks = blocks;
  memcpy(disk->current, saved, blocks * BLOCK_SIZE);
  memcpy(disk->durable, saved, blocks * BLOCK_SIZE);
}

_Noreturn void on_power_cut(void) {
  disk->cut = true;
  _exit(0);
}

void disk_settle(unsigned seed) {
  srand(seed);
  unsigned halves = seed;
  for (uint32 i = disk->npending; i-- > 0; halves = (unsigned)rand() >> 4)
    for (uint32 at = 0; at < BLOCK_SIZE; at += SECTOR_SIZE, halves >>= 1)
      if (halves & 1)
        memcpy(disk->durable[disk->pending[i]] + at, disk->current[disk->pending[i]] + at,
               SECTOR_SIZE);
  for (uint32 i = 0; i < disk->npending; i++)
    memcpy(disk->current[disk->pending[i]], disk->durable[disk->pending[i]], BLOCK_SIZE);
  disk->npending = 0;
  disk->cut = false;
  disk->cut_at = 0;
}

uint64 disk_blocks(void) {
  return disk->blocks;
}

int disk_read(uint64 block, void *data) {
  CHECK(depth == 0 && block < disk->blocks);
  if (block == disk->bad_block)
    return -EIO;
  if (disk->slow)
    usleep(200);
  pthread_mutex_lock(&disk_lock);
  memcpy(data, disk->current[block], BLOCK_SIZE);
  pthread_mutex_unlock(&disk_lock);
  return 0;
}

// Count a step.  Returns whether it fails.
static bool step_fails(void) {
  disk->steps++;
  if (disk->cut_at && disk->steps >= disk->cut_at)
    on_power_cut();
  return disk->steps >= disk->fail_from && disk->steps < disk->fail_to;
}

int disk_write(uint64 block, const void *data) {
  CHECK(depth == 0 && block > 1 && block < disk->blocks);
  pthread_mutex_lock(&disk_lock);
  bool fails = step_fails();
  if (!fails) {
    memcpy(disk->current[block], data, BLOCK_SIZE);
    CHECK(disk->npending < PENDING_MAX);
    disk->pending[disk->npending++] = (uint32)block;
    if (disk_on_write)
      disk_on_write(block, data);
  }
  pthread_mutex_unlock(&disk_lock);
  return fails ? -EIO : 0;
}

int disk_write_all(const struct disk_block *list, uint32 n) {
  int err = 0;
  for (uint32 i = 0; i < n && err == 0; i++)
    err = disk_write(list[i].block, list[i].data);
  return err;
}

int disk_flush(void) {
  CHECK(depth == 0);
  pthread_mutex_lock(&disk_lock);
  bool fails = step_fails();
  for (uint32 i = 0; i < disk->npending && !fails; i++)
    memcpy(disk->durable[disk->pending[i]], disk->current[disk->pending[i]], BLOCK_SIZE);
  if (!fails)
    disk->npending = 0;
  pthread_mutex_unlock(&disk_lock);
  return fails ? -EIO : 0;
}
