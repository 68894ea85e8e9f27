// SPDX-License-Identifier: MIT
//
// A plugin for QEMU that writes down which memory the kernel touches.
//
//   -plugin FILE.so,out=PATH,from=ADDRESS,to=ADDRESS,marks=PATH
//
// It writes a struct record to out for each access by an instruction in [from, to), and for each
// time that an instruction is executed whose address is in marks: 8 bytes each, ascending.
//
// QEMU's header for plugins is missing in most distributions, so what is used of it is declared
// here: functions that have been the same in all versions of the interface.  A plugin names its
// version, and QEMU from 9.0 on wants at least 2.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS = 0, READS_AND_WRITES = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
                                           void (*f)(uint64_t id, struct qemu_plugin_tb *block));
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *at,
                                      void (*f)(unsigned hart, uint32_t info, uint64_t address,
                                                void *data),
                                      int flags, int kinds, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *at,
                                            void (*f)(unsigned hart, void *data), int flags,
                                            void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*f)(uint64_t id, void *data), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *at);
bool qemu_plugin_mem_is_store(uint32_t info);
unsigned qemu_plugin_mem_size_shift(uint32_t info);

int qemu_plugin_version = 1;
int qemu_plugin_install(uint64_t id, const void *about, int count, char **arguments);

// As test/tools/sharing reads it.
struct record {
  uint64_t pc;
  uint64_t address;  // 0: a mark
  uint32_t hart;
  uint16_t size;
  uint16_t store;
};

static FILE *out;
static uint64_t from, to, *marks;
static size_t mark_count;

__attribute__((constructor)) static void choose_version(void) {
  if (dlsym(RTLD_DEFAULT, "qemu_plugin_scoreboard_new"))  // new in version 2
    qemu_plugin_version = 2;
}

static void put(struct record r) {
  if (fwrite(&r, sizeof(r), 1, out) != 1) {
    perror("memory-trace");
    exit(1);
  }
}

static void accessed(unsigned hart, uint32_t info, uint64_t address, void *pc) {
  put((struct record){
      .pc = (uint64_t)pc,
      .address = address,
      .hart = hart,
      .size = 1 << qemu_plugin_mem_size_shift(info),
      .store = qemu_plugin_mem_is_store(info),
  });
}

static void marked(unsigned hart, void *pc) {
  put((struct record){.pc = (uint64_t)pc, .hart = hart});
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void translated(uint64_t id, struct qemu_plugin_tb *block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn *at = qemu_plugin_tb_get_insn(block, i);
    uint64_t pc = qemu_plugin_insn_vaddr(at);
    if (pc < from || pc >= to)
      continue;
    if (bsearch(&pc, marks, mark_count, sizeof(pc), compare))
      qemu_plugin_register_vcpu_insn_exec_cb(at, marked, NO_REGISTERS, (void *)pc);
    qemu_plugin_register_vcpu_mem_cb(at, accessed, NO_REGISTERS, READS_AND_WRITES, (void *)pc);
  }
}

static void at_exit(uint64_t id, void *data) {
  (void)id;
  (void)data;
  fclose(out);
}

// Read the file of marks.  Returns whether that went well.
static bool read_marks(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0)
    return false;
  size_t size = (size_t)ftell(file);
  rewind(file);
  marks = malloc(size + 1);
  mark_count = marks ? fread(marks, sizeof(*marks), size / sizeof(*marks), file) : 0;
  fclose(file);
  return mark_count > 0;
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void *about,
                                                               int count, char **arguments) {
  (void)about;
  for (int i = 0; i < count; i++) {
    char *value = strchr(arguments[i], '=');
    if (!value)
      return 1;
    *value++ = 0;
    if (!strcmp(arguments[i], "out"))
      out = fopen(value, "wb");
    else if (!strcmp(arguments[i], "from"))
      from = strtoull(value, NULL, 0);
    else if (!strcmp(arguments[i], "to"))
      to = strtoull(value, NULL, 0);
    else if (!strcmp(arguments[i], "marks") && !read_marks(value))
      return 1;
  }
  if (!out || !marks)
    return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, at_exit, NULL);
  return 0;
}
