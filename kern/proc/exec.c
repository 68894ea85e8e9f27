// SPDX-License-Identifier: MIT
//
// The new program is built in a space of its own while the old one stays whole.  The process
// changes to it only when nothing can fail any more.
#include "kern/proc/exec.h"

#include "kern/fs/inode.h"
#include "kern/fs/name.h"
#include "kern/lib/errno.h"
#include "kern/lib/string.h"
#include "kern/proc/elf.h"
#include "kern/proc/give_back.h"
#include "kern/proc/process.h"
#include "kern/sched/fpu.h"
#include "kern/sched/held.h"
#include "vm/space.h"
#include "vm/usercopy.h"

#define STACK_ALIGN 16  // of sp and of each argument string.  RISC-V psABI 2.1

struct program {
  struct space *space;
  uva_t entry;
  uva_t sp;
};

int exec_args_init(struct exec_args *args) {
  args->used = args->count = 0;
  args->text = held_alloc(HELD_OBJECT, PAGE_SIZE);
  return args->text ? 0 : -ENOMEM;
}

// Count in a string of that length that lies behind the text: terminate and pad it.
static void args_accept(struct exec_args *args, uint64 length) {
  uint64 end = args->used + length;
  args->at[args->count++] = args->used;
  args->used = ROUND_UP(end + 1, STACK_ALIGN);
  memset(args->text + end, 0, args->used - end);
}

int exec_args_add(struct exec_args *args, const char *string, uint64 length) {
  if (args->count == ARGS_MAX || length >= PAGE_SIZE - args->used)
    return -E2BIG;
  memcpy(args->text + args->used, string, length);
  args_accept(args, length);
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

// Put the stack above the segments and the arguments on it: the strings at its top, below them the
// array of their addresses, which sp points to.
static int push_args(struct program *program, const struct exec_args *args) {
  uva_t top;
  int err = space_add_stack(program->space, &top);
  if (err < 0)
    return err;
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
  if (!program->space)
    return -ENOMEM;
  held_push(HELD_SPACE, program->space);
  int err = elf_load(program->space, file, &program->entry);
  return err < 0 ? err : push_args(program, args);
}

// The registers with which a program begins.
static void set_user_frame(struct trap_frame *frame, const struct program *program, int argc) {
  memset(frame, 0, sizeof(*frame));
  frame->sepc = program->entry;
  frame->sstatus =
      (csr_read(sstatus) & ~(uint64)(SSTATUS_SPP | SSTATUS_FS | SSTATUS_SIE)) | SSTATUS_SPIE;
  frame_reg(frame, REG_SP) = program->sp;
  frame_reg(frame, REG_A0) = argc;
  frame_reg(frame, REG_A1) = program->sp;
}

static void rename_process(const char *path) {
  struct thread *t = thread_current();
  const char *name = path;
  for (const char *slash; (slash = strchr(name, '/'));)
    name = slash + 1;
  string_copy(t->process->name, name, NAME_SIZE);
  string_copy(t->name, name, NAME_SIZE);
  kstack_rename(t->kstack, t->name);
}

int process_exec(const char *path, struct exec_args *args) {
  struct program program = {0};
  struct inode *file;
  int err = name_lookup(process_current()->cwd, path, &file);
  if (err == 0)
    err = inode_lock(file);
  if (err < 0)
    return err;
  err = build_program(&program, file, args);
  inode_unlock(file);
  if (err < 0)
    return err;
  rename_process(path);
  process_replace_space(program.space);
  set_user_frame(thread_user_frame(thread_current()), &program, args->count);
  fpu_drop();
  give_back_references();
  user_return();
}
