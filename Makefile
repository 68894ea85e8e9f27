# SPDX-License-Identifier: MIT
#
# Every command of Bulwark; `make help` lists them.
#
# One makefile, no recursion; everything it makes lies in build/.  test/tools/doctor looks for the
# tools before anything is built, and installs what is missing.

.DEFAULT_GOAL := kernel
.DELETE_ON_ERROR:
.SECONDARY:
.SECONDEXPANSION:
.SUFFIXES:

# Paths may hold anything, $(shell ...) and quotes too, and make must not expand it.  First of all:
# from 4.4 on make hands its variables to every shell it asks.
PATHS := SUBMISSION JSON JUNIT TAP HTML LOGS DIR
$(foreach v,$(PATHS),$(eval override $(v) := $$(value $(v))))

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
SHELL := /bin/sh
# Elsewhere [A-Z] may leave letters out.
export LC_ALL := C
BUILD ?= build
# Only make lint takes a warning for an error, in a folder of its own.
B := $(BUILD)$(if $(filter lint lint-%,$(MAKECMDGOALS)),/strict)
GDBINIT ?= $(B)/gdbinit
comma := ,

# --- options -------------------------------------------------------------------------------------

# The machine meets the conditions for stacks in a window, which docs/vmap-stack.md lists; vm_check
# asserts them.
HAVE_ARCH_VMAP_STACK ?= y

VMAP_STACK ?= y
KASAN ?= n
PROVOKE ?= y
CPUS ?= 3
MEM ?= 128M
QEMU ?= qemu-system-riscv64
GDB ?= gdb-multiarch
HOSTCC ?= cc
PYTHON ?= /usr/bin/python3
GDBPORT ?= $(shell expr 25000 + $$(id -u) % 5000)
export QEMU GDB GDB_ARGS HOSTCC PYTHON

VARIABLES := VMAP_STACK HAVE_ARCH_VMAP_STACK KASAN PROVOKE CPUS MEM QEMU GDB HOSTCC PYTHON \
  GDBPORT CROSS LLVM MODERN APPEND ARGS EXTRA_FILES EXTRA_PROGRAMS QEMU_ARGS GDB_ARGS BUILD \
  GDBINIT V CASES SUBMISSION JOBS JSON JUNIT TAP HTML LOGS KEEP SCALE MUTANTS LAB DIR

COMMANDS := tools kernel image qemu demo bench qemu-gdb gdb host model test grade mutants lab \
  labs handin lint \
  lint-format lint-text lint-warnings lint-layers lint-instructions lint-headers lint-clang \
  lint-shell doctor clean help

$(foreach g,$(MAKECMDGOALS),$(if $(filter $(COMMANDS) run-% $(BUILD)/%,$(g)),, \
  $(error there is no command $(g); `make help` lists the commands)))
$(foreach v,$(.VARIABLES),$(if $(filter command%,$(origin $(v))),$(if $(filter $(v), \
  $(VARIABLES) MAKEFLAGS),,$(error there is no option $(v)=; `make help` lists the options))))
$(foreach v,QEMU GDB HOSTCC PYTHON GDBPORT GDBINIT,$(if $(strip $(value $(v))),, \
  $(error $(v)= is empty: name one$(comma) or leave it out)))
$(foreach v,VMAP_STACK HAVE_ARCH_VMAP_STACK KASAN PROVOKE,$(if $(filter y n,$($(v))),, \
  $(error $(v)=$($(v)): y or n)))
$(foreach v,MODERN LLVM V,$(if $(filter-out 1,$($(v))),$(error $(v)=$($(v)): 1, or leave it out)))
ifneq ($(words $(BUILD)),1)
$(error BUILD=$(BUILD): a folder$(comma) with no blanks in its path)
endif
ifneq ($(words $(CPUS))$(filter-out $(shell seq 32),$(CPUS)),1)
$(error CPUS=$(CPUS): a number from 1 to 32)
endif
MEGABYTES := $(shell expr '$(MEM)' : '[1-9][0-9]\{0,5\}[MG]$$' '>' 0 >/dev/null && \
  echo $$(($(subst G,*1024,$(MEM:%M=%)))))
ifneq ($(words $(MEGABYTES))$(filter-out $(shell seq 64 4096),$(MEGABYTES)),1)
$(error MEM=$(MEM): from 64M to 4G$(comma) such as 128M or 1G)
endif
ifneq ($(SCALE),)
ifeq ($(filter-out 0,$(shell expr '$(SCALE)' : '[0-9]*[.]\{0,1\}[0-9]*$$' '&' \
  '$(SCALE)' : '.*[1-9]')),)
$(error SCALE=$(SCALE): a number above 0 such as 4 or 0.5)
endif
endif
ifneq ($(findstring ',$(APPEND)$(ARGS))$(findstring ",$(APPEND)$(ARGS)),)
$(error APPEND= and ARGS= are words between blanks$(comma) and may have no quotes in them)
endif
ifneq ($(filter-out %.c,$(EXTRA_PROGRAMS)),)
$(error EXTRA_PROGRAMS=$(filter-out %.c,$(EXTRA_PROGRAMS)): C sources$(comma) one a program; \
  a program that is built already is for EXTRA_FILES=)
endif
ifneq ($(words $(EXTRA_PROGRAMS)),$(words $(sort $(notdir $(EXTRA_PROGRAMS)))))
$(error EXTRA_PROGRAMS=$(EXTRA_PROGRAMS): two of one name)
endif
ifneq ($(and $(filter y,$(KASAN)),$(LLVM)),)
$(error KASAN=y is for gcc$(comma) not for LLVM=1: leave one out)
endif
ifeq ($(VMAP_STACK)$(HAVE_ARCH_VMAP_STACK),yn)
$(error VMAP_STACK=y needs HAVE_ARCH_VMAP_STACK=y (docs/vmap-stack.md); build with VMAP_STACK=n)
endif
ifeq ($(VMAP_STACK)$(KASAN),ny)
$(error KASAN=y needs VMAP_STACK=y: it shadows the stacks of the window)
endif
ifeq ($(VMAP_STACK),n)
$(foreach c,$(filter test grade mutants demo,$(MAKECMDGOALS)),$(error make $(c) is about stacks \
  with guards: leave VMAP_STACK=n out (make demo shows both)))
endif
ifeq ($(PROVOKE),n)
$(foreach c,$(filter test grade mutants demo,$(MAKECMDGOALS)),$(error make $(c) provokes faults: \
  leave PROVOKE=n out))
endif
ifeq ($(KASAN)$(filter test,$(MAKECMDGOALS)),ytest)
$(error make test builds a kernel with KASAN=y itself$(comma) beside the one without: \
  leave KASAN=y out (make grade takes it))
endif

# --- tools ---------------------------------------------------------------------------------------

# What test/tools/doctor has to look for, by command.
NEEDS := build \
  $(if $(filter qemu qemu-gdb bench demo run-%,$(MAKECMDGOALS)),qemu) \
  $(if $(filter gdb qemu-gdb,$(MAKECMDGOALS)),gdb) \
  $(if $(filter test model grade bench demo,$(MAKECMDGOALS)),test) \
  $(if $(filter lint%,$(MAKECMDGOALS)),lint) $(if $(LLVM),llvm)

# Asked for when first used: by then the doctor has been.
ifndef CROSS
override CROSS = $(eval override CROSS := $(shell CROSS= test/tools/doctor --cross))$(CROSS)
endif

ifdef LLVM
CC := clang --target=riscv64-unknown-elf -mno-relax
LD := ld.lld
NM := llvm-nm
OBJCOPY := llvm-objcopy
OBJDUMP := llvm-objdump
else
CC = $(CROSS)gcc
LD = $(CROSS)ld
NM = $(CROSS)nm
OBJCOPY = $(CROSS)objcopy
OBJDUMP = $(CROSS)objdump
endif

# $(call say,WORD,FILE) begins a recipe: with V=1 make shows the command instead.
ifdef V
say =
else
say = @printf '  %-8s %s\n' $(1) $(2);
endif

# --- flags ---------------------------------------------------------------------------------------

bit = -D$(1)=$(if $(filter y,$($(1))),1,0)

# An error with each compiler is what newer ones refuse by themselves, and in the kernel a frame
# whose size is unknown or too large: guards are made for FRAME_MAX (docs/kernel-stacks.md).
STRICT := $(if $(filter-out $(BUILD),$(B)),-Werror)
WARNINGS := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wundef -Wvla \
  -Walloca -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough \
  $(patsubst %,-Werror=%,implicit-function-declaration implicit-int int-conversion \
  incompatible-pointer-types)
COMMON := -std=gnu11 -O2 -g -gdwarf-4 -I. -ffreestanding -fno-omit-frame-pointer -fno-pic -fno-pie \
  -fno-stack-protector -fno-asynchronous-unwind-tables -fno-common -mcmodel=medany $(WARNINGS)
# No compressed instructions and no shrink-wrapping: the backtracer reads prologues.  No sibling
# calls: a backtrace names every caller.
# gcc's -Wframe-larger-than leaves saved registers out.
FRAME_MAX := $(if $(filter y,$(KASAN)),2032,1024)
KGCC := -march=rv64ima_zicsr_zifencei -mabi=lp64 -Werror=stack-usage=$(FRAME_MAX) \
  -fno-shrink-wrap -fno-tree-loop-distribute-patterns -fno-optimize-sibling-calls
KCLANG = $(eval KCLANG := -mabi=lp64 -march=rv64ima$(shell clang --target=riscv64 \
  -march=rv64ima_zicsr_zifencei -E -x c /dev/null >/dev/null 2>&1 && \
  echo _zicsr_zifencei) -Wframe-larger-than=$(FRAME_MAX) -Werror=frame-larger-than)$(KCLANG)
KISA = $(if $(LLVM),$(KCLANG) -mllvm -enable-shrink-wrap=false,$(KGCC))
KFLAGS := $(COMMON) -Werror=vla -Werror=alloca -I$(B)/include -DFRAME_MAX=$(FRAME_MAX) \
  $(foreach v,VMAP_STACK KASAN PROVOKE,$(call bit,$(v)))
CHECK_FLAGS := -fsanitize=kernel-address --param asan-stack=1 --param asan-globals=1 \
  --param asan-instrumentation-with-call-threshold=0 -fasan-shadow-offset=$(shell \
  sed -n 's/^.define SHADOW_OFFSET LAYOUT_UL(\(.*\))/\1/p' vm/layout.h)
UFLAGS := $(COMMON) -Wframe-larger-than=1024 -ffunction-sections -fdata-sections \
  -march=rv64gc -mabi=lp64d
HOSTFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -I.
DEPS := -MMD -MP
LDFLAGS := -nostdlib -static --build-id=none

# Everything is made again when an option or a tool changes.
OPTIONS = $(CC) $(STRICT) $(KISA) $(KFLAGS) $(CHECK_FLAGS) $(UFLAGS) $(HOSTCC)

tools:
	@MAKE='$(MAKE_COMMAND)' test/tools/doctor $(NEEDS)

$(B)/options: tools
	@test/tools/folder make $(BUILD) $(B)
	@echo '$(OPTIONS)' | cmp -s - $@ || echo '$(OPTIONS)' > $@

# --- kernel --------------------------------------------------------------------------------------

SOURCES := $(filter-out %/offsets.c,$(wildcard $(foreach d,boot trap kern/* vm,$(d)/*.c $(d)/*.S)))
ifeq ($(PROVOKE),n)
SOURCES := $(filter-out kern/provoke/%,$(SOURCES))
endif
ifeq ($(KASAN),n)
SOURCES := $(foreach f,$(SOURCES),$(if $(filter %kasan.c vm/kasan%,$(f)),,$(f)))
endif
OBJECTS := $(SOURCES:%=$(B)/%.o)
OFFSETS := $(wildcard boot/offsets.c trap/offsets.c kern/*/offsets.c vm/offsets.c)

kernel: $(B)/kernel

$(B)/%.c.o: %.c $(B)/options
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) $(KISA) $(KFLAGS) $(CHECKS) $(DEPS) -c -o $@ $<

# KASAN=y checks all C code but what boots, traps, reports, allocates, and provokes (docs/kasan.md).
UNCHECKED := boot/% trap/% kern/lib/% $(filter-out %/kasan.c,$(wildcard kern/provoke/*.c)) \
  $(patsubst %,vm/%.c,check kasan_shadow kasan_report kmalloc page pagetable ram tlb)
ifeq ($(KASAN),y)
$(patsubst %,$(B)/%.o,$(filter-out $(UNCHECKED),$(filter %.c,$(SOURCES)))): CHECKS = $(CHECK_FLAGS)
endif

$(B)/%.S.o: %.S $(B)/options $(B)/include/offsets.h
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(STRICT) $(KISA) $(KFLAGS) $(DEPS) -c -o $@ $<

# The one file that may name floating-point registers.
$(B)/kern/sched/fpu.S.o: KISA := -march=rv64g -mabi=lp64

# The few numbers that assembly needs from C; see kern/lib/offset.h.
$(B)/%/offsets.s: %/offsets.c $(B)/options
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) $(KISA) $(KFLAGS) $(DEPS) -MF $(@:.s=.d) -MT $@ -S -o $@ $<

$(B)/include/offsets.h: $(OFFSETS:%.c=$(B)/%.s)
	$(call say,OFFSETS,$@)sed -n 's/^[[:space:]]*#OFFSET \([A-Z0-9_]* -*[0-9]*\)$$/#define \1/p' \
	  $^ > $@

$(B)/kernel.lds: kernel.ld vm/layout.h $(B)/options
	$(call say,CPP,$<)$(CC) -E -P -x c -I. -undef -o $@ $<

# Two links: the first to learn the addresses, the second with the table of them at the end of
# .rodata, which moves no function.  The comparison makes sure.
LINK = $(LD) $(LDFLAGS) -z max-page-size=4096 -T $(B)/kernel.lds $(OBJECTS)
SYMBOLS = $(NM) -nS $(1) | awk -f kern/lib/symbols.awk

$(B)/kernel: $(OBJECTS) $(B)/kernel.lds kern/lib/symbols.awk
	$(call say,LD,$@)awk -f kern/lib/symbols.awk /dev/null > $(B)/symbols.S
	@$(CC) $(KISA) $(KFLAGS) -c -o $(B)/symbols.o $(B)/symbols.S
	@$(LINK) $(B)/symbols.o -o $@.first
	@$(call SYMBOLS,$@.first) > $(B)/symbols.S
	@$(CC) $(KISA) $(KFLAGS) -c -o $(B)/symbols.o $(B)/symbols.S
	@$(LINK) $(B)/symbols.o -o $@
	@$(call SYMBOLS,$@) | cmp - $(B)/symbols.S

# --- user programs and the disk image ------------------------------------------------------------

PROGRAMS := $(filter-out mkfs,$(patsubst user/%.c,%,$(wildcard user/*.c)))
ULIB := $(patsubst %,$(B)/%.o,$(wildcard user/lib/*.c user/lib/*.S))

$(B)/user/%.c.o: user/%.c $(B)/options
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) $(UFLAGS) $(DEPS) -c -o $@ $<

$(B)/user/%.S.o: user/%.S $(B)/options
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(STRICT) $(UFLAGS) $(DEPS) -c -o $@ $<

# A program is user/NAME.c and whatever lies in user/NAME/.  Here with symbols, for GDB; the image
# gets it without them.
parts = $(patsubst %,$(B)/%.o,$(wildcard user/$(1)/*.c user/$(1)/*.S))

$(PROGRAMS:%=$(B)/user/%.elf): $(B)/user/%.elf: $(B)/user/%.c.o $$(call parts,$$*) $(ULIB) \
    user/user.ld
	$(call say,LD,$@)$(LD) $(LDFLAGS) -z max-page-size=16 --gc-sections -T user/user.ld -o $@ \
	  $(filter %.o,$^)

$(PROGRAMS:%=$(B)/bin/%): $(B)/bin/%: $(B)/user/%.elf
	@mkdir -p $(@D)
	@$(OBJCOPY) -S $< $@

# Sources of programs for xv6, from elsewhere: against the headers in user/xv6/, in the C of earlier
# days, without warnings.  They see of user/lib/ what those headers name; what a program has itself
# replaces even that.  A copy is compiled, since quotes look beside the source first, where this
# tree's own user/user.h may be.
EXTRA := $(basename $(notdir $(EXTRA_PROGRAMS)))
EXTRA_FLAGS := $(filter-out -O2 -I. -W%,$(UFLAGS)) -O -w -Wno-implicit-int -Wno-int-conversion \
  -Wno-implicit-function-declaration -Wno-incompatible-pointer-types -Wno-return-mismatch \
  -Wno-incompatible-function-pointer-types -Wno-return-type -iquote user/xv6 -Iuser/xv6 \
  -Iuser/xv6/user
EXTRA_KEEP = _start $(shell LC_ALL=C sed -n 's/^[a-z][a-z ]*[ *]\**\([a-z_]*\)(.*).*/\1/p' \
  user/xv6/user/user.h)
extra_source = $(foreach f,$(EXTRA_PROGRAMS),$(if $(filter $(1).c,$(notdir $(f))),$(f)))

$(EXTRA:%=$(B)/extra/%.o): $(B)/extra/%.o: $$(call extra_source,$$*) $(B)/options $(B)/extra/list
	@{ echo '#line 1 "$<"'; cat $<; } > $(@:.o=.c)
	$(call say,CC,$<)$(CC) $(EXTRA_FLAGS) -iquote $(<D) $(DEPS) -c -o $@ $(@:.o=.c)

$(B)/extra/list: $(B)/options
	@mkdir -p $(@D)
	@echo '$(EXTRA_PROGRAMS)' | cmp -s - $@ || echo '$(EXTRA_PROGRAMS)' > $@

$(B)/user/xv6.o: $(ULIB) user/xv6/user/user.h
	$(call say,LD,$@)$(LD) -r -o $@ $(filter %.o,$^)
	@$(OBJCOPY) $(addprefix --keep-global-symbol=,$(EXTRA_KEEP)) --weaken $@

$(EXTRA:%=$(B)/extra/%.elf): $(B)/extra/%.elf: $(B)/extra/%.o $(B)/user/xv6.o user/user.ld
	$(call say,LD,$@)$(LD) $(LDFLAGS) -z max-page-size=16 --gc-sections -T user/user.ld -o $@ \
	  $(filter %.o,$^)

$(EXTRA:%=$(B)/extra/%): $(B)/extra/%: $(B)/extra/%.elf
	@$(OBJCOPY) -S $< $@

$(B)/mkfs: user/mkfs.c $(B)/options
	$(call say,HOSTCC,$<)$(HOSTCC) $(STRICT) $(HOSTFLAGS) $(DEPS) -o $@ $<

# Course material expects a README.
$(B)/README: README.md $(B)/options
	@cp $< $@

FILES := $(patsubst %,$(B)/bin/%,$(filter-out $(EXTRA),$(PROGRAMS))) $(EXTRA:%=$(B)/extra/%) \
  $(EXTRA_FILES) $(B)/README

# Made again, empty of what was written to it, when any of the files changes, or their list.
$(B)/fs.img: $(B)/mkfs $(FILES) $(B)/files
	@test/tools/unused $@
	$(call say,MKFS,$@)$(B)/mkfs $@ $(FILES)

# Only of files that there are: a wrong name in EXTRA_FILES= changes nothing.
$(B)/files: tools $(B)/options | $(FILES)
	@echo '$(FILES)' | cmp -s - $@ || echo '$(FILES)' > $@

image: $(B)/fs.img

# --- running -------------------------------------------------------------------------------------

# These have the image read, and for each machine a copy of what is written.
bench demo test grade mutants: readable
readable:
	@test/tools/unused -r $(B)/fs.img

MACHINE = $(QEMU) -machine virt -bios default -kernel $(B)/kernel -smp $(CPUS) -m $(MEM) \
  $(if $(MODERN),-global virtio-mmio.force-legacy=false) $(QEMU_ARGS)
DISK := -drive file=$(B)/fs.img,if=none,format=raw,id=x0 \
  -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0

# Without a terminal the machine ends with the shell, and with its status.
qemu: kernel image
	@[ ! -t 0 ] || echo 'Leave with ^A x, or type poweroff.'
	@exec env BOOT_LOG=$(B)/console.log test/tools/boot $(MACHINE) $(DISK) \
	  -append '$(APPEND)'"$$([ -t 0 ] || echo '$(if $(filter --,$(APPEND)),, -- sh)')"

run-%: kernel image
	@exec env BOOT_LOG=$(B)/run-$*.log test/tools/boot $(MACHINE) $(DISK) -snapshot \
	  -append '$(APPEND) -- /$* $(ARGS)'

# What runs for long is started by exec, and on a leash: it ends with make, however make ends.

# On one hart, with room for ten thousand processes.
bench: override CPUS := 1
bench: MEM := 1G
bench: kernel image
	@exec test/tools/leash $(PYTHON) test/tools/bench $(OBJDUMP) $(B) $(MACHINE) $(DISK) -snapshot \
	  -display none -serial stdio -icount shift=0 -append 'nproc=10100 $(APPEND) -- /bench $(ARGS)'

# The script builds the kernel with VMAP_STACK=n, in $(B)/vmap-n.
demo: kernel image
	@exec test/tools/leash $(PYTHON) test/tools/demo $(B)

qemu-gdb: kernel image $(GDBINIT)
	@$(PYTHON) test/tools/gdb-port $(GDBPORT)
	@echo 'QEMU waits for GDB at port $(GDBPORT).  In another terminal, in this directory, type:'
	@echo '  make gdb $(subst ','\'',$(MAKEOVERRIDES))'
	@echo 'Then `continue`.  Leave QEMU with ^A x.'
	@exec env BOOT_LOG=$(B)/console.log BOOT_LIMIT=0 test/tools/boot $(MACHINE) $(DISK) \
	  -append 'gdb $(APPEND)' -S -gdb tcp:127.0.0.1:$(GDBPORT)

gdb: kernel image $(GDBINIT)
	@exec env BOOT_LOG=$(B)/gdb.log GDBINIT=$(GDBINIT) test/tools/gdb $(GDBPORT) $(B)/kernel $(GDB) \
	  $(MACHINE) $(DISK) -append 'gdb $(APPEND)' -S -gdb tcp:127.0.0.1:$(GDBPORT)

$(GDBINIT): test/tools/gdbinit $(B)/options tools
	@sed -e 's,@KERNEL@,$(B)/kernel,' -e 's,@PORT@,$(GDBPORT),' -e 's,@USER@,$(B)/user,' \
	  -e 's,@PYTHON@,$(PYTHON),' $< > $@

# --- tests ---------------------------------------------------------------------------------------

# test/host/test_NAME.c is linked with the kernel's NAME.c, unless it includes the source itself,
# and with what a line "// Links: ..." of it names.
HOST_TESTS := $(patsubst %.c,$(B)/%,$(wildcard test/host/test_*.c))

tested = $(shell sed -n 's,^// Links: ,,p' $(1)) $(if $(shell grep '^\#include ".*\.c"' $(1)),, \
  $(wildcard $(foreach d,trap kern/* vm,$(d)/$(patsubst test_%.c,%.c,$(notdir $(1))))))

# The test comes last, since its dependencies, of which it has most, replace those of the others.
$(B)/test/host/%: test/host/%.c $$(call tested,test/host/$$*.c) $(B)/options
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)$(HOSTCC) $(STRICT) $(HOSTFLAGS) $(DEPS) -fsanitize=address,undefined \
	  -fno-sanitize-recover=all -o $@ $(call tested,$<) $<

host: $(HOST_TESTS)
	@for t in $^; do echo "  TEST     $$t"; $$t || exit 1; done

# A stack's life on harts that cache all they may: docs/fences.md.
model: tools
	@exec test/tools/leash $(PYTHON) test/model/check

test: kernel image $(HOST_TESTS)
	@exec test/tools/leash env BUILD=$(B) $(PYTHON) -m pytest -q -n auto test

# The shell gets the paths by the environment.
lower = $(shell echo $(1) | tr A-Z a-z)
export $(PATHS) KEEP

# The script calls make again, since a kernel that does not build has a grade too: none.  Under
# KASAN=y the limits are longer: it takes more instructions, and harts that take turns wait longer
# for each other.
grade: tools
	@exec test/tools/leash env BUILD=$(B) \
	  TEST_TIME_SCALE=$(or $(SCALE),$(if $(filter y,$(KASAN)),4,1)) $(PYTHON) test/grade/grade \
	  $(if $(CASES),--only '$(CASES)') $(if $(JOBS),--jobs $(JOBS)) $(if $(LAB),--lab '$(LAB)') \
	  $(foreach v,$(filter-out DIR,$(PATHS)),$(if $(value $(v)),--$(call lower,$(v)) "$$$(v)"))

# Wrong kernels; each must lose what its patch lists.
mutants: kernel image
	@exec test/tools/leash env TEST_TIME_SCALE=$(or $(SCALE),1) $(PYTHON) test/mutants/run \
	  --build $(B) $(if $(JOBS),--jobs $(JOBS)) $(if $(value JSON),--json "$$JSON") \
	  $(if $(MUTANTS),'$(MUTANTS)')

# A lab is a kernel without its solution: docs/labs/README.md.
lab: tools
	@$(PYTHON) test/labs/lab write '$(LAB)' "$$DIR"

labs: tools
	@exec test/tools/leash $(PYTHON) test/labs/lab check $(LAB)

handin:
	@$(PYTHON) test/labs/lab handin

# --- lint ----------------------------------------------------------------------------------------

HEADERS := $(wildcard boot/*.h trap/*.h kern/*/*.h vm/*.h user/*.h user/*/*.h user/xv6/*/*.h)
CLANG = clang -fsyntax-only $(STRICT) --target=riscv64-unknown-elf $(COMMON)
SCRIPTS = $(shell grep -IlsE '^.!/bin/(ba)?sh' test/*/* .ci/*)

lint: lint-format lint-text lint-warnings lint-layers lint-instructions lint-headers lint-clang \
  lint-shell

lint-format: tools
	$(call say,LINT,format)test/lint/format

lint-text: tools
	$(call say,LINT,text)$(PYTHON) test/lint/text

# The build itself, each warning an error.
lint-warnings: $(OBJECTS) $(PROGRAMS:%=$(B)/user/%.elf) $(B)/mkfs

lint-layers: $(OBJECTS)
	$(call say,LINT,layers)$(PYTHON) test/lint/layers $(NM) $(B)

lint-instructions: $(OBJECTS)
	$(call say,LINT,instructions)$(PYTHON) test/lint/instructions $(OBJDUMP) $(OBJECTS)

lint-headers: $(HEADERS:%=$(B)/lint/%.alone)
lint-clang: $(patsubst %,$(B)/lint/%.clang,$(filter %.c,$(SOURCES)) $(wildcard user/*.c user/*/*.c))

# Every header stands alone.
$(B)/lint/%.h.alone: %.h $(B)/options
	@mkdir -p $(@D)
	$(call say,HEADER,$<)echo '#include "$<"' | \
	  $(CC) $(STRICT) $(KISA) $(KFLAGS) $(DEPS) -MF $@.d -MT $@ -x c -fsyntax-only - && touch $@

$(B)/lint/user/%.clang: user/% $(B)/options
	@mkdir -p $(@D)
	$(call say,CLANG,$<)$(CLANG) -march=rv64gc -mabi=lp64d $(DEPS) -MF $@.d -MT $@ $< && touch $@

$(B)/lint/user/mkfs.c.clang: user/mkfs.c $(B)/options
	@mkdir -p $(@D)
	$(call say,CLANG,$<)clang -fsyntax-only $(STRICT) $(HOSTFLAGS) $(DEPS) -MF $@.d -MT $@ $< \
	  && touch $@

$(B)/lint/%.clang: % $(B)/options
	@mkdir -p $(@D)
	$(call say,CLANG,$<)$(CLANG) $(KCLANG) $(KFLAGS) $(DEPS) \
	  -MF $@.d -MT $@ $< && touch $@

lint-shell: tools
	$(call say,LINT,shell)shellcheck $(SCRIPTS)

# --- the rest ------------------------------------------------------------------------------------

doctor:
	@MAKE='$(MAKE_COMMAND)' test/tools/doctor

clean:
	@test/tools/unused $(BUILD)/fs.img
	@test/tools/folder clean $(B)

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

.DEFAULT:
	@echo 'make: there is no file "$@", and no rule to make it.' >&2; exit 2

.PHONY: $(COMMANDS) readable

include $(shell test/tools/folder deps $(B))

## Commands
##   make               build the kernel
##   make qemu          boot it in QEMU; leave with ^A x
##   make run-NAME      boot into program NAME (ARGS="..."); fails if it does
##   make demo          what an overflow does, without and with guards
##   make qemu-gdb      boot, waiting for GDB in another terminal
##   make gdb           the same with GDB in this terminal
##   make test          every test
##   make host          only the tests that need no QEMU
##   make model         check the model of a stack's life and of its fences
##   make bench         instructions an operation takes (ARGS="..."), with limits
##   make grade         grade the kernel: docs/grading.md
##   make mutants       grade wrong kernels: each must lose what it should
##   make lab           the tree that a student begins a lab with (LAB=name DIR=dir)
##   make handin        in such a tree: an archive of what is handed in
##   make labs          check the labs: starters, solutions, wrong solutions
##   make lint          formatter, layers, warnings of two compilers, and more
##   make image         the disk image, build/fs.img
##   make doctor        which tools there are, and which are missing
##   make clean         remove what was built
##
## Options, such as make qemu CPUS=8 MEM=1G
##   CPUS=3             harts, 1 to 32
##   MEM=128M           memory, 64M to 4G
##   APPEND="..."       boot arguments
##   MODERN=1           virtio version 1 instead of the legacy one
##   EXTRA_FILES="..."  files to add to the disk image
##   EXTRA_PROGRAMS="..."  sources of xv6 programs to compile and add: a.c b.c
##   QEMU_ARGS="..."    more for QEMU; GDB_ARGS="..." for the GDB of make gdb
##   PROVOKE=y          with the device that provokes faults; n: without
##   VMAP_STACK=y       kernel stacks with guards; n: threads' without, to compare
##   HAVE_ARCH_VMAP_STACK=y  the machine is fit for that: docs/vmap-stack.md
##   KASAN=n            y: check each access to kernel memory: docs/kasan.md
##   QEMU=, CROSS=, GDB=, HOSTCC=, PYTHON=
##                      other tools; CROSS is a prefix: riscv64-linux-gnu-
##   GDBPORT=           port for GDB; each user has another one
##   BUILD=build        where everything is made
##   LLVM=1             build with clang and lld
##   CASES="..."        make grade: only these groups or cases
##   SUBMISSION=dir     make grade: kernel sources to grade instead of these
##   JSON=, JUNIT=, TAP=, HTML=  make grade: files to write
##   LAB=name           make grade: the cases of a lab, with its points
##   SCALE=2, JOBS=n    make grade: limits for slow machines; guests at a time
##   LOGS=dir, KEEP=1   make grade: where consoles go; keep a submission's tree
##   MUTANTS="..."      make mutants: only these (a name, a number, a pattern)
##   V=1                show every command
