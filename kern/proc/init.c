// SPDX-License-Identifier: MIT
//
// The first process: the one that the kernel makes itself.  It mounts the root file system and
// becomes /init.  What follows "--" in the boot arguments are its arguments, so that the same disk
// image can boot to a shell or straight into one program.
#include "kern/fs/file.h"
#include "kern/fs/fs.h"
#include "kern/fs/inode.h"
#include "kern/fs/name.h"
#include "kern/lib/machine.h"
#include "kern/lib/power.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"
#include "kern/proc/exec.h"
#include "kern/proc/give_back.h"
#include "kern/proc/pid.h"
#include "kern/proc/process.h"

#define INIT_PATH "/init"

static int collect_args(struct exec_args *args) {
  size_t length;
  const char *rest = bootarg_rest(), *word;
  int err = exec_args_add(args, INIT_PATH, strlen(INIT_PATH));
  while (err == 0 && (word = next_word(&rest, &length)))
    err = exec_args_add(args, word, length);
  return err;
}

static _Noreturn void give_up(const char *what, const char *why, int err) {
  kprintf("%s: %s (error %d)\n", what, why, err);
  power_off(1);
}

// Make /console, for init to open.  Where that fails (no inode may be left), give the process the
// console under no name, as descriptors 0 to 2.
static void provide_console(struct process *p) {
  struct file *f;
  name_create(p->cwd, "/console", T_DEVICE, DEV_CONSOLE, 0, NULL);  // it may exist already
  if (file_open(p->cwd, "/console", O_RDWR, &f) == 0) {
    file_close(&f);
    return;
  }
  give_back_references();  // of the calls that have failed (kern/sched/held.h, I4)
  kprintf("cannot make or open /console (is the disk full?); " INIT_PATH " goes on without it\n");
  for (int fd = 0; fd < 3; fd++)
    file_console(&p->files[fd]);
}

static void init_start(void *arg) {
  (void)arg;
  const char *why = "unknown reason";
  int err = fs_mount(&why);
  if (err < 0)
    give_up("cannot mount the root file system", why, -err);
  inode_dup(fs.root, &process_current()->cwd);
  provide_console(process_current());
  struct exec_args args;
  err = exec_args_init(&args);
  if (err == 0)
    err = collect_args(&args);
  if (err < 0)
    give_up("cannot start " INIT_PATH, "the words after -- in the boot arguments are too long",
            -err);
  err = process_exec(INIT_PATH, &args);
  give_up("cannot start " INIT_PATH, "it is not on the disk, or not a valid program", -err);
}

void process_init(void) {
  pid_init();
  struct process *p = process_create("init", init_start);
  if (!p)
    panic("no memory for the first process");
  process_publish(p, NULL);
}
