// SPDX-License-Identifier: MIT
//
// Flattened device trees, read into struct machine.  Devicetree specification 0.4, chapter 5 (the
// format), 2 and 3 (properties and nodes); RISC-V bindings for harts, PLIC and contexts.
//
// A walk goes once over the structure block with an array of levels, one for each open node.  The
// properties of a node precede its children, so a node is complete, and visited, at the token that
// follows its last property.  Three walks: /chosen, then /aliases, then everything else, since the
// console that /chosen names must be known before the UARTs are met.
//
// I1. Nothing is read but through get32 and the bounded comparisons, which check the offset.
// I2. A property that is kept (struct prop) lies within the structure block.
// I3. Depth is at most LEVELS; a deeper tree is refused.
#include "kern/lib/fdt.h"

#include "kern/lib/errno.h"
#include "kern/lib/string.h"

#define FDT_MAGIC       0xd00dfeed
#define FDT_VERSION     17
#define FDT_HEADER_SIZE 40
#define LEVELS          16
#define CONTEXT_SEXT    9  // cpu-intc line of supervisor external interrupts

enum token { TOKEN_BEGIN = 1, TOKEN_END = 2, TOKEN_PROP = 3, TOKEN_NOP = 4, TOKEN_FINISH = 9 };

// The properties that are kept: P_NAME, name.
#define PROPERTIES(X)                                                                              \
  X(P_ADDRESS_CELLS, "#address-cells")                                                             \
  X(P_SIZE_CELLS, "#size-cells")                                                                   \
  X(P_RANGES, "ranges")                                                                            \
  X(P_REG, "reg")                                                                                  \
  X(P_COMPATIBLE, "compatible")                                                                    \
  X(P_DEVICE_TYPE, "device_type")                                                                  \
  X(P_STATUS, "status")                                                                            \
  X(P_PHANDLE, "phandle")                                                                          \
  X(P_INTERRUPTS, "interrupts")                                                                    \
  X(P_EXTENDED, "interrupts-extended")                                                             \
  X(P_MMU_TYPE, "mmu-type")                                                                        \
  X(P_ISA, "riscv,isa")                                                                            \
  X(P_ISA_EXTENSIONS, "riscv,isa-extensions")                                                      \
  X(P_TIMEBASE, "timebase-frequency")                                                              \
  X(P_REG_SHIFT, "reg-shift")                                                                      \
  X(P_REG_WIDTH, "reg-io-width")                                                                   \
  X(P_NDEV, "riscv,ndev")                                                                          \
  X(P_STDOUT, "stdout-path")                                                                       \
  X(P_BOOTARGS, "bootargs")

#define PROP_ID(id, name)   id,
#define PROP_NAME(id, name) name,

enum prop_id { PROPERTIES(PROP_ID) P_ALIAS, PROPS };  // P_ALIAS: named by stdout-path

static const char *const prop_names[P_ALIAS] = {PROPERTIES(PROP_NAME)};

// Where a property's value lies in the blob.  at is 0 when the node has no such property.
struct prop {
  uint32 at, len;
};

enum place { PLACE_OTHER, PLACE_ROOT, PLACE_CHOSEN, PLACE_ALIASES, PLACE_CPUS, PLACE_RESERVED };

struct level {
  struct prop ranges;
  int16_t hart;         // hart whose node this is, else -1
  uint8 address_cells;  // of its children
  uint8 size_cells;
  uint8 place;   // enum place
  bool console;  // its name is the last word of the console's path
};

struct parse {
  const uint8 *blob;
  uint32 size;        // of the blob
  uint32 begin, end;  // structure block
  uint32 strings, strings_end;
  const char *why;
  struct machine *m;
  struct level level[LEVELS];  // level[0] is above the root
  struct prop prop[PROPS];     // of the node whose properties are being read
  uint32 depth;                // open nodes
  struct prop console;         // value of stdout-path, later the path an alias stood for
  bool console_found;
  struct prop contexts;   // the PLIC's interrupts-extended
  uint32 intc[HART_MAX];  // phandle of each hart's interrupt controller
};

static int fail(struct parse *p, const char *why) {
  p->why = why;
  return -EINVAL;
}

static uint32 be32(const uint8 *b) {
  return (uint32)b[0] << 24 | (uint32)b[1] << 16 | (uint32)b[2] << 8 | b[3];
}

// Return the word at offset at, or 0 beyond the blob.
static uint32 get32(const struct parse *p, uint32 at) {
  return at <= p->size && p->size - at >= 4 ? be32(p->blob + at) : 0;
}

// Return whether the string s, its terminator included, stands at offset at, before end.
static bool is_string(const struct parse *p, uint32 at, uint32 end, const char *s) {
  size_t n = strlen(s) + 1;
  return at < end && end - at >= n && memcmp(p->blob + at, s, n) == 0;
}

// Return the length of the string at offset at, or -1 when nothing terminates it before end.
static int64 string_length(const struct parse *p, uint32 at, uint32 end) {
  for (uint32 i = at; i < end; i++)
    if (p->blob[i] == 0)
      return i - at;
  return -1;
}

static bool has(const struct parse *p, enum prop_id id) {
  return p->prop[id].at != 0;
}

static uint32 prop_u32(const struct parse *p, enum prop_id id, uint32 fallback) {
  return has(p, id) && p->prop[id].len >= 4 ? get32(p, p->prop[id].at) : fallback;
}

// Return whether s is among the strings of the property.
static bool prop_lists(const struct parse *p, enum prop_id id, const char *s) {
  uint32 at = p->prop[id].at, end = at + p->prop[id].len;
  while (at < end) {
    if (is_string(p, at, end, s))
      return true;
    int64 n = string_length(p, at, end);
    if (n < 0)
      return false;
    at += n + 1;
  }
  return false;
}

static bool compatible(const struct parse *p, const char *s) {
  return prop_lists(p, P_COMPATIBLE, s);
}

static bool enabled(const struct parse *p) {
  return !has(p, P_STATUS) || prop_lists(p, P_STATUS, "okay") || prop_lists(p, P_STATUS, "ok");
}

static uint64 cells_at(const struct parse *p, uint32 at, uint32 cells) {
  uint64 v = 0;
  for (uint32 i = 0; i < cells; i++)
    v = v << 32 | get32(p, at + 4 * i);
  return v;
}

// Turn an address of the children of level n into one of the CPU's, by the ranges on the way up.
// Returns whether it has one.  Devicetree specification 2.3.8.
static bool translate(const struct parse *p, uint32 n, uint64 *address) {
  for (; n > 1; n--) {
    const struct level *l = &p->level[n], *up = &p->level[n - 1];
    uint32 entry = 4 * (l->address_cells + up->address_cells + l->size_cells);
    if (l->ranges.len == 0 || entry == 0)
      continue;  // identity
    bool found = false;
    for (uint32 i = 0; l->address_cells <= 2 && i + entry <= l->ranges.len && !found; i += entry) {
      uint32 at = l->ranges.at + i;
      uint64 child = cells_at(p, at, l->address_cells);
      uint64 parent = cells_at(p, at + 4 * l->address_cells, up->address_cells);
      uint64 size = cells_at(p, at + entry - 4 * l->size_cells, l->size_cells);
      found = *address >= child && *address - child < size;
      if (found)
        *address = *address - child + parent;
    }
    if (!found)
      return false;
  }
  return true;
}

// Read entry i of the node's reg.  Returns whether there is one that makes sense.
static bool read_reg(const struct parse *p, uint32 i, struct pa_range *r) {
  const struct level *up = &p->level[p->depth - 1];
  uint32 entry = 4 * (up->address_cells + up->size_cells);
  const struct prop *reg = &p->prop[P_REG];
  if (entry == 0 || up->address_cells > 2 || up->size_cells > 2 || i >= reg->len / entry)
    return false;
  uint32 at = reg->at + i * entry;
  r->base = cells_at(p, at, up->address_cells);
  r->size = cells_at(p, at + 4 * up->address_cells, up->size_cells);
  return translate(p, p->depth - 1, &r->base) && r->base + r->size >= r->base;
}

// Add a range to a table sorted by base, merging what touches.  Returns whether it fitted.
static bool range_add(struct pa_range *table, uint32 *count, struct pa_range r) {
  uint32 kept = 0;
  for (uint32 i = 0; i < *count; i++) {
    struct pa_range *t = &table[i];
    if (t->base > r.base + r.size || r.base > t->base + t->size) {
      table[kept++] = *t;
      continue;
    }
    uint64 end = t->base + t->size > r.base + r.size ? t->base + t->size : r.base + r.size;
    r.base = t->base < r.base ? t->base : r.base;
    r.size = end - r.base;
  }
  *count = kept;
  if (kept == MACHINE_RANGES)
    return false;
  uint32 at = kept;
  for (; at > 0 && table[at - 1].base > r.base; at--)
    table[at] = table[at - 1];
  table[at] = r;
  *count = kept + 1;
  return true;
}

static int read_ranges(struct parse *p, struct pa_range *table, uint32 *count, const char *why) {
  struct pa_range r;
  for (uint32 i = 0; read_reg(p, i, &r); i++)
    if (r.size != 0 && !range_add(table, count, r))
      return fail(p, why);
  return 0;
}

// Return whether the ISA string has the extension: letters follow "rv64" up to the first underscore
// (G holds I, M, A, F and D), words stand between underscores.
static bool isa_has(const struct parse *p, const char *name) {
  const struct prop *isa = &p->prop[P_ISA];
  const uint8 *s = p->blob + isa->at;
  size_t n = strlen(name);
  bool letters = true;
  for (uint32 i = 4; i + n <= isa->len && s[i] != 0; i++) {
    letters &= s[i] != '_';
    if (letters ? n == 1 && (s[i] == name[0] || s[i] == 'g')
                : s[i - 1] == '_' && memcmp(s + i, name, n) == 0 &&
                      (i + n == isa->len || s[i + n] == '_' || s[i + n] == 0))
      return true;
  }
  return false;
}

static bool hart_has(const struct parse *p, const char *extension) {
  return has(p, P_ISA_EXTENSIONS) ? prop_lists(p, P_ISA_EXTENSIONS, extension)
                                  : isa_has(p, extension);
}

static bool mmu_capable(const struct parse *p) {
  return prop_lists(p, P_MMU_TYPE, "riscv,sv39") || prop_lists(p, P_MMU_TYPE, "riscv,sv48") ||
         prop_lists(p, P_MMU_TYPE, "riscv,sv57");
}

static int visit_hart(struct parse *p) {
  struct machine *m = p->m;
  const struct level *up = &p->level[p->depth - 1];
  if (up->address_cells < 1 || up->address_cells > 2 || p->prop[P_REG].len < 4u * up->address_cells)
    return fail(p, "a hart has no number");
  if (m->timebase == 0)
    m->timebase = prop_u32(p, P_TIMEBASE, 0);
  if (!enabled(p) || !mmu_capable(p))
    return 0;
  if (m->hart_count == HART_MAX) {
    m->harts_beyond++;
    return 0;
  }
  m->has_sstc &= hart_has(p, "sstc");
  m->has_fpu &= hart_has(p, "f") && hart_has(p, "d");
  p->level[p->depth].hart = m->hart_count;
  m->hart_id[m->hart_count++] = cells_at(p, p->prop[P_REG].at, up->address_cells);
  return 0;
}

// Return the source of the node's first interrupt, or 0.  Its parent is taken to be the PLIC.
static uint32 interrupt_source(const struct parse *p) {
  if (has(p, P_EXTENDED) && p->prop[P_EXTENDED].len >= 8)
    return get32(p, p->prop[P_EXTENDED].at + 4);
  return prop_u32(p, P_INTERRUPTS, 0);
}

static void visit_uart(struct parse *p, struct pa_range reg) {
  struct machine *m = p->m;
  bool console = p->level[p->depth].console;
  if (m->uart.size != 0 && (p->console_found || !console))
    return;
  p->console_found = console;
  m->uart = reg;
  m->uart_irq = interrupt_source(p);
  m->uart_shift = prop_u32(p, P_REG_SHIFT, 0);
  m->uart_width = prop_u32(p, P_REG_WIDTH, 1);
}

static void visit_virtio(struct parse *p, struct pa_range reg) {
  struct machine *m = p->m;
  if (m->virtio_count == MACHINE_VIRTIO)
    return;
  uint32 at = m->virtio_count++;
  for (; at > 0 && m->virtio[at - 1].base > reg.base; at--)
    m->virtio[at] = m->virtio[at - 1];
  m->virtio[at] = (struct virtio_slot){reg.base, reg.size, interrupt_source(p)};
}

static void visit_device(struct parse *p) {
  struct machine *m = p->m;
  struct pa_range reg;
  if (!has(p, P_COMPATIBLE) || !enabled(p) || !read_reg(p, 0, &reg) || reg.size == 0)
    return;
  if (compatible(p, "ns16550a") || compatible(p, "ns16550") || compatible(p, "snps,dw-apb-uart"))
    visit_uart(p, reg);
  else if (compatible(p, "virtio,mmio"))
    visit_virtio(p, reg);
  else if (compatible(p, "sifive,test0") && m->test.size == 0)
    m->test = reg;
  else if ((compatible(p, "sifive,plic-1.0.0") || compatible(p, "riscv,plic0")) &&
           m->plic.size == 0) {
    m->plic = reg;
    m->plic_sources = prop_u32(p, P_NDEV, 0);
    p->contexts = p->prop[P_EXTENDED];
  }
}

static int visit_any(struct parse *p) {
  struct machine *m = p->m;
  const struct level *up = &p->level[p->depth - 1];
  if (p->level[p->depth].place == PLACE_CPUS && has(p, P_TIMEBASE)) {
    const struct prop *t = &p->prop[P_TIMEBASE];
    m->timebase = cells_at(p, t->at, t->len >= 8 ? 2 : 1);
  }
  if (up->place == PLACE_RESERVED)
    return read_ranges(p, m->reserved, &m->reserved_count, "too many reserved ranges");
  if (up->place == PLACE_CPUS && prop_lists(p, P_DEVICE_TYPE, "cpu"))
    return visit_hart(p);
  if (up->hart >= 0 && compatible(p, "riscv,cpu-intc"))
    p->intc[up->hart] = prop_u32(p, P_PHANDLE, 0);
  if (prop_lists(p, P_DEVICE_TYPE, "memory") && enabled(p))
    return read_ranges(p, m->ram, &m->ram_count, "too many memory ranges");
  visit_device(p);
  return 0;
}

static int visit_chosen(struct parse *p) {
  if (p->level[p->depth].place != PLACE_CHOSEN)
    return 0;
  p->console = p->prop[P_STDOUT];
  const struct prop *args = &p->prop[P_BOOTARGS];
  uint32 n = args->len < MACHINE_BOOTARGS ? args->len : MACHINE_BOOTARGS;
  memcpy(p->m->bootargs, p->blob + args->at, n);
  p->m->bootargs[n < MACHINE_BOOTARGS ? n : MACHINE_BOOTARGS - 1] = 0;
  return 0;
}

static int visit_aliases(struct parse *p) {
  if (p->level[p->depth].place == PLACE_ALIASES)
    p->console = p->prop[P_ALIAS];
  return 0;
}

// Return the length of the word at offset at in the console's path: it ends at '/', ':' or NUL.
static uint32 path_word(const struct parse *p, uint32 at) {
  uint32 end = p->console.at + p->console.len, n = 0;
  while (at + n < end && p->blob[at + n] != '/' && p->blob[at + n] != ':' && p->blob[at + n] != 0)
    n++;
  return n;
}

// Return whether the string of that length at offset name is the last word of the console's path.
// Its unit address makes it unique.
static bool is_console(const struct parse *p, uint32 name, uint32 length) {
  uint32 at = p->console.at, end = at + p->console.len;
  for (uint32 i = at; i < end && p->blob[i] != ':' && p->blob[i] != 0; i++)
    if (p->blob[i] == '/')
      at = i + 1;
  uint32 n = path_word(p, at);
  return n > 0 && n == length && memcmp(p->blob + at, p->blob + name, n) == 0;
}

static enum place place_of(const struct parse *p, uint32 name) {
  if (p->depth == 1)
    return PLACE_ROOT;
  if (p->level[p->depth - 1].place != PLACE_ROOT)
    return PLACE_OTHER;
  static const char *const names[] = {[PLACE_CHOSEN] = "chosen",
                                      [PLACE_ALIASES] = "aliases",
                                      [PLACE_CPUS] = "cpus",
                                      [PLACE_RESERVED] = "reserved-memory"};
  for (uint32 i = PLACE_CHOSEN; i < ARRAY_SIZE(names); i++)
    if (is_string(p, name, p->end, names[i]))
      return i;
  return PLACE_OTHER;
}

// Enter the node whose name is at offset at.  Returns the offset after it, or -EINVAL.
static int64 node_begin(struct parse *p, uint32 at) {
  int64 length = string_length(p, at, p->end);
  if (length < 0)
    return fail(p, "a node's name has no end");
  if (++p->depth == LEVELS)
    return fail(p, "nodes nest too deeply");
  p->level[p->depth] = (struct level){.hart = -1, .address_cells = 2, .size_cells = 1};
  struct level *l = &p->level[p->depth];
  l->place = place_of(p, at);
  l->console = is_console(p, at, length);
  memset(p->prop, 0, sizeof(p->prop));
  return ROUND_UP(at + length + 1, 4);
}

// Keep the property at offset at if it is one of ours.  Returns the offset after it, or -EINVAL.
static int64 node_prop(struct parse *p, uint32 at) {
  uint32 len = get32(p, at), name = get32(p, at + 4), value = at + 8;
  if (value > p->end || len > p->end - value)
    return fail(p, "a property runs out of the structure block");
  if (name >= p->strings_end - p->strings)
    return fail(p, "a property's name is outside the strings block");
  name += p->strings;
  for (uint32 i = 0; i < P_ALIAS; i++)
    if (is_string(p, name, p->strings_end, prop_names[i]))
      p->prop[i] = (struct prop){value, len};
  uint32 n = path_word(p, p->console.at);
  if (n > 0 && p->strings_end - name > n && p->blob[name + n] == 0 &&
      memcmp(p->blob + name, p->blob + p->console.at, n) == 0)
    p->prop[P_ALIAS] = (struct prop){value, len};
  return ROUND_UP((uint64)value + len, 4);
}

// All properties of the open node are read: note what its children need, and visit it.
static int node_complete(struct parse *p, int (*visit)(struct parse *)) {
  struct level *l = &p->level[p->depth];
  uint32 address = prop_u32(p, P_ADDRESS_CELLS, 2), size = prop_u32(p, P_SIZE_CELLS, 1);
  if (address > 4 || size > 4)
    return fail(p, "a node has more than 4 address or size cells");
  l->address_cells = address;
  l->size_cells = size;
  l->ranges = p->prop[P_RANGES];
  return visit(p);
}

// Walk the structure block and visit each node.  Returns 0 or -EINVAL.
static int walk(struct parse *p, int (*visit)(struct parse *)) {
  bool reading = false;  // properties of the innermost node
  p->depth = 0;
  for (int64 at = p->begin; at >= 0 && at + 4 <= p->end;) {
    uint32 token = get32(p, at);
    at += 4;
    if (token == TOKEN_NOP)
      continue;
    if (reading && token != TOKEN_PROP && node_complete(p, visit) != 0)
      return -EINVAL;
    if (token == TOKEN_PROP ? !reading : token == TOKEN_END && p->depth == 0)
      return fail(p, "a property or an end outside its node");
    reading = token == TOKEN_BEGIN || token == TOKEN_PROP;
    if (token == TOKEN_BEGIN)
      at = node_begin(p, at);
    else if (token == TOKEN_PROP)
      at = node_prop(p, at);
    else if (token == TOKEN_END)
      p->depth--;
    else
      return token == TOKEN_FINISH && p->depth == 0 ? 0 : fail(p, "unknown token");
  }
  return p->why ? -EINVAL : fail(p, "the structure block has no end");
}

// Sort the harts by number, and give each its S-mode context: the place of its entry in the PLIC's
// list of pairs (controller, line).
static int finish_harts(struct parse *p) {
  struct machine *m = p->m;
  for (uint32 i = 1; i < m->hart_count; i++)
    for (uint32 j = i; j > 0 && m->hart_id[j - 1] >= m->hart_id[j]; j--) {
      if (m->hart_id[j - 1] == m->hart_id[j])
        return fail(p, "two harts have the same number");
      uint64 id = m->hart_id[j];
      uint32 intc = p->intc[j];
      m->hart_id[j] = m->hart_id[j - 1];
      p->intc[j] = p->intc[j - 1];
      m->hart_id[j - 1] = id;
      p->intc[j - 1] = intc;
    }
  for (uint32 h = 0; h < m->hart_count; h++) {
    m->hart_context[h] = MACHINE_NO_CONTEXT;
    for (uint32 i = 0; p->intc[h] != 0 && i < p->contexts.len / 8; i++)
      if (get32(p, p->contexts.at + 8 * i) == p->intc[h] &&
          get32(p, p->contexts.at + 8 * i + 4) == CONTEXT_SEXT)
        m->hart_context[h] = i;
  }
  return 0;
}

// Reserve what the header's table names, and the tree itself.
static int read_reserved(struct parse *p, pa_t fdt_pa) {
  struct machine *m = p->m;
  struct pa_range r;
  for (uint32 at = get32(p, 16);; at += 16) {
    if (at > p->size || p->size - at < 16)
      return fail(p, "the memory reservation block has no end");
    r = (struct pa_range){cells_at(p, at, 2), cells_at(p, at + 8, 2)};
    if (r.base == 0 && r.size == 0)
      break;
    if (r.base + r.size < r.base || (r.size && !range_add(m->reserved, &m->reserved_count, r)))
      return fail(p, "bad or too many reserved ranges");
  }
  r = (struct pa_range){fdt_pa, p->size};
  if (fdt_pa != 0 && !range_add(m->reserved, &m->reserved_count, r))
    return fail(p, "too many reserved ranges");
  return 0;
}

// Find the blocks from the header.
static int read_header(struct parse *p, const void *fdt, uint32 size) {
  uint32 total = size < FDT_HEADER_SIZE ? 0 : fdt_size(fdt);
  if (total < FDT_HEADER_SIZE || total > size)
    return fail(p, "not a device tree, or not all of it");
  p->blob = fdt;
  p->size = total;
  p->begin = get32(p, 8);
  p->strings = get32(p, 12);
  uint32 strings_size = get32(p, 32), struct_size = get32(p, 36);
  if (p->begin % 4 != 0 || p->begin < FDT_HEADER_SIZE || p->begin > total ||
      struct_size > total - p->begin || p->strings > total || strings_size > total - p->strings)
    return fail(p, "a block lies outside the tree");
  p->end = p->begin + struct_size;
  p->strings_end = p->strings + strings_size;
  return 0;
}

// The machine must have what no kernel can do without.
static int check_machine(struct parse *p) {
  struct machine *m = p->m;
  if (m->ram_count == 0)
    return fail(p, "no memory node");
  if (m->hart_count == 0)
    return fail(p, "no enabled hart with Sv39");
  if (m->timebase == 0)
    return fail(p, "no timebase-frequency");
  return 0;
}

uint32 fdt_size(const void *fdt) {
  const uint8 *b = fdt;
  bool good = be32(b) == FDT_MAGIC && be32(b + 20) >= FDT_VERSION && be32(b + 24) <= FDT_VERSION;
  return good ? be32(b + 4) : 0;
}

int fdt_read_machine(const void *fdt, uint32 size, pa_t fdt_pa, struct machine *m,
                     const char **why) {
  struct parse p = {.m = m};
  memset(m, 0, sizeof(*m));
  m->has_sstc = m->has_fpu = true;
  int err = read_header(&p, fdt, size);
  if (err == 0)
    err = read_reserved(&p, fdt_pa);
  if (err == 0)
    err = walk(&p, visit_chosen);
  if (err == 0 && p.console.len != 0 && p.blob[p.console.at] != '/')
    err = walk(&p, visit_aliases);
  if (err == 0)
    err = walk(&p, visit_any);
  if (err == 0)
    err = finish_harts(&p);
  if (err == 0)
    err = check_machine(&p);
  *why = p.why;
  return err;
}
