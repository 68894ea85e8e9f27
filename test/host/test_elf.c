// SPDX-License-Identifier: MIT
//
// Loading executables: a sound one byte for byte, each rule broken once, and thousands of damaged
// headers, into a fake space that knows which bytes it handed out.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kern/fs/inode.h"
#include "kern/lib/errno.h"
#include "kern/lib/panic.h"
#include "kern/proc/elf.h"
#include "test/host/check.h"
#include "vm/space.h"

// --- The file, and the space: at most PAGES_MAX pages, each an allocation of its own ---

#define FILE_SIZE 12000
#define PAGES_MAX 16

static uint8 file[FILE_SIZE];
static uint64 file_size;
static int64 read_error;
static struct inode inode;  // the file's; its lock is held

struct page_at {
  uva_t va;
  enum prot prot;
  uint8 *bytes;
};
static struct page_at pages[PAGES_MAX];
static uint32 page_count;

struct thread *thread_current(void) {
  return NULL;  // the owner of the lock
}

_Noreturn void panic(const char *fmt, ...) {
  fprintf(stderr, "panic: %s\n", fmt);
  abort();
}

int64 inode_read(struct inode *ip, void *dst, uint64 off, uint64 n) {
  (void)ip;
  if (read_error)
    return read_error;
  if (off >= file_size)
    return 0;
  n = n < file_size - off ? n : file_size - off;
  memcpy(dst, file + off, n);
  return (int64)n;
}

void *space_pointer(struct space *s, uva_t va) {
  (void)s;
  for (uint32 i = 0; i < page_count; i++)
    if (pages[i].va == va - va % PAGE_SIZE)
      return pages[i].bytes + va % PAGE_SIZE;
  return NULL;
}

int space_add(struct space *s, uva_t va, uint64 size, enum prot prot) {
  CHECK(va % PAGE_SIZE == 0 && size > 0 && va < USER_END && size <= USER_END - va);
  CHECK(prot >= PROT_USER_R && prot < PROT_USER_NONE);
  uint64 n = (size + PAGE_SIZE - 1) / PAGE_SIZE;
  if (n > PAGES_MAX - page_count)
    return -ENOMEM;
  for (uint64 i = 0; i < n; i++)
    if (space_pointer(s, va + i * PAGE_SIZE))
      return -EINVAL;
  for (uint64 i = 0; i < n; i++)
    pages[page_count++] = (struct page_at){va + i * PAGE_SIZE, prot, calloc(1, PAGE_SIZE)};
  return 0;
}

uint64 space_pages(const struct space *s) {
  (void)s;
  return page_count;
}

static void drop_pages(void) {
  while (page_count > 0)
    free(pages[--page_count].bytes);
}

// --- A sound file: text of two pages, then data with zeros behind it ---

static struct elf_header header;
static struct elf_segment segments[2];

static void sound_file(void) {
  for (uint32 i = 0; i < FILE_SIZE; i++)
    file[i] = (uint8)(i * 31 + i / 256);
  file_size = FILE_SIZE;
  read_error = 0;
  header = (struct elf_header){.magic = {'\177', 'E', 'L', 'F'},
                               .class = ELF_CLASS_64,
                               .data = ELF_DATA_LITTLE,
                               .ident_version = ELF_VERSION,
                               .type = ELF_EXEC,
                               .machine = ELF_RISCV,
                               .version = ELF_VERSION,
                               .entry = 0x1004,
                               .phoff = sizeof(header),
                               .phentsize = sizeof(segments[0]),
                               .phnum = 2};
  segments[0] = (struct elf_segment){.type = ELF_LOAD,
                                     .flags = ELF_R | ELF_X,
                                     .offset = 1000,
                                     .vaddr = 0x1000,
                                     .filesz = 5000,
                                     .memsz = 5000};
  segments[1] = (struct elf_segment){.type = ELF_LOAD,
                                     .flags = ELF_R | ELF_W,
                                     .offset = 7000,
                                     .vaddr = 0x4000,
                                     .filesz = 5000,
                                     .memsz = 9000};
}

static int load(uva_t *entry) {
  memcpy(file, &header, sizeof(header));
  memcpy(file + sizeof(header), segments, sizeof(segments));
  drop_pages();
  return elf_load(NULL, &inode, entry);
}

static void check_segment(const struct elf_segment *s, enum prot prot) {
  for (uint64 i = 0; i < s->memsz; i++)
    CHECK(*(uint8 *)space_pointer(NULL, s->vaddr + i) == (i < s->filesz ? file[s->offset + i] : 0));
  for (uint32 i = 0; i < page_count; i++)
    CHECK(pages[i].va < s->vaddr || pages[i].va >= s->vaddr + s->memsz || pages[i].prot == prot);
}

static void test_sound(void) {
  uva_t entry = 0;
  sound_file();
  CHECK(load(&entry) == 0 && entry == 0x1004 && page_count == 5);
  check_segment(&segments[0], PROT_USER_RX);
  check_segment(&segments[1], PROT_USER_RW);
  segments[1].type = 4;  // a note is not loaded
  CHECK(load(&entry) == 0 && page_count == 2);
}

static void test_rights(void) {
  static const enum prot prots[] = {PROT_USER_NONE, PROT_USER_X,  PROT_USER_RW, PROT_USER_RWX,
                                    PROT_USER_R,    PROT_USER_RX, PROT_USER_RW, PROT_USER_RWX};
  uva_t entry;
  for (uint32 flags = 0; flags < 8; flags++) {
    sound_file();
    segments[0].flags = flags | 0x100;  // bits of the system's own mean nothing here
    CHECK(load(&entry) == (flags ? 0 : -ENOEXEC));
    if (flags)
      check_segment(&segments[0], prots[flags]);
  }
}

// --- One rule broken at a time ---

#define REFUSED(change)                                                                            \
  do {                                                                                             \
    uva_t entry_ = 77;                                                                             \
    sound_file();                                                                                  \
    change;                                                                                        \
    int r_ = load(&entry_);                                                                        \
    if (r_ >= 0 || entry_ != 77)                                                                   \
      fprintf(stderr, "%s: %d\n", #change, r_);                                                    \
    CHECK(r_ < 0 && entry_ == 77);                                                                 \
  } while (0)

static void test_headers(void) {
  REFUSED(header.magic[3] = 'f');
  REFUSED(header.class = 1);
  REFUSED(header.data = 2);
  REFUSED(header.ident_version = 0);
  REFUSED(header.type = 3);
  REFUSED(header.machine = 62);
  REFUSED(header.version = 2);
  REFUSED(header.phentsize = 55);
  REFUSED(header.phnum = 0);
  REFUSED(header.phnum = 65);
  REFUSED(header.phnum = 0xffff);
  REFUSED(header.entry = USER_END);
  REFUSED(header.entry = 0x1001);
  REFUSED(header.phoff = FILE_SIZE - 57);
  REFUSED(header.phoff = UINT32_MAX);
  REFUSED(header.phoff = UINT64_MAX - sizeof(segments[0]) + 1);
  REFUSED(file_size = 0);
  REFUSED(file_size = sizeof(header) - 1);
  REFUSED(file_size = sizeof(header) + sizeof(segments) - 1);
  REFUSED(read_error = -EIO);
}

static void test_segments(void) {
  REFUSED(segments[0].vaddr = 0x1001);
  REFUSED(segments[0].filesz = 5001);
  REFUSED(segments[0].memsz = UINT64_MAX);
  REFUSED(segments[0].memsz = UINT64_MAX - 0xfff);
  REFUSED(segments[0].vaddr = USER_END);
  REFUSED(segments[0].vaddr = USER_END - 0x1000);
  REFUSED(segments[0].vaddr = UINT64_MAX - 0xfff);
  REFUSED(segments[0].offset = UINT64_MAX);
  REFUSED(segments[0].offset = UINT64_MAX - 4095);
  REFUSED(segments[0].offset = UINT32_MAX - 4095);
  REFUSED(segments[1].offset = FILE_SIZE - 4999);
  REFUSED(segments[1].vaddr = 0x2000);
  REFUSED(segments[1].vaddr = 0x1000);
  REFUSED((segments[0].filesz = 1UL << 37, segments[0].memsz = 1UL << 37));
}

// Whatever the bytes say, elf_load asks for nothing that space_add above would not stand, and
// writes nowhere but into the pages.
static void test_damage(void) {
  static const uint64 values[] = {0,
                                  1,
                                  4095,
                                  4096,
                                  0x1000,
                                  5000,
                                  FILE_SIZE,
                                  UINT32_MAX,
                                  UINT64_MAX,
                                  USER_END,
                                  1UL << 63,
                                  USER_END - 4096,
                                  UINT64_MAX - 4095,
                                  INT64_MAX};
  uint32 loaded = 0;
  uva_t entry;
  srand(1);
  for (uint32 round = 0; round < 200000; round++) {
    sound_file();
    for (int i = rand() % 3; i >= 0; i--) {
      uint64 value = rand() % 2 ? values[(uint32)rand() % (sizeof(values) / 8)] : (uint64)rand();
      uint8 *bytes = rand() % 4 ? (uint8 *)segments : (uint8 *)&header;
      uint32 size = bytes == (uint8 *)&header ? sizeof(header) : sizeof(segments);
      memcpy(bytes + (uint32)rand() % (size / 8) * 8, &value, rand() % 2 ? 8 : 4);
    }
    if (rand() % 8 == 0)
      file_size = (uint32)rand() % FILE_SIZE;
    loaded += load(&entry) == 0;
  }
  CHECK(loaded > 1000 && loaded < 150000);
}

int main(void) {
  test_sound();
  test_rights();
  test_headers();
  test_segments();
  test_damage();
  drop_pages();
  return 0;
}
