// SPDX-License-Identifier: MIT
//
// The report of a bad access that the compiler's checks have found (KASAN=y).
//
// I1. It takes no lock: the code that it reports may hold any.
// I2. A hart that reports a bad access does not report others that it makes meanwhile.
#include "vm/kasan_shadow.h"

#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "kern/lib/panic.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"
#include "kern/lib/symbols.h"
#include "kern/lib/trapframe.h"
#include "vm/buddy.h"
#include "vm/image.h"
#include "vm/kstack.h"
#include "vm/page.h"
#include "vm/vmalloc.h"

#define GRANULE   8
#define ROW       16  // shadow bytes a row of the dump
#define ROWS      5
#define DEPTH_MAX 24  // functions in a backtrace

#define FRAME_MARK 0x41b58ab3

// Implemented by: vm/kasan_checks.S.
uint64 kasan_shadow_word(uint64 addr);

static uint64 reporting;  // [a] harts that do, one bit by index

// What is known of a bad access.
struct finding {
  uint64 addr, size, pc;
  uint64 bad;  // its first byte that may not be accessed
  bool write;
  const char *class;
  struct kasan_note note;
  struct kstack_slot stack;              // the one it was made on
  struct kstack_slot running;            // the thread's: the same, but in an interrupt handler
  const struct trap_frame *interrupted;  // in one: the thread's frame; else null
};

static uint8 shadow_at(uint64 addr) {
  return kasan_shadow_word(addr) >> (addr / GRANULE % sizeof(uint64) * 8);
}

// Return why a byte may not be accessed: its poison, or that of what follows a part of 8 bytes.
static uint8 poison_at(uint64 addr) {
  uint8 shadow = shadow_at(addr);
  if (shadow < GRANULE && addr >= DIRECT_BASE && addr < DIRECT_END)
    return KASAN_OBJECT_END;  // maybe of a block, with pages of another owner behind it
  return shadow < GRANULE ? shadow_at(addr + GRANULE) : shadow;
}

static struct vmalloc_arena *arena_of(uint64 addr) {
  if (addr >= KSTACK_BASE && addr < KSTACK_END)
    return &kstack_window;
  return addr >= VMALLOC_BASE && addr < VMALLOC_END ? &vmalloc_general : NULL;
}

// Return the area that addr is in or was last, or NULL when there has been none.
static const struct vm_area *area_at(uint64 addr) {
  const struct vmalloc_arena *arena = arena_of(addr);
  uint64 i = arena ? (addr - arena->base) >> arena->shift : 0;
  if (!arena || i >= arena->granules.count)
    return NULL;
  const struct vm_area *area = &arena->areas[arena->areas[i].first];
  return area->note.alloc && i < area->first + area->granules ? area : NULL;
}

static const char *classify_area(uint64 addr) {
  const struct vm_area *area = area_at(addr);
  if (!area)
    return "wild-access";
  if (arena_of(addr) == &kstack_window)
    return "stack-use-after-free";
  return area->state == AREA_LIVE ? "vmalloc-out-of-bounds" : "vmalloc-use-after-free";
}

static const char *kasan_classify(uint64 bad) {
  uint8 poison = poison_at(bad);
  switch (poison) {
  case KASAN_STACK_LEFT:
  case KASAN_STACK_MIDDLE:
  case KASAN_STACK_RIGHT:
    return "stack-out-of-bounds";
  case KASAN_GLOBAL:
    return "global-out-of-bounds";
  case KASAN_OBJECT_END:
    return "heap-out-of-bounds";
  case KASAN_OBJECT_FREED:
    return "heap-use-after-free";
  case KASAN_PAGE_FREED:
    return "page-use-after-free";
  default:
    return classify_area(bad);
  }
}

// --- what the memory is --------------------------------------------------------------------------

// Return the first page of the block that addr is in, or NULL when it is not in managed RAM.
static struct page *block_of(uint64 addr) {
  uint64 index = (addr - DIRECT_BASE) / PAGE_SIZE - frames.first;
  if (addr < DIRECT_BASE || addr >= DIRECT_END || index >= frames.count)
    return NULL;
  for (uint32 order = 0; order <= PAGE_ORDER_MAX; order++) {
    uint64 head = ROUND_DOWN(index + frames.first, 1UL << order) - frames.first;
    if (head < frames.count && frames.page[head].order >= order &&
        frames.page[head].state != PAGE_RESERVED)
      return &frames.page[head];
  }
  return NULL;
}

// Print where addr is, seen from [base, base + size).
static void print_place(uint64 addr, uint64 base, uint64 size) {
  if (addr < base)
    kprintf("The address is %lu before", base - addr);
  else if (addr < base + size)
    kprintf("The address is byte %lu of", addr - base);
  else
    kprintf("The address is byte %lu behind", addr - (base + size) + 1);
}

// Read a number and the blank behind it.
static uint64 read_number(const char **s) {
  uint64 n = 0;
  while (**s >= '0' && **s <= '9')
    n = n * 10 + (uint64)(*(*s)++ - '0');
  *s += **s == ' ';
  return n;
}

// Name the variables of the frame that addr is in.  The compiler leaves at its lowest byte a mark,
// what it holds ("COUNT {OFFSET SIZE LENGTH NAME}...") and its function.
static void describe_frame(uint64 addr, uint64 lo) {
  const uint64 *frame = (const uint64 *)ROUND_DOWN(addr, sizeof(uint64));
  while (frame[0] != FRAME_MARK || shadow_at((uint64)frame) != KASAN_STACK_LEFT)
    if ((uint64)--frame < lo)
      return;
  struct symbol s;
  const char *text = (const char *)frame[1];
  kprintf("The address is byte %lu of what %s() has on its stack:", addr - (uint64)frame,
          symbol_find(frame[2], &s) ? s.name : "?");
  for (uint64 n = read_number(&text); n > 0; n--) {
    uint64 offset = read_number(&text), size = read_number(&text), length = read_number(&text);
    kprintf(" ");
    for (; length > 0 && *text != ':'; length--)
      kprintf("%c", *text++);
    text += length + (text[length] == ' ');
    kprintf(" at %lu, %lu bytes%s", offset, size, n > 1 ? ";" : ".\n");
  }
}

static void describe_global(const struct finding *f) {
  const struct kasan_global *g = kasan_find_global(f->bad);
  if (!g)
    return;
  print_place(f->bad, g->base, g->size);
  kprintf(" the variable %s of %s, %lu bytes.\n", g->name, g->file, g->size);
}

static void describe_area(struct finding *f) {
  const struct vm_area *area = area_at(f->bad);
  const struct kstack *stack = kstack_at(f->bad);
  if (!area) {
    kprintf("Nothing has ever been there.\n");
  } else if (arena_of(f->bad) == &vmalloc_general) {
    f->note = area->note;
    print_place(f->bad, area->base, area->note.size);
    kprintf(" an area of %lu bytes.\n", area->note.size);
  } else if (stack->kind) {
    describe_frame(f->bad, stack->lo);
  } else {
    f->note = stack->note;
    kprintf("The address is byte %lu of a kernel stack, once that of pid %d (%s).\n",
            f->bad - stack->lo, stack->pid, stack->name);
  }
}

static void describe_page(struct finding *f) {
  const struct page *p = block_of(f->bad);
  if (!p)
    return;
  f->note = p->note;
  if (!f->note.size)
    return;
  print_place(f->bad, (uint64)page_ptr(p), f->note.size);
  kprintf(" %s of %lu bytes at 0x%lx.\n", f->note.size % PAGE_SIZE ? "an object" : "a block",
          f->note.size, (uint64)page_ptr(p));
}

// Say what the address is, and find where that came from.
static void kasan_describe(struct finding *f) {
  if (arena_of(f->bad))
    describe_area(f);
  else if (f->bad >= DIRECT_BASE && f->bad < DIRECT_END)
    describe_page(f);
  else
    describe_global(f);
}

// --- who did it ----------------------------------------------------------------------------------

static bool is_frame(uint64 fp, const struct kstack_slot *stack) {
  return stack->in_window && fp % 16 == 0 && fp >= stack->lo + 16 && fp <= stack->hi;
}

// Return the frame pointer of the caller, 0 if it is not above; and where the function returns to.
static uint64 frame_next(uint64 fp, uint64 *ra) {
  const uint64 *top = (const uint64 *)fp;
  *ra = top[-1];
  return top[-2] > fp ? top[-2] : 0;
}

// Find the stack that the frame pointer fp is in, and the thread's.  An interrupt stack begins with
// a frame that keeps, as the frame pointer below it, the address of the thread's trap frame.
static void find_stacks(struct finding *f, uint64 fp) {
  uint64 ra;
  f->stack = kstack_describe(fp);
  f->running = f->stack;
  if (f->stack.lo != this_hart()->interrupt_lo)
    return;
  while (fp != f->stack.hi && is_frame(fp, &f->stack))
    fp = frame_next(fp, &ra);
  if (fp != f->stack.hi)
    return;
  f->interrupted = (const struct trap_frame *)((const uint64 *)fp)[-2];
  f->running = kstack_describe((uint64)f->interrupted);
}

// --- printing ------------------------------------------------------------------------------------

// Print pc by the name of the function that the instruction at of is in.
static void print_pc(uint64 pc, uint64 of) {
  struct symbol s;
  if (symbol_find(of, &s))
    kprintf("%s+0x%lx", s.name, pc - s.start);
  else
    kprintf("0x%lx", pc);
}

static void kasan_print_sentence(const struct finding *f) {
  if (f->interrupted)
    kprintf("an interrupt handler in ");
  if (f->running.pid > 0)
    kprintf("pid %d (%s) ", f->running.pid, f->running.name);
  else
    kprintf("kernel thread %s ", f->running.pid == 0 ? f->running.name : "boot");
  if (f->size)
    kprintf("%s %lu byte%s at 0x%lx", f->write ? "wrote" : "read", f->size, f->size > 1 ? "s" : "",
            f->addr);
  else
    kprintf("freed 0x%lx", f->addr);
  kprintf(": %s.\n", f->class);
}

static void print_site(const char *what, uint64 pc) {
  if (!pc)
    return;
  kprintf("%s in ", what);
  print_pc(pc, pc - 4);  // one past the call
  kprintf(".\n");
}

// Print who called the function whose frame pointer is fp.  Returns how many are printed by then.
static uint32 print_callers(uint64 fp, const struct kstack_slot *stack, uint32 count) {
  uint64 ra = 0, next;
  for (; count < DEPTH_MAX && is_frame(fp, stack); fp = next) {
    next = frame_next(fp, &ra);
    struct symbol s;
    if (!symbol_find(ra - 4, &s))
      break;
    kprintf("  #%-3u ", count++);
    print_pc(ra, ra - 4);
    kprintf("\n");
  }
  return count;
}

static void print_backtrace(const struct finding *f, uint64 fp) {
  kprintf("\nCalled from:\n");
  for (uint64 at = fp, ra = 0; is_frame(at, &f->stack) && ra != f->pc;) {  // not the checks
    at = frame_next(at, &ra);
    fp = ra == f->pc ? at : fp;
  }
  uint32 count = print_callers(fp, &f->stack, 0);
  if (!f->interrupted)
    return;
  kprintf("  -- interrupt, at ");
  print_pc(f->interrupted->sepc, f->interrupted->sepc);
  kprintf(" --\n");
  print_callers(frame_reg(f->interrupted, REG_S0), &f->running, count);
}

static void print_shadow(uint64 bad) {
  uint64 row = ROUND_DOWN(bad, ROW * GRANULE) - ROWS / 2 * ROW * GRANULE;
  kprintf("\nShadow of the memory around it, a byte for 8 (00: accessible):\n");
  for (uint32 r = 0; r < ROWS; r++, row += ROW * GRANULE) {
    kprintf("  0x%lx ", row);
    for (uint64 at = row; at < row + ROW * GRANULE; at += GRANULE)
      kprintf("%c%02x", bad - at < GRANULE ? '>' : ' ', shadow_at(at));
    kprintf("\n");
  }
}

static void kasan_print_machine_line(const struct finding *f, uint32 hart) {
  char run[64];
  kprintf("\nkasan: class=%s addr=0x%lx size=%lu write=%u pc=0x%lx alloc=0x%lx free=0x%lx",
          f->class, f->bad, f->size, f->write, f->pc, f->note.alloc, f->note.free);
  kprintf(" pid=%d name=", f->running.pid);
  print_encoded(f->running.pid < 0 ? "boot" : f->running.name);
  kprintf(" hart=%u run=", hart);
  print_encoded(bootarg_string("run", run, sizeof(run)) ? run : "-");
  kprintf("\n");
}

static void print_finding(struct finding *f, uint64 fp, uint32 hart) {
  print_begin_report();
  kprintf("\n");
  kasan_print_sentence(f);
  print_site("That was", f->pc);
  kasan_describe(f);
  print_site("Allocated", f->note.alloc);
  print_site("Freed", f->note.free);
  print_backtrace(f, fp);
  print_shadow(f->bad);
  kasan_print_machine_line(f, hart);
  print_end_report();
}

void kasan_report(uint64 addr, uint64 size, bool write, uint64 pc, const char *class) {
  uint64 fp = (uint64)__builtin_frame_address(0), bad = kasan_first_bad(addr, size);
  irq_t irq = irq_save();
  uint32 hart = this_hart()->index;
  if (!(fetch_or(&reporting, 1UL << hart) & 1UL << hart)) {
    struct finding f = {.addr = addr, .size = size, .pc = pc, .bad = bad, .write = write};
    f.class = class ? class : kasan_classify(bad);
    find_stacks(&f, fp);
    fetch_add(&reports_pending, 1);
    print_finding(&f, fp, hart);
    fetch_sub(&reports_pending, 1);
    if (!bootarg_flag("kasan_continue"))
      panic("kasan: %s", f.class);
    fetch_and(&reporting, ~(1UL << hart));
  }
  irq_restore(irq);
}
