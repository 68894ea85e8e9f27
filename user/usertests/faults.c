// SPDX-License-Identifier: MIT
//
// What a program may not do: it is killed, with status -1, and no other process notices.

#include "user/usertests/tests.h"

static char data[64];
static const char constant[64] = "constant";

static void read_at(uint64 address) {
  (void)*(volatile char *)address;
}

static void write_at(uint64 address) {
  *(volatile char *)address = 1;
}

static void jump_to(uint64 address) {
  ((void (*)(void))address)();
}

static void swap_at(uint64 address) {
  __asm__ volatile("amoswap.d zero, zero, (%0)" ::"r"(address) : "memory");
}

static void must_die(void (*f)(uint64), uint64 address) {
  if (run_child(f, address) != -1)
    fail("not killed at %p", (void *)address);
}

static void bad_reads(void) {
  for (int i = 0; i < BAD_COUNT; i++)
    must_die(read_at, bad_addresses[i]);
}

static void bad_writes(void) {
  for (int i = 0; i < BAD_COUNT; i++) {
    must_die(write_at, bad_addresses[i]);
    must_die(swap_at, bad_addresses[i]);
  }
}

static void bad_jumps(void) {
  for (int i = 0; i < BAD_COUNT; i++)
    must_die(jump_to, bad_addresses[i]);
}

// Where the kernel's image lies in physical memory, and every power of two from the end up.
static void scattered_reads(void) {
  for (uint64 a = IMAGE_PA; a < IMAGE_PA + 1000000; a += 100000)
    must_die(read_at, a);
  for (uint64 a = USER_END; a != 0; a <<= 1)
    must_die(write_at, a);
}

static void text_rights(void) {
  must_die(write_at, (uint64)read_at);
  must_die(write_at, (uint64)constant);
  must_die(jump_to, (uint64)constant);
  check(run_child(read_at, (uint64)read_at) == 0);
}

// A return instruction, where no instruction may be.
static void data_not_run(void) {
  uint16 ret = 0x8082;
  memcpy(data, &ret, 2);
  must_die(jump_to, (uint64)data);
  must_die(jump_to, (uint64)&ret);
  char *heap = sbrk(PAGE_SIZE);
  memcpy(heap, &ret, 2);
  must_die(jump_to, (uint64)heap);
}

static void guard_page(void) {
  must_die(read_at, (uint64)first_stack - 1);
  must_die(write_at, (uint64)first_stack - 1);
  must_die(read_at, (uint64)first_stack - PAGE_SIZE);
  check(run_child(read_at, (uint64)first_stack) == 0);
}

static int recurse(volatile int n) {
  volatile char frame[256];
  frame[0] = (char)n;
  return n == 0 ? 0 : recurse(n - 1) + frame[0];
}

static void recurse_child(uint64 depth) {
  recurse((int)depth);
}

static void stack_overflow(void) {
  must_die(recurse_child, 1000);
  check(run_child(recurse_child, 2) == 0);
}

static void behind_break(void) {
  uint64 end = ROUND_UP((uint64)sbrk(0), PAGE_SIZE);
  must_die(read_at, end);
  must_die(write_at, end);
  must_die(write_at, end + 64 * PAGE_SIZE);
}

// A page that was there a moment ago.
static void shrink_child(uint64 unused) {
  (void)unused;
  char *a = sbrk(2 * PAGE_SIZE);
  a[PAGE_SIZE] = 1;
  sbrk(-2 * PAGE_SIZE);
  write_at((uint64)a + PAGE_SIZE);
}

static void behind_old_break(void) {
  for (int i = 0; i < 10; i++)
    must_die(shrink_child, 0);
}

// One forbidden instruction each.
static void instruction(uint64 which) {
  switch (which) {
  case 0:
    __asm__ volatile(".word 0");
    break;
  case 1:
    __asm__ volatile("ebreak");
    break;
  case 2:
    __asm__ volatile("csrr t0, sstatus" ::: "t0");
    break;
  case 3:
    __asm__ volatile("csrw satp, zero");
    break;
  case 4:
    __asm__ volatile("sret");
    break;
  case 5:
    __asm__ volatile("sfence.vma");
    break;
  case 6:
    __asm__ volatile("csrw sscratch, zero");
    break;
  case 7:
    __asm__ volatile("mret");
    break;
  case 8:
    __asm__ volatile("csrw sie, zero");
    break;
  case 9:
    __asm__ volatile("wfi");
    break;
  case 10:
    __asm__ volatile(".word 0x000072d7" ::: "t0");  // vsetvli: the kernel saves no vector registers
    break;
  default:
    __asm__ volatile(".word 0xffffffff");
  }
}

static void instructions(void) {
  for (uint64 i = 0; i < 12; i++)
    must_die(instruction, i);
}

static void bad_stack_pointer(uint64 sp) {
  __asm__ volatile("mv sp, %0\n li a7, %1\n ecall\n sd zero, -8(sp)\n" ::"r"(sp), "i"(SYS_getpid)
                   : "a0", "a7", "memory");
}

// The kernel does not care where a program's sp points; only the program's own push kills it.
static void stack_pointers(void) {
  for (int i = 0; i < BAD_COUNT; i++)
    must_die(bad_stack_pointer, bad_addresses[i]);
}

static void bad_tp(uint64 value) {
  struct stat *shared = (void *)scratch;  // with the parent: a fault within the call
  __asm__ volatile("" : "+r"(shared));    // its address is known before gp is gone
  __asm__ volatile("mv tp, %0\n mv gp, %0" ::"r"(value));
  for (int i = 0; i < 100; i++)
    getpid();
  fstat(0, shared);
  __asm__ volatile("la gp, __global_pointer$");
}

static void thread_pointers(void) {
  for (int i = 0; i < BAD_COUNT; i++)
    check(run_child(bad_tp, bad_addresses[i]) == 0);
}

static void unknown_calls(void) {
  long numbers[] = {
      0, 22, 23, 63, 68, 100, 1000, 0x7fffffff, 0x80000000, -1, (long)(1UL << 63), 1L << 32};
  for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
    if (syscall(numbers[i], -1L, -1L, -1L) >= 0)
      fail("call %ld exists", numbers[i]);
}

const struct test fault_tests[] = {
    {"fault-reads", bad_reads, false},
    {"fault-writes", bad_writes, false},
    {"fault-jumps", bad_jumps, false},
    {"fault-scattered", scattered_reads, false},
    {"fault-text", text_rights, false},
    {"fault-run-data", data_not_run, false},
    {"fault-guard-page", guard_page, false},
    {"fault-stack-overflow", stack_overflow, false},
    {"fault-behind-break", behind_break, false},
    {"fault-behind-old-break", behind_old_break, false},
    {"fault-instructions", instructions, false},
    {"fault-sp", stack_pointers, false},
    {"fault-tp", thread_pointers, false},
    {"unknown-calls", unknown_calls, false},
    {NULL, NULL, false},
};
