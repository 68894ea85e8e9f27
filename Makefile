# SPDX-License-Identifier: MIT
#
# Every command of Bulwark; `make help` lists them.
#
# One makefile, no recursion; everything it makes lies in build/.

.DEFAULT_GOAL := kernel
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := /bin/sh
B := build

# --- options -------------------------------------------------------------------------------------

HAVE_ARCH_VMAP_STACK := y  # the conditions are those of docs/stacks.md; vm_check asserts them
VMAP_STACK ?= y
KASAN ?= n
PROVOKE ?= y
CPUS ?= 3
MEM ?= 128M
QEMU ?= qemu-system-riscv64
HOSTCC ?= cc
PYTHON ?= /usr/bin/python3

quiet = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2);)

# --- tools ---------------------------------------------------------------------------------------

ifndef CROSS
CROSS := $(patsubst %gcc,%,$(notdir $(firstword $(foreach c,riscv64-unknown-elf riscv64-linux-gnu, \
           $(shell command -v $(c)-gcc)))))
endif
CC := $(CROSS)gcc
LD := $(CROSS)ld
NM := $(CROSS)nm
OBJCOPY := $(CROSS)objcopy
OBJDUMP := $(CROSS)objdump

# --- flags ---------------------------------------------------------------------------------------

bit = $(if $(filter y,$($(1))),1,0)

WARNINGS := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wundef -Wvla \
  -Walloca -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough
COMMON := -std=gnu11 -O2 -g -gdwarf-4 -I. -MMD -MP -ffreestanding -fno-omit-frame-pointer \
  -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fno-common
KFLAGS := $(COMMON) $(WARNINGS) -Wframe-larger-than=1024 -fno-shrink-wrap -mcmodel=medany \
  -march=rv64ima_zicsr_zifencei -mabi=lp64 -I$(B)/include -DVMAP_STACK=$(call bit,VMAP_STACK) \
  -DKASAN=$(call bit,KASAN) -DPROVOKE=$(call bit,PROVOKE)
UFLAGS := $(COMMON) $(WARNINGS) -Wframe-larger-than=1024 -ffunction-sections -fdata-sections \
  -mcmodel=medany -march=rv64gc -mabi=lp64d
HOSTFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -I. -MMD -MP
LDFLAGS := -nostdlib -static -z max-page-size=4096 --build-id=none
ULDFLAGS := -nostdlib -static -z max-page-size=16 --gc-sections --build-id=none

# Everything is made again when an option or a tool changes.
OPTIONS := $(CC) $(KFLAGS) / $(UFLAGS) / $(HOSTCC)
$(shell mkdir -p $(B)/include; \
  echo '$(OPTIONS)' | cmp -s - $(B)/options || echo '$(OPTIONS)' > $(B)/options)

# --- kernel --------------------------------------------------------------------------------------

SOURCES := $(filter-out %/offsets.c,$(wildcard $(foreach d,boot trap kern/* vm,$(d)/*.c $(d)/*.S)))
ifneq ($(PROVOKE),y)
SOURCES := $(foreach f,$(SOURCES),$(if $(filter provoke%,$(notdir $(f))),,$(f)))
endif
OBJECTS := $(SOURCES:%=$(B)/%.o)
OFFSETS := $(wildcard boot/offsets.c trap/offsets.c kern/*/offsets.c vm/offsets.c)

kernel: $(B)/kernel

$(B)/%.c.o: %.c $(B)/options
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(CC) $(KFLAGS) -c -o $@ $<

$(B)/%.S.o: %.S $(B)/options $(B)/include/offsets.h
	@mkdir -p $(@D)
	$(call quiet,AS,$<)$(CC) $(KFLAGS) -c -o $@ $<

$(B)/%/offsets.s: %/offsets.c $(B)/options
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(CC) $(KFLAGS) -MT $@ -S -o $@ $<

$(B)/include/offsets.h: $(OFFSETS:%.c=$(B)/%.s)
	$(call quiet,OFFSETS,$@)sed -n 's/^#OFFSET \([A-Z0-9_]*\) \(-*[0-9]*\)$$/#define \1 \2/p' $^ > $@

$(B)/kernel.lds: kernel.ld vm/layout.h $(B)/options
	$(call quiet,CPP,$<)$(CC) -E -P -x c -I. -undef -o $@ $<

# Two links: the first to learn the addresses, the second with the table of them at the end of
# .rodata, which moves no function.  The comparison makes sure.
$(B)/kernel: $(OBJECTS) $(B)/kernel.lds kern/lib/symbols.awk
	$(call quiet,LD,$@)printf '%s\n' '.section .symbols, "a"' \
	  '.globl symbol_count, symbol_table, symbol_names' \
	  'symbol_count:' 'symbol_table:' 'symbol_names: .8byte 0' > $(B)/symbols0.S
	@$(CC) $(KFLAGS) -c -o $(B)/symbols0.o $(B)/symbols0.S
	@$(LD) $(LDFLAGS) -T $(B)/kernel.lds -o $(B)/kernel0 $(OBJECTS) $(B)/symbols0.o
	@$(NM) -nS $(B)/kernel0 | awk -f kern/lib/symbols.awk > $(B)/symbols.S
	@$(CC) $(KFLAGS) -c -o $(B)/symbols.o $(B)/symbols.S
	@$(LD) $(LDFLAGS) -T $(B)/kernel.lds -o $@ $(OBJECTS) $(B)/symbols.o
	@$(NM) -nS $@ | awk -f kern/lib/symbols.awk | cmp - $(B)/symbols.S

# --- user programs and the disk image ------------------------------------------------------------

PROGRAMS := $(filter-out mkfs,$(patsubst user/%.c,%,$(wildcard user/*.c)))
ULIB := $(patsubst %,$(B)/%.o,$(wildcard user/lib/*.c user/lib/*.S))
EXTRA_FILES ?=

$(B)/user/%.c.o: user/%.c $(B)/options
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(CC) $(UFLAGS) -c -o $@ $<

$(B)/user/%.S.o: user/%.S $(B)/options
	@mkdir -p $(@D)
	$(call quiet,AS,$<)$(CC) $(UFLAGS) -c -o $@ $<

# A program is user/NAME.c and whatever lies in user/NAME/.
parts = $(patsubst %,$(B)/%.o,$(wildcard user/$(1)/*.c user/$(1)/*.S))

.SECONDEXPANSION:
$(PROGRAMS:%=$(B)/user/%.elf): $(B)/user/%.elf: $(B)/user/%.c.o $$(call parts,$$*) $(ULIB) \
    user/user.ld
	$(call quiet,LD,$@)$(LD) $(ULDFLAGS) -T user/user.ld -o $@ $(filter %.o,$^)

$(PROGRAMS:%=$(B)/user/%): %: %.elf
	@$(OBJCOPY) -S $< $@

$(B)/mkfs: user/mkfs.c $(B)/options
	$(call quiet,HOSTCC,$<)$(HOSTCC) $(HOSTFLAGS) -MF $(B)/mkfs.d -o $@ $<

$(B)/fs.img: $(B)/mkfs $(PROGRAMS:%=$(B)/user/%) $(EXTRA_FILES)
	$(call quiet,MKFS,$@)$(B)/mkfs $@ $(PROGRAMS:%=$(B)/user/%) $(EXTRA_FILES)

image: $(B)/fs.img

# --- running -------------------------------------------------------------------------------------

QEMU_FLAGS = -machine virt -bios default -kernel $(B)/kernel -smp $(CPUS) -m $(MEM) -nographic \
  $(if $(MODERN),-global virtio-mmio.force-legacy=false) \
  $(if $(IMAGE),-drive file=$(IMAGE),if=none,format=raw,id=x0 \
  -device virtio-blk-device$(comma)drive=x0$(comma)bus=virtio-mmio-bus.0)
comma := ,
IMAGE := $(if $(wildcard user/mkfs.c),$(B)/fs.img)

qemu: $(B)/kernel $(IMAGE)
	$(QEMU) $(QEMU_FLAGS) -append '$(APPEND)'

clean:
	rm -rf $(B) .gdbinit

.PHONY: kernel image qemu clean

-include $(OBJECTS:.o=.d) $(ULIB:.o=.d) $(OFFSETS:%.c=$(B)/%.d) $(wildcard $(B)/*.d $(B)/user/*.d)
