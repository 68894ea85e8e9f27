// SPDX-License-Identifier: MIT
//
// Virtio over MMIO, and the block device.  Virtio 1.2: 4.2.2 (registers), 4.2.4 (legacy), 2.7
// (split queue), 5.2 (block).
#pragma once

#include "kern/lib/types.h"

enum virtio_register {
  VIRTIO_MAGIC = 0x000,
  VIRTIO_VERSION = 0x004,  // 1 legacy, 2 modern
  VIRTIO_DEVICE_ID = 0x008,
  VIRTIO_DEVICE_FEATURES = 0x010,
  VIRTIO_DEVICE_FEATURES_SEL = 0x014,
  VIRTIO_DRIVER_FEATURES = 0x020,
  VIRTIO_DRIVER_FEATURES_SEL = 0x024,
  VIRTIO_GUEST_PAGE_SIZE = 0x028,  // legacy
  VIRTIO_QUEUE_SEL = 0x030,
  VIRTIO_QUEUE_NUM_MAX = 0x034,
  VIRTIO_QUEUE_NUM = 0x038,
  VIRTIO_QUEUE_ALIGN = 0x03c,  // legacy
  VIRTIO_QUEUE_PFN = 0x040,    // legacy
  VIRTIO_QUEUE_READY = 0x044,
  VIRTIO_QUEUE_NOTIFY = 0x050,
  VIRTIO_INTERRUPT_STATUS = 0x060,
  VIRTIO_INTERRUPT_ACK = 0x064,
  VIRTIO_STATUS = 0x070,
  VIRTIO_QUEUE_DESC = 0x080,    // low word; the high word follows
  VIRTIO_QUEUE_DRIVER = 0x090,  // available ring, also two words
  VIRTIO_QUEUE_DEVICE = 0x0a0,  // used ring, also two words
  VIRTIO_CONFIG_GENERATION = 0x0fc,
  VIRTIO_CONFIG = 0x100,  // of a block device: capacity in sectors, 64 bits
};

#define VIRTIO_MAGIC_VALUE  0x74726976
#define VIRTIO_DEVICE_BLOCK 2
#define VIRTIO_SECTOR       512

enum virtio_status {
  STATUS_ACKNOWLEDGE = 1,
  STATUS_DRIVER = 2,
  STATUS_DRIVER_OK = 4,
  STATUS_FEATURES_OK = 8,
  STATUS_FAILED = 128,
};

#define FEATURE_READ_ONLY (1UL << 5)
#define FEATURE_FLUSH     (1UL << 9)
#define FEATURE_VERSION_1 (1UL << 32)

#define VIRTIO_QUEUE_SIZE 64  // descriptors that we use; a power of two

#define DESC_NEXT         1  // goes on in next
#define DESC_DEVICE_WRITE 2  // the device writes this buffer

struct virtio_desc {
  uint64 addr;
  uint32 len;
  uint16 flags;
  uint16 next;
};

struct virtio_avail {
  uint16 flags;
  uint16 idx;
  uint16 ring[VIRTIO_QUEUE_SIZE];
};

struct virtio_used_elem {
  uint32 id;
  uint32 len;
};

struct virtio_used {
  uint16 flags;
  uint16 idx;
  struct virtio_used_elem ring[VIRTIO_QUEUE_SIZE];
};

enum virtio_block_type { BLOCK_READ = 0, BLOCK_WRITE = 1, BLOCK_FLUSH = 4 };

struct virtio_block_header {
  uint32 type;
  uint32 reserved;
  uint64 sector;
};
