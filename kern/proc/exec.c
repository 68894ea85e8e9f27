// SPDX-License-Identifier: MIT
//
// Executables: from a file to a running program.
//
// The new program is built in a space of its own while the old one stays whole; only when nothing
// can fail any more does the process change over.
// I1. Nothing in the file is believed: each field is checked before it is used, sums cannot wrap.
// I2. Every byte of the new space comes from the file, the arguments, or is zero.
#include "kern/proc/exec.h"

#include "kern/fs/inode.h"
#include "kern/fs/name.h"
#include "kern/lib/errno.h"
#include "kern/lib/string.h"
#include "kern/proc/elf.h"
#include "kern/proc/process.h"
#include "vm/page.h"
#include "vm/space.h"
#include "vm/usercopy.h"

#define SEGMENTS_MAX 64  // program headers that are looked at
#define STACK_ALIGN  16  // of sp and of each argument string.  RISC-V psABI 2.1

struct program {
  struct space *space;
  uva_t entry;
  uva_t sp;
};

int exec_args_init(struct exec_args *args) {
  args->used = 0;
  args->count = 0;
  args->text = page_alloc();
  return args->text != NULL ? 0 : -ENOMEM;
}

void exec_args_free(struct exec_args *args) {
  page_put(args->text);
}

// The string of that length now lies at the end of the text.
static void args_accept(struct exec_args *args, uint64 length) {
  uint64 end = args->used + length + 1;
  args->at[args->count++] = args->used;
  args->used = ROUND_UP(end, STACK_ALIGN);
  memset(args->text + end, 0, args->used - end);
}

int exec_args_add(struct exec_args *args, const char *string) {
  uint64 room = PAGE_SIZE - args->used;
  if (args->count == ARGS_MAX || room == 0 || !string_copy(args->text + args->used, string, room))
    return -E2BIG;
  args_accept(args, strlen(string));
  return 0;
}

int exec_args_add_user(struct exec_args *args, uva_t string) {
  uint64 room = PAGE_SIZE - args->used;
  if (args->count == ARGS_MAX || room == 0)
    return -E2BIG;
  int64 length = copy_string_from_user(args->text + args->used, string, room);
  if (length < 0)
    return length == -ENAMETOOLONG ? -E2BIG : length;
  args_accept(args, length);
  return 0;
}

// Read exactly n bytes of the file at offset.  A file too short is no executable.
static int read_exactly(struct inode *file, void *dst, uint64 offset, uint64 n) {
  if (offset > UINT32_MAX || n > UINT32_MAX - offset)
    return -ENOEXEC;
  int64 r = inode_read(file, dst, offset, n);
  if (r < 0)
    return r;
  return (uint64)r == n ? 0 : -ENOEXEC;
}

static bool header_ok(const struct elf_header *h) {
  return memcmp(h->magic, ELF_MAGIC, sizeof(h->magic)) == 0 && h->class == ELF_CLASS_64 &&
         h->data == ELF_DATA_LITTLE && h->ident_version == ELF_VERSION && h->type == ELF_EXEC &&
         h->machine == ELF_RISCV && h->version == ELF_VERSION &&
         h->phentsize == sizeof(struct elf_segment) && h->phnum <= SEGMENTS_MAX &&
         h->phoff <= UINT32_MAX && h->entry < USER_END;
}

static bool segment_ok(const struct elf_segment *s) {
  return s->vaddr % PAGE_SIZE == 0 && s->filesz <= s->memsz && s->vaddr < USER_END &&
         s->memsz <= USER_END - s->vaddr && (s->flags & (ELF_R | ELF_W | ELF_X)) != 0;
}

static enum prot segment_prot(uint32 flags) {
  static const enum prot prots[] = {
      [ELF_X] = PROT_USER_X,
      [ELF_W] = PROT_USER_RW,  // no W without R.  RISC-V privileged 4.3.1
      [ELF_W | ELF_X] = PROT_USER_RWX,
      [ELF_R] = PROT_USER_R,
      [ELF_R | ELF_X] = PROT_USER_RX,
      [ELF_R | ELF_W] = PROT_USER_RW,
      [ELF_R | ELF_W | ELF_X] = PROT_USER_RWX,
  };
  return prots[flags & (ELF_R | ELF_W | ELF_X)];
}

static int load_segment(struct space *space, struct inode *file, const struct elf_segment *s) {
  if (!segment_ok(s))
    return -ENOEXEC;
  if (s->memsz == 0)
    return 0;
  int r = space_add(space, s->vaddr, s->memsz, segment_prot(s->flags));
  for (uint64 done = 0; r == 0 && done < s->filesz; done += PAGE_SIZE) {
    uint64 n = s->filesz - done < PAGE_SIZE ? s->filesz - done : PAGE_SIZE;
    r = read_exactly(file, space_pointer(space, s->vaddr + done), s->offset + done, n);
  }
  return r;
}

// Load every segment of the file into the program's empty space.  Holds: the inode's lock.
static int load_file(struct program *program, struct inode *file) {
  struct elf_header header;
  int r = read_exactly(file, &header, 0, sizeof(header));
  if (r == 0 && !header_ok(&header))
    r = -ENOEXEC;
  for (uint32 i = 0; r == 0 && i < header.phnum; i++) {
    struct elf_segment segment;
    r = read_exactly(file, &segment, header.phoff + i * sizeof(segment), sizeof(segment));
    if (r == 0 && segment.type == ELF_LOAD)
      r = load_segment(program->space, file, &segment);
  }
  if (r == 0 && space_pages(program->space) == 0)
    r = -ENOEXEC;
  program->entry = header.entry;
  return r;
}

// Put the stack above the segments and the arguments on it: the strings at its top, below them the
// array of their addresses, which sp points to.
static int push_args(struct program *program, const struct exec_args *args) {
  uva_t top;
  int r = space_add_stack(program->space, &top);
  if (r < 0)
    return r;
  uint64 array_size = ROUND_UP((args->count + 1) * sizeof(uva_t), STACK_ALIGN);
  if (args->used + array_size > PAGE_SIZE)
    return -E2BIG;
  uva_t strings = top - args->used;
  program->sp = strings - array_size;
  char *page = space_pointer(program->space, top - PAGE_SIZE);
  memcpy(page + PAGE_SIZE - args->used, args->text, args->used);
  uva_t *array = (uva_t *)(page + PAGE_SIZE - args->used - array_size);
  for (int i = 0; i < args->count; i++)
    array[i] = strings + args->at[i];
  array[args->count] = 0;
  return 0;
}

static int build_program(struct program *program, struct inode *file,
                         const struct exec_args *args) {
  program->space = space_create();
  if (program->space == NULL)
    return -ENOMEM;
  int r = load_file(program, file);
  if (r == 0)
    r = push_args(program, args);
  if (r < 0)
    space_destroy(program->space);
  return r;
}

// The registers with which a program begins.
static void set_user_frame(struct trap_frame *frame, const struct program *program) {
  memset(frame, 0, sizeof(*frame));
  frame->sepc = program->entry;
  frame->sstatus =
      (csr_read(sstatus) & ~(uint64)(SSTATUS_SPP | SSTATUS_FS | SSTATUS_SIE)) | SSTATUS_SPIE;
  frame_reg(frame, REG_SP) = program->sp;
  frame_reg(frame, REG_A1) = program->sp;
}

static void rename_process(const char *path) {
  struct thread *t = thread_current();
  const char *name = path;
  for (const char *p = path; *p != '\0'; p++)
    if (*p == '/')
      name = p + 1;
  string_copy(t->process->name, name, NAME_SIZE);
  string_copy(t->name, name, NAME_SIZE);
  kstack_rename(t->stack_area, t->name);
}

int process_exec(const char *path, const struct exec_args *args) {
  struct program program = {0};
  struct inode *file;
  int r = name_lookup(process_current()->cwd, path, &file);
  if (r < 0)
    return r;
  r = inode_lock(file);
  if (r == 0) {
    r = build_program(&program, file, args);
    inode_unlock(file);
  }
  inode_put(file);
  if (r < 0)
    return r;
  rename_process(path);
  fpu_drop();
  process_replace_space(program.space);
  set_user_frame(thread_user_frame(thread_current()), &program);
  asm volatile("fence.i" : : : "memory");
  return args->count;
}
