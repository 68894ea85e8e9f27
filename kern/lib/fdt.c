// SPDX-License-Identifier: MIT
//
// Flattened device trees, read into struct machine.  Devicetree specification 0.4, chapter 5 (the
// format), 2 and 3 (properties and nodes); RISC-V bindings for harts, PLIC and contexts.
//
// A walk goes from node to node in the order of the structure block, and keeps where the open ones
// begin.  A property is looked up when it is wanted: a node's properties directly follow its name.
//
// I1. Only get32 and the bounded comparisons read the tree, and they check the offset.
// I2. A value that fdt_find returns lies within the structure block.
// I3. A tree is shorter than 2 GiB, so no sum of offsets wraps.
#include "kern/lib/fdt.h"

#include "kern/lib/errno.h"
#include "kern/lib/string.h"

#define FDT_MAGIC       0xd00dfeed
#define FDT_VERSION     17
#define FDT_HEADER_SIZE 40
#define LEVELS          16
#define CONTEXT_SEXT    9  // cpu-intc line of supervisor external interrupts

enum token { DAMAGED, TOKEN_BEGIN, TOKEN_END, TOKEN_PROP, TOKEN_NOP, TOKEN_FINISH = 9 };

// Where a property's value lies in the blob.  len is 0 when there is none.
struct prop {
  uint32 at, len;
};

// How many words an address and a size of a node's children have; 0 when they do not fit 64 bits.
struct cells {
  uint32 address, size;
};

struct parse {
  const char *blob;
  uint32 size;            // of the blob
  uint32 begin, strings;  // structure and strings block
  uint64 end, strings_end;
  const char *why;
  struct machine *m;
  uint32 at;             // next token of the walk
  uint32 depth;          // open nodes
  uint32 name[LEVELS];   // where the names of those begin, from name[1], the root's
  uint32 props[LEVELS];  // and their properties
  char path[128];        // of the console's node, or empty
  const char *console;   // its last word, which the unit address makes unique
  struct prop contexts;  // the PLIC's interrupts-extended
  uint32 *intc;          // where the phandle of the last hart's interrupt controller goes, or null
};

static bool fail(struct parse *p, const char *why) {
  p->why = why;
  return false;
}

static uint32 be32(const void *from) {
  const uint8 *b = from;
  return (uint32)b[0] << 24 | (uint32)b[1] << 16 | (uint32)b[2] << 8 | b[3];
}

// Return the word at offset at, or 0 beyond the blob.
static uint32 get32(const struct parse *p, uint32 at) {
  return at <= p->size && p->size - at >= 4 ? be32(p->blob + at) : 0;
}

static uint64 cells_at(const struct parse *p, uint32 at, uint32 cells) {
  uint64 v = 0;
  for (; cells > 0; cells--, at += 4)
    v = v << 32 | get32(p, at);
  return v;
}

// Return whether the string s, its terminator included, stands at offset at, before end.
static bool is_string(const struct parse *p, uint32 at, uint32 end, const char *s) {
  size_t n = strlen(s) + 1;
  return at < end && end - at >= n && memcmp(p->blob + at, s, n) == 0;
}

// Step over the token at *at, and return it.  *body is where its name or length stands.
static enum token step(const struct parse *p, uint32 *at, uint32 *body) {
  enum token token;
  do {
    token = *at + 4 <= p->end ? get32(p, *at) : DAMAGED;
    *at += 4;
  } while (token == TOKEN_NOP);
  *body = *at;
  uint64 length = token == TOKEN_BEGIN  ? strnlen(p->blob + *at, p->end - *at) + 1
                  : token == TOKEN_PROP ? 8UL + get32(p, *at)
                                        : 0;
  if (*at + length > p->end)
    return DAMAGED;
  *at = ROUND_UP(*at + length, 4);
  return token;
}

// Go on to the next node, which is then the one at p->depth.  Returns false after the last, and the
// walk can begin again; or with p->why set.
static bool next_node(struct parse *p) {
  enum token token;
  uint32 body;
  while ((token = step(p, &p->at, &body)) == TOKEN_PROP || token == TOKEN_END) {
    if (p->depth == 0)
      return fail(p, "a property or an end outside its node");
    p->depth -= token == TOKEN_END;
  }
  if (token == TOKEN_BEGIN && p->depth + 1 < LEVELS) {
    p->name[++p->depth] = body;
    p->props[p->depth] = p->at;
    return true;
  }
  p->at = p->begin;
  if (token == TOKEN_FINISH && p->depth == 0)
    return false;
  return fail(p, token == TOKEN_BEGIN ? "nodes nest too deeply" : "a token is damaged");
}

// Return a property of the open node at level n.  Level 0, above the root, has none.
static struct prop fdt_find(const struct parse *p, uint32 n, const char *name) {
  uint32 at = p->props[n], body;
  while (n > 0 && step(p, &at, &body) == TOKEN_PROP) {
    uint32 string = get32(p, body + 4);
    if (string < p->size && is_string(p, p->strings + string, p->strings_end, name))
      return (struct prop){body + 8, get32(p, body)};
  }
  return (struct prop){0, 0};
}

static uint32 number(const struct parse *p, uint32 n, const char *name, uint32 fallback) {
  struct prop v = fdt_find(p, n, name);
  return v.len >= 4 ? get32(p, v.at) : fallback;
}

// Return whether s is among the strings of the property.
static bool fdt_lists(const struct parse *p, struct prop v, const char *s) {
  uint32 end = v.at + v.len;
  for (; v.at < end; v.at += strnlen(p->blob + v.at, end - v.at) + 1)
    if (is_string(p, v.at, end, s))
      return true;
  return false;
}

// Return whether the node is compatible with s.
static bool is_a(const struct parse *p, const char *s) {
  return fdt_lists(p, fdt_find(p, p->depth, "compatible"), s);
}

static bool enabled(const struct parse *p) {
  struct prop status = fdt_find(p, p->depth, "status");
  return status.at == 0 || fdt_lists(p, status, "okay") || fdt_lists(p, status, "ok");
}

// Return whether level n is that child of the root.
static bool is_top(const struct parse *p, uint32 n, const char *name) {
  return n == 2 && is_string(p, p->name[n], p->end, name);
}

static struct cells cells_of(const struct parse *p, uint32 n) {
  struct cells c = {number(p, n, "#address-cells", 2), number(p, n, "#size-cells", 1)};
  return c.address <= 2 && c.size <= 2 ? c : (struct cells){0, 0};
}

// Turn an address of the children of level n into one of its parent's.  Returns whether it has one.
// Devicetree specification 2.3.8.
static bool translate(const struct parse *p, uint32 n, uint64 *address) {
  struct prop ranges = fdt_find(p, n, "ranges");
  struct cells c = cells_of(p, n), up = cells_of(p, n - 1);
  uint32 entry = 4 * (c.address + up.address + c.size);
  for (uint32 i = 0; c.address > 0 && i + entry <= ranges.len; i += entry) {
    uint32 at = ranges.at + i;
    uint64 child = cells_at(p, at, c.address);
    uint64 size = cells_at(p, at + entry - 4 * c.size, c.size);
    if (*address >= child && *address - child < size) {
      *address += cells_at(p, at + 4 * c.address, up.address) - child;
      return true;
    }
  }
  return ranges.len == 0;  // identity
}

// Read entry i of the node's reg.  Returns whether there is one that makes sense.
static bool read_reg(const struct parse *p, uint32 i, struct pa_range *r) {
  struct cells c = cells_of(p, p->depth - 1);
  uint32 entry = 4 * (c.address + c.size);
  struct prop reg = fdt_find(p, p->depth, "reg");
  if (c.address == 0 || i >= reg.len / entry)
    return false;
  uint32 at = reg.at + i * entry;
  r->base = cells_at(p, at, c.address);
  r->size = cells_at(p, at + 4 * c.address, c.size);
  for (uint32 n = p->depth - 1; n > 1; n--)
    if (!translate(p, n, &r->base))
      return false;
  return r->base + r->size >= r->base;
}

// Make room for an entry in a table sorted by key, the first word of each.  Returns its place.
static void *insert_sorted(void *table, uint32 *count, size_t size, uint64 key) {
  char *at = (char *)table + (*count)++ * size;
  for (; at > (char *)table && *(uint64 *)(at - size) > key; at -= size)
    memcpy(at, at - size, size);
  return at;
}

// Add a range to a table sorted by base, and merge the ranges that touch.
static bool add_range(struct parse *p, struct pa_range *table, uint32 *count, struct pa_range r) {
  if (r.size == 0)
    return true;
  if (*count == MACHINE_RANGES || r.base + r.size < r.base)
    return fail(p, "too many ranges of memory, or a bad one");
  uint32 kept = 0;
  *(struct pa_range *)insert_sorted(table, count, sizeof(r), r.base) = r;
  for (uint32 i = 1; i < *count; i++) {
    uint64 distance = table[i].base - table[kept].base;
    if (distance > table[kept].size)
      table[++kept] = table[i];
    else if (distance + table[i].size > table[kept].size)
      table[kept].size = distance + table[i].size;
  }
  *count = kept + 1;
  return true;
}

static bool add_regs(struct parse *p, struct pa_range *table, uint32 *count) {
  struct pa_range r;
  for (uint32 i = 0; read_reg(p, i, &r) && add_range(p, table, count, r); i++)
    ;
  return !p->why;
}

// Return whether the hart has the extension: the list names it or, without a list, the ISA string.
// There letters follow "rv64" up to the first underscore (G stands for I, M, A, F and D), and words
// stand between underscores.
static bool hart_has(const struct parse *p, const char *name) {
  struct prop list = fdt_find(p, p->depth, "riscv,isa-extensions"),
              isa = fdt_find(p, p->depth, "riscv,isa");
  if (list.at != 0)
    return fdt_lists(p, list, name);
  const char *s = p->blob + isa.at;
  size_t n = strlen(name);
  bool letters = true;
  for (uint32 i = 4; i + n <= isa.len && s[i] != 0; i++) {
    letters &= s[i] != '_';
    if (letters ? n == 1 && (s[i] == name[0] || s[i] == 'g')
                : s[i - 1] == '_' && memcmp(s + i, name, n) == 0 &&
                      (i + n == isa.len || s[i + n] == '_' || s[i + n] == 0))
      return true;
  }
  return false;
}

// Enter the hart into the table, unless it is disabled or has none of the MMUs Sv39, Sv48 and Sv57.
static bool add_hart(struct parse *p) {
  struct machine *m = p->m;
  struct prop reg = fdt_find(p, p->depth, "reg"), mmu = fdt_find(p, p->depth, "mmu-type");
  struct cells c = cells_of(p, p->depth - 1);
  p->intc = NULL;
  if (c.address == 0 || reg.len < 4 * c.address)
    return fail(p, "a hart has no number");
  if (!enabled(p) || mmu.len < 8 || memcmp(p->blob + mmu.at, "riscv,sv", 8) != 0 ||
      m->hart_count == HART_MAX)
    return true;
  uint64 id = cells_at(p, reg.at, c.address);
  struct machine_hart *h = insert_sorted(m->harts, &m->hart_count, sizeof(*h), id);
  if (h > m->harts && h[-1].id == id)
    return fail(p, "two harts have the same number");
  *h = (struct machine_hart){id, 0};
  p->intc = &h->context;
  m->has_sstc &= hart_has(p, "sstc");
  m->has_fpu &= hart_has(p, "f") && hart_has(p, "d");
  return true;
}

// Return the source of the node's first interrupt, or 0.  Assumes that its parent is the PLIC.
static uint32 interrupt_source(const struct parse *p) {
  struct prop extended = fdt_find(p, p->depth, "interrupts-extended");
  return extended.len >= 8 ? get32(p, extended.at + 4) : number(p, p->depth, "interrupts", 0);
}

static void add_device(struct parse *p) {
  struct machine *m = p->m;
  struct pa_range reg;
  if (!enabled(p) || !read_reg(p, 0, &reg) || reg.size == 0)
    return;
  bool uart = is_a(p, "ns16550a") || is_a(p, "ns16550") || is_a(p, "snps,dw-apb-uart");
  bool plic = is_a(p, "sifive,plic-1.0.0") || is_a(p, "riscv,plic0");
  if (uart && (m->uart.size == 0 || is_string(p, p->name[p->depth], p->end, p->console))) {
    m->uart = reg;
    m->uart_irq = interrupt_source(p);
    m->uart_shift = number(p, p->depth, "reg-shift", 0);
    m->uart_width = number(p, p->depth, "reg-io-width", 1);
  } else if (plic && m->plic_count++ == 0) {
    m->plic = reg;
    m->plic_sources = number(p, p->depth, "riscv,ndev", 0);
    p->contexts = fdt_find(p, p->depth, "interrupts-extended");
  } else if (is_a(p, "virtio,mmio") && m->virtio_count < MACHINE_VIRTIO) {
    struct virtio_slot *slot = insert_sorted(m->virtio, &m->virtio_count, sizeof(*slot), reg.base);
    *slot = (struct virtio_slot){reg.base, reg.size, interrupt_source(p)};
  } else if (is_a(p, "sifive,test0")) {
    m->test = reg;
  }
}

// Take what struct machine wants from the node.
static bool visit(struct parse *p) {
  struct machine *m = p->m;
  bool in_cpus = is_top(p, p->depth - 1, "cpus");
  struct prop timebase = fdt_find(p, p->depth, "timebase-frequency");
  if (m->timebase == 0 && timebase.len >= 4 && (in_cpus || is_top(p, p->depth, "cpus")))
    m->timebase = cells_at(p, timebase.at, timebase.len / 4);
  if (in_cpus && fdt_lists(p, fdt_find(p, p->depth, "device_type"), "cpu"))
    return add_hart(p);
  if (is_top(p, p->depth - 1, "reserved-memory"))
    return add_regs(p, m->reserved, &m->reserved_count);
  if (fdt_lists(p, fdt_find(p, p->depth, "device_type"), "memory") && enabled(p))
    return add_regs(p, m->ram, &m->ram_count);
  if (p->intc && is_a(p, "riscv,cpu-intc"))
    *p->intc = number(p, p->depth, "phandle", 0);
  add_device(p);
  return true;
}

// Return a property of a child of the root.
static struct prop find_top(struct parse *p, const char *node, const char *name) {
  struct prop v = {0, 0};
  while (next_node(p))
    if (is_top(p, p->depth, node))
      v = fdt_find(p, p->depth, name);
  return v;
}

// Copy the property's text up to end to buf, cut to its size.
static void copy_text(const struct parse *p, struct prop v, char end, char *buf, uint32 size) {
  uint32 n = 0;
  for (; n < v.len && n + 1 < size && p->blob[v.at + n] != end; n++)
    buf[n] = p->blob[v.at + n];
  buf[n] = 0;
}

// Read /chosen: the boot arguments, and the console as a path or an alias of one, up to a colon.
static void read_chosen(struct parse *p) {
  copy_text(p, find_top(p, "chosen", "bootargs"), 0, p->m->bootargs, MACHINE_BOOTARGS);
  copy_text(p, find_top(p, "chosen", "stdout-path"), ':', p->path, sizeof(p->path));
  if (p->path[0] != '/')
    copy_text(p, find_top(p, "aliases", p->path), ':', p->path, sizeof(p->path));
  for (const char *s = p->path; *s; s++)
    if (*s == '/')
      p->console = s + 1;
}

// Replace the phandle of each hart's interrupt controller with the hart's S-mode context: the place
// of its entry in the PLIC's list of pairs (controller, line).
static void find_contexts(struct parse *p) {
  for (struct machine_hart *h = p->m->harts; h < p->m->harts + p->m->hart_count; h++) {
    uint32 intc = h->context;
    h->context = MACHINE_NO_CONTEXT;
    for (uint32 i = 0; intc != 0 && i < p->contexts.len / 8; i++)
      if (cells_at(p, p->contexts.at + 8 * i, 2) == ((uint64)intc << 32 | CONTEXT_SEXT))
        h->context = i;
  }
}

// Reserve the ranges of the header's table, and the tree itself.
static bool read_reserved(struct parse *p, pa_t fdt_pa) {
  struct pa_range r = {fdt_pa, fdt_pa != 0 ? p->size : 0}, *table = p->m->reserved;
  for (uint32 at = get32(p, 16); add_range(p, table, &p->m->reserved_count, r); at += 16) {
    if (at > p->size || p->size - at < 16)
      return fail(p, "the memory reservation block has no end");
    r = (struct pa_range){cells_at(p, at, 2), cells_at(p, at + 8, 2)};
    if (r.base == 0 && r.size == 0)
      return true;
  }
  return false;
}

// Find the blocks from the header.
static bool read_header(struct parse *p, const void *fdt, uint32 size) {
  uint32 total = size < FDT_HEADER_SIZE ? 0 : fdt_size(fdt);
  if (total < FDT_HEADER_SIZE || total > size || total > __INT_MAX__)
    return fail(p, "not a device tree, or not all of it");
  p->blob = fdt;
  p->size = total;
  p->begin = p->at = get32(p, 8);
  p->strings = get32(p, 12);
  p->end = p->begin + (uint64)get32(p, 36);
  p->strings_end = p->strings + (uint64)get32(p, 32);
  if (p->begin % 4 != 0 || p->begin < FDT_HEADER_SIZE || p->end > total || p->strings_end > total)
    return fail(p, "a block lies outside the tree");
  return true;
}

uint32 fdt_size(const void *fdt) {
  const char *b = fdt;
  bool good = be32(b) == FDT_MAGIC && be32(b + 20) >= FDT_VERSION && be32(b + 24) <= FDT_VERSION;
  return good ? be32(b + 4) : 0;
}

int fdt_read_machine(const void *fdt, uint32 size, pa_t fdt_pa, struct machine *m,
                     const char **why) {
  struct parse p = {.m = m, .console = ""};
  memset(m, 0, sizeof(*m));
  m->has_sstc = m->has_fpu = true;
  if (read_header(&p, fdt, size) && read_reserved(&p, fdt_pa)) {
    read_chosen(&p);
    while (next_node(&p) && visit(&p))
      ;
    find_contexts(&p);
    if (!p.why)
      p.why = m->ram_count == 0    ? "no memory node"
              : m->hart_count == 0 ? "no enabled hart with Sv39"
              : m->timebase == 0   ? "no timebase-frequency"
                                   : NULL;
  }
  *why = p.why;
  return p.why ? -EINVAL : 0;
}
