// SPDX-License-Identifier: MIT
//
// The disk: a virtio block device over MMIO.  Virtio 1.2, 5.2.
//
// A request has a slot.  Slot i always has the descriptors 3i (header), 3i+1 (data), 3i+2 (status).
//
// I1. The queue has the legacy layout, which suits modern devices too: descriptors and available
//     ring, then the used ring on a page of its own.
// I2. Ring entries are written before the index that shows them, and the index before the
//     notification.  Used entries are read after the index that shows them.  mmio_fence() orders
//     memory and device.
// I3. A slot belongs to the thread that took it until the device has finished the request, since
//     until then the device may write to it.
#include "kern/dev/disk.h"

#include "kern/dev/irq.h"
#include "kern/dev/mmio.h"
#include "kern/dev/virtio.h"
#include "kern/lib/abi.h"
#include "kern/lib/errno.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "kern/sched/waitq.h"
#include "vm/dma.h"
#include "vm/page.h"
#include "vm/pagetable.h"

#define SLOT_DESCS     3
#define SLOTS          (VIRTIO_QUEUE_SIZE / SLOT_DESCS)
#define WINDOW         8  // requests of one caller that are under way at once
#define RESET_PATIENCE 1000000

// [I] fixed after boot  [d] disk_lock  [v] written by the device
struct slot {
  struct virtio_block_header header;  // [d]
  uint8 status;                       // [v] 0: success
  bool taken;                         // [d]
  bool done;                          // [d]
  struct waitq finished;              // [d] the thread that waits for this request
};

struct queue {
  struct virtio_desc desc[VIRTIO_QUEUE_SIZE];
  struct virtio_avail avail;
  _Alignas(PAGE_SIZE) struct virtio_used used;  // [v]
  struct slot slots[SLOTS];
};
_Static_assert(sizeof(struct queue) == 2 * PAGE_SIZE, "allocated as two pages");

static volatile void *regs;  // [I] null: no disk
static uint64 disk_size;     // [I] in blocks; 0: no disk
static uint64 features;      // [I] agreed upon
static struct spinlock disk_lock = SPINLOCK_INIT("disk");
static struct queue *queue;     // [d]
static uint16 used_seen;        // [d]
static struct waitq slot_free;  // [d]

static void write_address(enum virtio_register reg, pa_t pa) {
  mmio_write(regs, reg, (uint32)pa);
  mmio_write(regs, reg + 4, pa >> 32);
}

static void add_status(uint32 bit) {
  mmio_write(regs, VIRTIO_STATUS, mmio_read(regs, VIRTIO_STATUS) | bit);
}

// Take a free slot.  When there is none, wait for one, or return NULL.  Holds: disk_lock.
static struct slot *slot_take(bool wait) {
  assert(spin_holding(&disk_lock));
  for (;;) {
    for (struct slot *s = queue->slots; s < queue->slots + SLOTS; s++)
      if (!s->taken) {
        s->taken = true;
        return s;
      }
    if (!wait)
      return NULL;
    waitq_sleep_through(&slot_free);
  }
}

// Enter a request, with data unless that is null, for which the device will be notified.
// Holds: disk_lock.
static void request_begin(struct slot *s, enum virtio_block_type type, const struct disk_block *b) {
  assert(spin_holding(&disk_lock));
  uint16 head = (s - queue->slots) * SLOT_DESCS;
  struct virtio_desc *desc = &queue->desc[head];
  s->header.type = type;
  s->header.sector = b->block * (BLOCK_SIZE / VIRTIO_SECTOR);
  s->status = 0xff;
  s->done = false;
  desc[0].next = b->data ? head + 1 : head + 2;
  desc[1].addr = b->data ? dma_map(b->data, BLOCK_SIZE) : 0;
  desc[1].flags = DESC_NEXT | (type == BLOCK_READ ? DESC_DEVICE_WRITE : 0);
  queue->avail.ring[queue->avail.idx % VIRTIO_QUEUE_SIZE] = head;
  mmio_fence();
  *(volatile uint16 *)&queue->avail.idx = queue->avail.idx + 1;
}

// Wait for the request and give its slot back.  Returns 0 or -EIO.  Holds: disk_lock.
static int request_end(struct slot *s) {
  assert(spin_holding(&disk_lock));
  while (!s->done)
    waitq_sleep_through(&s->finished);
  s->taken = false;
  if (!list_empty(&slot_free.waiters))
    waitq_wake_one(&slot_free);
  return s->status == 0 ? 0 : -EIO;
}

// Do n requests, in any order, up to WINDOW at a time.
static int transfer(enum virtio_block_type type, const struct disk_block *list, uint32 n) {
  struct slot *mine[WINDOW], *s;
  int err = 0;
  for (uint32 i = 0; i < n; i++)
    if (list[i].block >= disk_size)
      return -EIO;
  irq_t irq = spin_lock(&disk_lock);
  for (uint32 begun = 0; begun < n && err == 0;) {
    // A thread that holds a slot does not wait for another: two such threads could wait for each
    // other.
    uint32 taken = 0;
    while (taken < WINDOW && begun < n && (s = slot_take(taken == 0))) {
      request_begin(s, type, &list[begun++]);
      mine[taken++] = s;
    }
    mmio_fence();
    mmio_write(regs, VIRTIO_QUEUE_NOTIFY, 0);
    while (taken > 0)  // the last first: when it is done, so are the others in most cases
      if (request_end(mine[--taken]) < 0)
        err = -EIO;
  }
  spin_unlock(&disk_lock, irq);
  return err;
}

static void disk_interrupt(void) {
  irq_t irq = spin_lock(&disk_lock);
  // Acknowledge before reading the ring: a request that finishes later interrupts again.
  mmio_write(regs, VIRTIO_INTERRUPT_ACK, mmio_read(regs, VIRTIO_INTERRUPT_STATUS));
  mmio_fence();
  while (used_seen != *(volatile uint16 *)&queue->used.idx) {
    mmio_fence();
    uint32 id = queue->used.ring[used_seen++ % VIRTIO_QUEUE_SIZE].id;
    struct slot *s = &queue->slots[id / SLOT_DESCS];
    if (id % SLOT_DESCS != 0 || id / SLOT_DESCS >= SLOTS || !s->taken || s->done)
      panic("disk: the device finished request %u, which it does not have", id);
    s->done = true;
    waitq_wake_all(&s->finished);
  }
  spin_unlock(&disk_lock, irq);
}

int disk_read(uint64 block, void *data) {
  return transfer(BLOCK_READ, &(struct disk_block){block, data}, 1);
}

int disk_write_all(const struct disk_block *list, uint32 n) {
  return features & FEATURE_READ_ONLY ? -EROFS : transfer(BLOCK_WRITE, list, n);
}

int disk_write(uint64 block, const void *data) {
  return disk_write_all(&(struct disk_block){block, data}, 1);
}

int disk_flush(void) {
  return features & FEATURE_FLUSH ? transfer(BLOCK_FLUSH, &(struct disk_block){0, NULL}, 1) : 0;
}

uint64 disk_blocks(void) {
  return disk_size;
}

// Agree on features.  Returns NULL, or what went wrong.  Virtio 1.2, 3.1.1.
static const char *negotiate(bool legacy) {
  mmio_write(regs, VIRTIO_STATUS, 0);
  for (uint32 i = 0; mmio_read(regs, VIRTIO_STATUS) != 0; i++)
    if (i == RESET_PATIENCE)
      return "it does not reset";
  add_status(STATUS_ACKNOWLEDGE);
  add_status(STATUS_DRIVER);
  mmio_write(regs, VIRTIO_DEVICE_FEATURES_SEL, 0);
  uint64 offered = mmio_read(regs, VIRTIO_DEVICE_FEATURES);
  mmio_write(regs, VIRTIO_DEVICE_FEATURES_SEL, 1);
  offered |= legacy ? 0 : (uint64)mmio_read(regs, VIRTIO_DEVICE_FEATURES) << 32;
  if (!legacy && !(offered & FEATURE_VERSION_1))
    return "it is modern without VERSION_1";
  features = offered & (FEATURE_READ_ONLY | FEATURE_FLUSH | FEATURE_VERSION_1);
  mmio_write(regs, VIRTIO_DRIVER_FEATURES_SEL, 0);
  mmio_write(regs, VIRTIO_DRIVER_FEATURES, (uint32)features);
  if (legacy)
    return NULL;
  mmio_write(regs, VIRTIO_DRIVER_FEATURES_SEL, 1);
  mmio_write(regs, VIRTIO_DRIVER_FEATURES, features >> 32);
  add_status(STATUS_FEATURES_OK);
  return mmio_read(regs, VIRTIO_STATUS) & STATUS_FEATURES_OK ? NULL : "it refuses the features";
}

// Allocate the queue, and fill in the parts of descriptors that never change.
static bool queue_alloc(void) {
  queue = page_alloc_order(1);
  if (!queue)
    return false;
  memset(queue, 0, sizeof(*queue));
  waitq_init(&slot_free, &disk_lock);
  for (uint32 i = 0; i < SLOTS; i++) {
    struct slot *s = &queue->slots[i];
    struct virtio_desc *desc = &queue->desc[i * SLOT_DESCS];
    waitq_init(&s->finished, &disk_lock);
    desc[0] = (struct virtio_desc){dma_map(&s->header, sizeof(s->header)), sizeof(s->header),
                                   DESC_NEXT, 0};
    desc[1] = (struct virtio_desc){0, BLOCK_SIZE, DESC_NEXT, i * SLOT_DESCS + 2};
    desc[2] = (struct virtio_desc){dma_map(&s->status, 1), 1, DESC_DEVICE_WRITE, 0};
  }
  return true;
}

static const char *queue_init(bool legacy) {
  if (legacy)
    mmio_write(regs, VIRTIO_GUEST_PAGE_SIZE, PAGE_SIZE);
  mmio_write(regs, VIRTIO_QUEUE_SEL, 0);
  if (mmio_read(regs, legacy ? VIRTIO_QUEUE_PFN : VIRTIO_QUEUE_READY) != 0)
    return "its queue is in use";
  if (mmio_read(regs, VIRTIO_QUEUE_NUM_MAX) < VIRTIO_QUEUE_SIZE)
    return "its queue is too short";
  if (!queue_alloc())
    return "there is no memory for its queue";
  mmio_write(regs, VIRTIO_QUEUE_NUM, VIRTIO_QUEUE_SIZE);
  if (legacy) {
    mmio_write(regs, VIRTIO_QUEUE_ALIGN, PAGE_SIZE);
    mmio_write(regs, VIRTIO_QUEUE_PFN, dma_map(queue, sizeof(*queue)) / PAGE_SIZE);
    return NULL;
  }
  write_address(VIRTIO_QUEUE_DESC, dma_map(queue->desc, sizeof(queue->desc)));
  write_address(VIRTIO_QUEUE_DRIVER, dma_map(&queue->avail, sizeof(queue->avail)));
  write_address(VIRTIO_QUEUE_DEVICE, dma_map(&queue->used, sizeof(queue->used)));
  mmio_fence();
  mmio_write(regs, VIRTIO_QUEUE_READY, 1);
  return NULL;
}

// Return the sectors of the disk.  A legacy device's generation reads 0.
static uint64 read_capacity(void) {
  uint32 generation;
  uint64 sectors;
  do {
    generation = mmio_read(regs, VIRTIO_CONFIG_GENERATION);
    sectors = mmio_read(regs, VIRTIO_CONFIG) | (uint64)mmio_read(regs, VIRTIO_CONFIG + 4) << 32;
  } while (generation != mmio_read(regs, VIRTIO_CONFIG_GENERATION));
  return sectors;
}

static int start(const struct virtio_slot *where) {
  uint32 version = mmio_read(regs, VIRTIO_VERSION);
  bool legacy = version == 1;
  const char *why = version == 1 || version == 2 ? negotiate(legacy) : "its version is unknown";
  if (!why)
    why = queue_init(legacy);
  if (why) {
    add_status(STATUS_FAILED);
    kprintf("disk: cannot use the virtio device at 0x%lx: %s\n", where->base, why);
    features = 0;
    return -ENODEV;
  }
  irq_register(where->irq, disk_interrupt);
  add_status(STATUS_DRIVER_OK);
  disk_size = read_capacity() / (BLOCK_SIZE / VIRTIO_SECTOR);
  return 0;
}

int disk_init(void) {
  for (uint32 i = 0; i < machine.virtio_count; i++) {
    const struct virtio_slot *where = &machine.virtio[i];
    regs = device_map(where->base, where->size);
    if (mmio_read(regs, VIRTIO_MAGIC) == VIRTIO_MAGIC_VALUE &&
        mmio_read(regs, VIRTIO_DEVICE_ID) == VIRTIO_DEVICE_BLOCK)
      return start(where);
  }
  return -ENODEV;
}
