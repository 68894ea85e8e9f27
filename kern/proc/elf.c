// SPDX-License-Identifier: MIT
//
// From an executable file to the contents of a space.
//
// I1. No field of the file is trusted: each is checked before it is used.  An offset may be
//     anything, since inode_read returns 0 beyond the end of the file.
// I2. Every byte of a segment comes from the file or is zero.
#include "kern/proc/elf.h"

#include "kern/fs/inode.h"
#include "kern/lib/errno.h"
#include "kern/lib/panic.h"
#include "kern/lib/string.h"
#include "vm/layout.h"
#include "vm/space.h"

#define SEGMENTS_MAX  64  // program headers of a file; with more it is not valid
#define SEGMENTS_READ 3   // of them, at once; our linker makes as many

// Read exactly n bytes of the file at offset.  A shorter file is no executable.
static int read_exactly(struct inode *file, void *dst, uint64 offset, uint64 n) {
  int64 got = inode_read(file, dst, offset, n);
  if (got < 0)
    return got;
  return (uint64)got == n ? 0 : -ENOEXEC;
}

static bool header_ok(const struct elf_header *h) {
  return memcmp(h->magic, ELF_MAGIC, sizeof(h->magic)) == 0 && h->class == ELF_CLASS_64 &&
         h->data == ELF_DATA_LITTLE && h->ident_version == ELF_VERSION && h->type == ELF_EXEC &&
         h->machine == ELF_RISCV && h->version == ELF_VERSION &&
         h->phentsize == sizeof(struct elf_segment) && h->phnum <= SEGMENTS_MAX &&
         h->entry < USER_END && h->entry % 2 == 0;  // sepc has no bit 0
}

static bool segment_ok(const struct elf_segment *s) {
  return s->vaddr % PAGE_SIZE == 0 && s->filesz <= s->memsz && s->vaddr < USER_END &&
         s->memsz <= USER_END - s->vaddr && (s->flags & (ELF_R | ELF_W | ELF_X)) != 0;
}

// No W without R.  RISC-V privileged 4.3.1
static const enum prot segment_prots[] = {[ELF_X] = PROT_USER_X,
                                          [ELF_W] = PROT_USER_RW,
                                          [ELF_W | ELF_X] = PROT_USER_RWX,
                                          [ELF_R] = PROT_USER_R,
                                          [ELF_R | ELF_X] = PROT_USER_RX,
                                          [ELF_R | ELF_W] = PROT_USER_RW,
                                          [ELF_R | ELF_W | ELF_X] = PROT_USER_RWX};

static int load_segment(struct space *space, struct inode *file, const struct elf_segment *s) {
  if (!segment_ok(s))
    return -ENOEXEC;
  if (s->memsz == 0)
    return 0;
  int err = space_add(space, s->vaddr, s->memsz, segment_prots[s->flags & (ELF_R | ELF_W | ELF_X)]);
  for (uint64 done = 0; err == 0 && done < s->filesz; done += PAGE_SIZE) {
    uint64 n = s->filesz - done < PAGE_SIZE ? s->filesz - done : PAGE_SIZE;
    err = read_exactly(file, space_pointer(space, s->vaddr + done), s->offset + done, n);
  }
  return err;
}

int elf_load(struct space *space, struct inode *file, uva_t *entry) {
  assert(sleep_holding(&file->lock));
  struct elf_header header;
  struct elf_segment segments[SEGMENTS_READ];
  int err = read_exactly(file, &header, 0, sizeof(header));
  if (err == 0 && !header_ok(&header))
    err = -ENOEXEC;
  for (uint32 i = 0; err == 0 && i < header.phnum; i++) {
    struct elf_segment *s = &segments[i % SEGMENTS_READ];
    uint64 n = header.phnum - i < SEGMENTS_READ ? header.phnum - i : SEGMENTS_READ;
    if (s == segments)
      err = read_exactly(file, s, header.phoff + i * sizeof(*s), n * sizeof(*s));
    if (err == 0 && s->type == ELF_LOAD)
      err = load_segment(space, file, s);
  }
  if (err == 0 && space_pages(space) == 0)
    err = -ENOEXEC;
  if (err == 0)
    *entry = header.entry;
  return err;
}
