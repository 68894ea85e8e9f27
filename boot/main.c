// SPDX-License-Identifier: MIT
//
// From the firmware to the first process: the only place that knows the order.
//
// I1. Until a hart has its idle, interrupt and emergency stacks, stvec is early_trap.
// I2. Every hart's struct and stacks exist before any other hart is started.
// I3. The root entries of the kernel half are filled before the first user page table.
#include "boot/boot.h"
#include "kern/dev/console.h"
#include "kern/dev/disk.h"
#include "kern/dev/irq.h"
#include "kern/dev/timer.h"
#include "kern/lib/fdt.h"
#include "kern/lib/hang.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/power.h"
#include "kern/lib/print.h"
#include "kern/lib/sbi.h"
#include "kern/lib/trapframe.h"
#include "kern/proc/process.h"
#include "kern/provoke/provoke.h"
#include "kern/sched/ready.h"
#include "kern/sched/switch.h"
#include "vm/check.h"
#include "vm/kasan_shadow.h"
#include "vm/kstack.h"
#include "vm/kstack_cache.h"
#include "vm/layout.h"
#include "vm/page.h"
#include "vm/pagetable.h"
#include "vm/ram.h"
#include "vm/space.h"
#include "vm/tlb.h"
#include "vm/vmalloc.h"

enum { COUNTERS_FOR_USERS = 7 };  // scounteren: cycle, time, instret

static void read_device_tree(pa_t fdt) {
  const char *why = "no device tree where the firmware says it is";
  uint32 size = fdt_size(pa_to_ptr(fdt));
  if (!size || fdt_read_machine(pa_to_ptr(fdt), size, fdt, &machine, &why))
    panic("device tree at 0x%lx: %s", fdt, why);
}

// Let the early table reach all RAM, for boot_alloc.
static void map_ram_early(void) {
  for (uint32 i = 0; i < machine.ram_count; i++) {
    pa_t end = machine.ram[i].base + machine.ram[i].size;
    for (pa_t pa = ROUND_DOWN(machine.ram[i].base, GIGAPAGE_SIZE); pa < end; pa += GIGAPAGE_SIZE)
      early_root.pte[(DIRECT_BASE + pa) >> 30 & (PT_ENTRIES - 1)] =
          pa_to_pte(pa) | PTE_V | PTE_R | PTE_W | PTE_A | PTE_D;
  }
  tlb_fence_all();
}

// Number the harts from 0, this one first.
static void number_harts(uint64 boot_id) {
  harts[0].id = boot_id;
  hart_count = 1;
  for (uint32 i = 0; i < machine.hart_count; i++)
    if (machine.harts[i].id != boot_id && hart_count < HART_MAX) {
      harts[hart_count].id = machine.harts[i].id;
      harts[hart_count].index = hart_count;
      hart_count++;
    }
}

// Make a stack of h and store its bounds.
static void make_stack(const struct hart *h, const char *what, enum stack_kind kind, uint64 *lo,
                       uint64 *hi) {
  char name[NAME_SIZE];
  ksnprintf(name, sizeof(name), "%s-%u", what, h->index);
  const struct kstack *stack = kstack_alloc(0, name, kind, &account_root);
  if (!stack)
    panic("no memory for the stacks of hart %u", h->index);
  *lo = stack->lo;
  *hi = stack->lo + KSTACK_SIZE;
}

static void make_stacks(struct hart *h) {
  make_stack(h, "idle", STACK_IDLE, &h->stack_lo, &h->stack_hi);
  make_stack(h, "interrupt", STACK_INTERRUPT, &h->interrupt_lo, &h->interrupt_hi);
  make_stack(h, "emergency", STACK_EMERGENCY, &h->emergency_lo, &h->emergency_hi);
  h->stack_floor = h->stack_lo + sizeof(struct trap_frame);
  h->satp = pagetable_satp(kernel_pagetable);
}

static void start_other_harts(void) {
  store_release(&boot_harts_ready, 1);
  for (uint32 i = 1; i < hart_count; i++)
    if (sbi_hart_start(harts[i].id, IMAGE_PA + (uint64)secondary_start - IMAGE_BASE))
      kprintf("boot: hart %lu does not start; going on without it\n", harts[i].id);
}

// What each hart does for itself, on its idle stack.
static void start_hart(void) {
  csr_write(scounteren, COUNTERS_FOR_USERS);
  tlb_hart_online();
  irq_init_hart();
  timer_init_hart();
  kstack_refill();
  csr_write(sie, SIE_SSIE | SIE_STIE | SIE_SEIE);
}

void boot_secondary(void) {
  thread_init_hart();
  start_hart();
  thread_idle();
}

static void boot_on_idle_stack(void) {
  thread_init();
  vm_check();
  irq_init();
  start_hart();
  console_init();
  if (PROVOKE)
    provoke_init();
  disk_init();
  process_init();
  start_other_harts();
  thread_idle();
}

void boot_main(uint64 hart_id, pa_t fdt) {
  read_device_tree(fdt);
  number_harts(hart_id);
  map_ram_early();
  sbi_init();
  ram_init();
  pagetable_init();
  kasan_init();
  vmalloc_init();
  kstack_init();
  page_init();
  if (machine.test.size)
    power_device = device_map(machine.test.base, machine.test.size);
  kprintf("\nBulwark: %u hart%s, %lu MiB of RAM, kernel stacks of %u KiB %s guards\n", hart_count,
          hart_count == 1 ? "" : "s", page_total() * PAGE_SIZE >> 20, KSTACK_SIZE / 1024,
          VMAP_STACK ? "between" : "without");
  bootarg_check_flags();
  hang_init();
  kstack_cache_init();
  space_init();
  pagetable_share();
  for (uint32 i = 0; i < hart_count; i++)
    make_stacks(&harts[i]);
  vm_check_fault_stacks();
  boot_enter_stack(boot_on_idle_stack);
}
