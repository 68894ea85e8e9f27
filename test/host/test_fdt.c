// SPDX-License-Identifier: MIT
//
// kern/lib/fdt.c on trees that QEMU writes, on trees built here, and on damaged ones.
// Links: kern/lib/machine.c
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kern/lib/errno.h"
#include "kern/lib/fdt.h"

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, what, #cond);                         \
      failures++;                                                                                  \
    }                                                                                              \
  } while (0)

_Noreturn void panic(const char *fmt, ...) {
  fprintf(stderr, "panic: %s\n", fmt);
  exit(1);
}

static int failures;
static const char *what = "";
static struct machine m;
static const char *why;

// A tree under construction.
struct builder {
  uint8 structure[16384];
  char strings[2048];
  uint64 reserve[8];
  uint32 n, s, r;
};

static uint8 blob[32768];
static struct builder b;

static void word(uint32 v) {
  for (int i = 0; i < 4; i++)
    b.structure[b.n++] = v >> (24 - 8 * i);
}

static void bytes(const void *p, uint32 len) {
  memcpy(b.structure + b.n, p, len);
  b.n += len;
  while (b.n % 4)
    b.structure[b.n++] = 0;
}

static void node(const char *name) {
  word(1);
  bytes(name, strlen(name) + 1);
}

static void end(void) {
  word(2);
}

static void prop(const char *name, const void *value, uint32 len) {
  word(3);
  word(len);
  word(b.s);
  b.s += sprintf(b.strings + b.s, "%s", name) + 1;
  bytes(value, len);
}

static void str(const char *name, const char *value) {
  prop(name, value, strlen(value) + 1);
}

#define CELLS(name, ...)                                                                           \
  do {                                                                                             \
    uint32 cells_[] = {__VA_ARGS__};                                                               \
    for (uint32 i_ = 0; i_ < ARRAY_SIZE(cells_); i_++)                                             \
      cells_[i_] = __builtin_bswap32(cells_[i_]);                                                  \
    prop(name, cells_, sizeof(cells_));                                                            \
  } while (0)

// Assemble header, reservations, structure and strings.  Returns the size.
static uint32 finish(void) {
  word(9);
  uint32 reserve = 8 * b.r + 16, total = 40 + reserve + b.n + b.s;
  uint32 header[10] = {0xd00dfeed, total, 40 + reserve, 40 + reserve + b.n, 40, 17, 16,
                       0,          b.s,   b.n};
  for (int i = 0; i < 10; i++)
    header[i] = __builtin_bswap32(header[i]);
  memset(blob, 0, sizeof(blob));
  memcpy(blob, header, 40);
  for (uint32 i = 0; i < b.r; i++) {
    uint64 v = __builtin_bswap64(b.reserve[i]);
    memcpy(blob + 40 + 8 * i, &v, 8);
  }
  memcpy(blob + 40 + reserve, b.structure, b.n);
  memcpy(blob + 40 + reserve + b.n, b.strings, b.s);
  return total;
}

static void cpu(uint32 id, uint32 phandle, const char *status, const char *isa, const char *mmu) {
  node("cpu@");
  str("device_type", "cpu");
  CELLS("reg", id);
  if (status)
    str("status", status);
  if (isa)
    str("riscv,isa", isa);
  else
    prop("riscv,isa-extensions", "i\0m\0a\0f\0d\0c\0zicsr\0sstc", 23);
  if (mmu)
    str("mmu-type", mmu);
  node("interrupt-controller");
  str("compatible", "riscv,cpu-intc");
  CELLS("phandle", phandle);
  end();
  end();
}

static void virtio(uint32 base, uint32 irq) {
  node("virtio_mmio@x");
  CELLS("reg", base, 0x1000);
  CELLS("interrupts", irq, 4);
  str("compatible", "virtio,mmio");
  end();
}

enum variant { PLAIN, NO_TIMEBASE, NO_MEMORY, NO_HART, TWINS };

// A machine unlike QEMU's: sparse hart numbers, one-cell buses behind ranges, split memory.
static uint32 build(enum variant variant) {
  memset(&b, 0, sizeof(b));
  b.reserve[0] = 0x88000000;
  b.reserve[1] = 0x1000;
  b.r = 2;
  node("");
  CELLS("#address-cells", 2);
  CELLS("#size-cells", 2);
  node("aliases");
  str("serial0", "/soc/serial@2000");
  end();
  node("cpus");
  CELLS("#address-cells", 1);
  CELLS("#size-cells", 0);
  if (variant != NO_TIMEBASE)
    CELLS("timebase-frequency", 0, 24000000);
  cpu(7, 70, variant == NO_HART ? "disabled" : "okay", "rv64imafdc_zicsr_sstc_svinval",
      "riscv,sv48");
  cpu(variant == TWINS ? 7 : 3, 30, variant == NO_HART ? "disabled" : NULL, NULL, "riscv,sv39");
  cpu(0, 1, "okay", "rv64imac", NULL);
  cpu(5, 50, "disabled", "rv64imac", "riscv,sv39");
  cpu(12, 120, variant == NO_HART ? "fail" : "okay", "rv64gch_sstc", "riscv,sv57");
  end();
  if (variant != NO_MEMORY) {
    node("memory@1");
    str("device_type", "memory");
    CELLS("reg", 1, 0, 0, 0x10000000, 0, 0x80000000, 0, 0x8000000);
    end();
    node("memory@2");
    str("device_type", "memory");
    CELLS("reg", 0, 0x88000000, 0, 0x8000000);
    end();
  }
  node("reserved-memory");
  CELLS("#address-cells", 2);
  CELLS("#size-cells", 2);
  prop("ranges", "", 0);
  node("fw@80000000");
  CELLS("reg", 0, 0x80000000, 0, 0x80000);
  prop("no-map", "", 0);
  end();
  end();
  node("soc");
  CELLS("#address-cells", 1);
  CELLS("#size-cells", 1);
  CELLS("ranges", 0x0, 0, 0x40000000, 0x10000000);
  virtio(0x8000, 8);
  node("serial@1000");
  str("compatible", "ns16550a");
  CELLS("reg", 0x1000, 0x100);
  CELLS("interrupts", 4);
  end();
  node("serial@2000");
  prop("compatible", "acme,uart\0ns16550a", 19);
  CELLS("reg", 0x2000, 0x100);
  CELLS("interrupts-extended", 99, 6);
  CELLS("reg-shift", 2);
  CELLS("reg-io-width", 4);
  end();
  virtio(0x6000, 6);
  virtio(0x20000000, 9);  // beyond the ranges: not reachable
  virtio(0x7000, 7);
  node("interrupt-controller@c000000");
  str("compatible", "riscv,plic0");
  CELLS("reg", 0xc000000, 0x400000);
  CELLS("riscv,ndev", 53);
  CELLS("interrupts-extended", 1, 11, 70, 11, 70, 9, 30, 0xffffffff, 30, 9, 120, 9, 120, 11);
  end();
  end();
  node("chosen");
  str("bootargs", "run=abc nproc=0x40 panic -- nproc=7 gdb --x");
  str("stdout-path", "serial0:115200n8");
  end();
  end();
  return finish();
}

static int parse(const void *fdt, uint32 size) {
  // An exact copy, so that the sanitizer sees a read past the end.
  void *copy = malloc(size ? size : 1);
  memcpy(copy, fdt, size);
  int err = fdt_read_machine(copy, size, 0x90000000, &m, &why);
  free(copy);
  return err;
}

static void test_built(void) {
  what = "built tree";
  uint32 size = build(PLAIN);
  CHECK(fdt_size(blob) == size);
  CHECK(parse(blob, size) == 0);
  CHECK(m.hart_count == 3 && m.harts[0].id == 3 && m.harts[1].id == 7 && m.harts[2].id == 12);
  CHECK(m.harts[0].context == 4 && m.harts[1].context == 2 && m.harts[2].context == 5);
  CHECK(m.has_sstc && m.has_fpu && m.timebase == 24000000);
  CHECK(m.ram_count == 2 && m.ram[0].base == 0x80000000 && m.ram[0].size == 0x10000000);
  CHECK(m.ram[1].base == 0x100000000 && m.ram[1].size == 0x10000000);
  CHECK(m.reserved_count == 3 && m.reserved[0].size == 0x80000);
  CHECK(m.reserved[1].base == 0x88000000 && m.reserved[2].base == 0x90000000);
  CHECK(m.uart.base == 0x40002000 && m.uart_irq == 6 && m.uart_shift == 2 && m.uart_width == 4);
  CHECK(m.plic.base == 0x4c000000 && m.plic_sources == 53);
  CHECK(m.virtio_count == 3 && m.virtio[0].base == 0x40006000 && m.virtio[0].irq == 6);
  CHECK(m.virtio[1].irq == 7 && m.virtio[2].irq == 8);
  CHECK(m.test.size == 0);

  char buf[8];
  machine = m;
  uint64 n = 0;
  CHECK(bootarg_string("nproc", buf, 8) && parse_number(buf, &n) && n == 64);
  CHECK(!parse_number("abc", &n) && !parse_number("", &n) && !parse_number("0x", &n) && n == 64);
  CHECK(!parse_number("18446744073709551616", &n) && !parse_number("1f", &n) && n == 64);
  CHECK(parse_number("18446744073709551615", &n) && n == UINT64_MAX);
  CHECK(bootarg_number("nproc", 7, 64, 64) == 64 && bootarg_number("other", 7, 0, 1) == 7);
  CHECK(bootarg_string("run", buf, 8) && strcmp(buf, "abc") == 0);
  CHECK(!bootarg_string("run", buf, 3) && !bootarg_string("ru", buf, 8));
  CHECK(bootarg_flag("panic") && !bootarg_flag("run") && !bootarg_flag("pan"));
  CHECK(!bootarg_flag("gdb") && !bootarg_flag("--"));
  CHECK(strcmp(bootarg_rest(), "nproc=7 gdb --x") == 0);
}

static void test_refused(void) {
  static const struct {
    enum variant variant;
    const char *why;
  } cases[] = {
      {NO_TIMEBASE, "timebase"}, {NO_MEMORY, "memory"}, {NO_HART, "hart"}, {TWINS, "same number"}};
  for (uint32 i = 0; i < ARRAY_SIZE(cases); i++) {
    what = cases[i].why;
    uint32 size = build(cases[i].variant);
    CHECK(parse(blob, size) == -EINVAL && why && strstr(why, cases[i].why));
  }
}

// Every truncation and very many flips: an error or not, but never a stray read.
static void test_damaged(const uint8 *tree, uint32 size) {
  static uint8 copy[1 << 16];
  for (uint32 n = 0; n < size; n += n < 64 ? 1 : 13) {
    int err = parse(tree, n);
    CHECK(err == -EINVAL && why);
  }
  srandom(size);
  for (int round = 0; round < 20000; round++) {
    memcpy(copy, tree, size);
    for (int flips = random() % 4; flips >= 0; flips--)
      copy[random() % size] ^= random() % 3 ? 1u << random() % 8 : (uint32)random();
    int err = parse(copy, size);
    CHECK(err == 0 || (err == -EINVAL && why));
  }
}

// A name that runs to the last byte of the tree, the structure block being last.
static void test_open_end(void) {
  static const uint32 sizes[] = {8, 12, 0xffffffc8, 0xffffffff};
  what = "open end";
  for (uint32 i = 0; i < ARRAY_SIZE(sizes); i++) {
    uint32 words[16] = {0xd00dfeed, 64, 56, 56, 40, 17, 16, 0, 0, sizes[i]};
    words[14] = 1;
    words[15] = 0x61616161;
    for (int j = 0; j < 16; j++)
      words[j] = __builtin_bswap32(words[j]);
    CHECK(parse(words, sizeof(words)) == -EINVAL && why);
  }
}

static void test_deep(void) {
  what = "deep tree";
  memset(&b, 0, sizeof(b));
  for (int i = 0; i < 40; i++)
    node("x");
  for (int i = 0; i < 40; i++)
    end();
  uint32 size = finish();
  CHECK(parse(blob, size) == -EINVAL && strstr(why, "deep"));
}

static void test_qemu(const char *options, uint32 harts, uint64 ram, bool plic) {
  static uint8 tree[1 << 21];
  char path[] = "/tmp/fdtXXXXXX", command[512];
  int fd = mkstemp(path);
  snprintf(command, sizeof(command),
           "qemu-system-riscv64 -display none -machine virt,dumpdtb=%s%s >/dev/null 2>&1", path,
           options);
  int status = system(command);
  close(fd);
  fd = open(path, O_RDONLY);  // QEMU replaces the file
  int64 n = status == 0 ? read(fd, tree, sizeof(tree)) : 0;
  close(fd);
  unlink(path);
  what = options;
  if (n <= 0) {
    printf("test_fdt: no tree from QEMU for \"%s\", skipped\n", options);
    return;
  }
  CHECK(parse(tree, n) == 0);
  CHECK(m.hart_count == harts && m.harts[harts - 1].id == harts - 1);
  CHECK(m.ram_count == 1 && m.ram[0].base == 0x80000000 && m.ram[0].size == ram);
  CHECK(m.uart.base == 0x10000000 && m.uart_irq == 10 && m.timebase == 10000000);
  CHECK(m.test.base == 0x100000 && m.virtio_count == 8);
  CHECK(m.virtio[0].base == 0x10001000 && m.virtio[0].irq == 1 && m.virtio[7].irq == 8);
  CHECK(plic ? m.plic.base == 0xc000000 && m.harts[harts - 1].context == 2 * harts - 1
             : m.plic.size == 0 && m.harts[0].context == MACHINE_NO_CONTEXT);
}

int main(void) {
  test_built();
  test_refused();
  test_open_end();
  test_deep();
  what = "damaged tree";
  uint32 size = build(PLAIN);
  static uint8 tree[sizeof(blob)];
  memcpy(tree, blob, size);
  test_damaged(tree, size);
  test_qemu(" -smp 1", 1, 128 << 20, true);
  test_qemu(",aclint=on -smp 8 -m 4G", 8, 4UL << 30, true);
  test_qemu(",aia=aplic -smp 3 -m 1G", 3, 1 << 30, false);
  if (failures == 0)
    printf("test_fdt: ok\n");
  return failures != 0;
}
