// SPDX-License-Identifier: MIT
//
// neighbour: what the overflow of one process does to the memory of another.
//
// Children wait in the kernel, and the two whose stacks are nearest to each other are chosen.  All
// but the upper one are killed.  This process takes all memory there is, which includes what was
// the lower stack, and writes a known value to every word.  Then the upper child recurses in the
// kernel, deeper than its stack.  The program does not know how the kernel was built: it tells what
// became of the child and of the memory.  The last line is for machines:
//
//   neighbour: pid=P child=C distance=D status=S changed=N
//
// D bytes lie between the two stacks; S is the child's exit status, -1 when it was killed; N words
// of memory have changed.

#include "user/user.h"
#include "vm/layout.h"

enum { CHILDREN = 12, STACKS = 64, SHOWN = 4 };

// 45 frames of recurse(), which has a local array of 512 bytes, take one and a half stacks.
static const char overflow[] = "EXHAUST_STACK 45";

static int children[CHILDREN];
static struct stack_info stacks[STACKS];

// Wait for a byte, then overflow.
static _Noreturn void child(int crash, int go) {
  char c;
  if (read(go, &c, 1) != 1)
    exit(2);
  exit(write(crash, overflow, sizeof(overflow) - 1) == sizeof(overflow) - 1 ? 0 : 3);
}

static bool is_child(int pid) {
  for (int i = 0; i < CHILDREN; i++)
    if (children[i] == pid)
      return true;
  return false;
}

// Find two children's stacks with as little as possible between them.  Returns the distance.
static uint64 find_neighbours(struct stack_info **lower, struct stack_info **upper) {
  uint64 least = ~0UL;
  int n = stackinfo(stacks, STACKS);
  for (int i = 0; i < n && i < STACKS; i++)
    for (int k = 0; k < n && k < STACKS; k++) {
      struct stack_info *a = &stacks[i], *b = &stacks[k];
      if (is_child(a->pid) && is_child(b->pid) && b->lo >= a->hi && b->lo - a->hi < least) {
        *lower = a;
        *upper = b;
        least = b->lo - a->hi;
      }
    }
  return least;
}

// Take all memory, from start on, and write to each word its own address.  Returns the end.
static uint64 *take_memory(uint64 *start) {
  uint64 *end = start + sbrk_all() / sizeof(*start);
  for (uint64 *p = start; p < end; p++)
    *p = (uint64)p;
  return end;
}

// Return how many words have changed, and show some.
static int count_changed(const uint64 *start, const uint64 *end) {
  int changed = 0;
  for (const uint64 *p = start; p < end; p++)
    if (*p != (uint64)p && ++changed <= SHOWN)
      printf("memory: at 0x%lx there was 0x%lx, now 0x%lx\n", (uint64)p, (uint64)p, *p);
  return changed;
}

// Kill all children but one.
static void end_others(int one) {
  for (int i = 0; i < CHILDREN; i++)
    if (children[i] != one)
      kill(children[i]);
  for (int i = 1; i < CHILDREN; i++)
    wait(NULL);
}

int main(void) {
  int go[2], crash = open("/crash", O_RDWR), status;
  if (crash < 0 || pipe(go) < 0)
    die("neighbour: cannot open /crash (this kernel may be built without it)");
  for (int i = 0; i < CHILDREN; i++) {
    if ((children[i] = fork()) < 0)
      die("neighbour: cannot fork");
    if (children[i] == 0)
      child(crash, go[0]);
  }
  sleep(2);
  struct stack_info *lower = NULL, *upper = NULL;
  uint64 distance = find_neighbours(&lower, &upper);
  if (!lower)
    die("neighbour: no two stacks are neighbours");
  end_others(upper->pid);
  uint64 *start = (uint64 *)ROUND_UP((uint64)sbrk(0), sizeof(uint64)), *end = take_memory(start);
  printf("setting: pid %d has its kernel stack at 0x%lx, %lu bytes above that of pid %d, which "
         "has ended; all free memory, %lu KiB, now belongs to pid %d\n",
         upper->pid, upper->lo, distance, lower->pid, (uint64)(end - start) * 8 / 1024, getpid());
  printf("overflow: pid %d does %s, as many calls, each with an array of 512 bytes, on its kernel "
         "stack of %lu\n",
         upper->pid, overflow, upper->hi - upper->lo);
  write(go[1], "x", 1);
  wait(&status);
  printf("child: pid %d %s\n", upper->pid,
         status == 0 ? "has ended with status 0, as if nothing had happened"
                     : "was killed by the kernel");
  int changed = count_changed(start, end);
  printf("memory: %d words of pid %d are not what it wrote\n", changed, getpid());
  printf("neighbour: pid=%d child=%d distance=%lu status=%d changed=%d\n", getpid(), upper->pid,
         distance, status, changed);
  return 0;
}
