# SPDX-License-Identifier: MIT
#
# Every command of Bulwark; `make help` lists them.
#
# No recursion, and three parts elsewhere: lint.mk, labs.mk and tools.mk.  Everything it makes lies
# in build/.  test/tools/options looks at what was typed, and test/tools/doctor for the tools,
# before anything is built.

.DEFAULT_GOAL := kernel
# To the make of BSD the first is a command; to macOS, whose GNU make is of 2006, the second speaks.
.error this make is not GNU make, which Bulwark needs. Please type gmake, or see docs/setup :
$(if $(filter 3.%,$(MAKE_VERSION)),$(error GNU make $(MAKE_VERSION) is too old, 4.0 will do: \
  please type gmake, or see docs/setup))
.DELETE_ON_ERROR:
.SECONDARY:
.SECONDEXPANSION:
.SUFFIXES:

# --- options -------------------------------------------------------------------------------------

# In a student's tree, how the kernel of its lab is built.
include $(wildcard test/labs/options.mk)
BUILD ?= build
GDBINIT ?= $(B)/gdbinit
# The machine meets the conditions for stacks in a window, which docs/vmap-stack.md lists; vm_check
# asserts them.
HAVE_ARCH_VMAP_STACK ?= y
VMAP_STACK ?= y
KSTACK_GROW ?= n
KASAN ?= n
LOCKDEP ?= n
PROVOKE ?= y
CPUS ?= 3
MEM ?= 128M
QEMU ?= qemu-system-riscv64
GDB ?= gdb-multiarch
HOSTCC ?= cc
PYTHON ?= /usr/bin/python3
GDBPORT ?= $(shell expr 25000 + $$(id -u) % 5000)
WATCHPORT ?= $(shell expr 30000 + $$(id -u) % 2000)

# What scripts get by the environment.  The grader's options have the names of these, in small.
GRADED := LAB SEED SUBMISSION JSON JUNIT TAP HTML MARKDOWN GRADESCOPE CLASSROOM50 LOGS
CLASS := SUBMISSIONS OUT ROSTER LATE_COST REGRADE HOSTS
OPTIONS := BUILD GDBINIT HAVE_ARCH_VMAP_STACK VMAP_STACK KSTACK_GROW KASAN LOCKDEP PROVOKE CPUS \
  MEM QEMU GDB HOSTCC PYTHON GDBPORT WATCHPORT CROSS LLVM MODERN APPEND ARGS EXTRA_FILES \
  EXTRA_PROGRAMS QEMU_ARGS GDB_ARGS V JOBS SCALE KEEP CASES MUTANTS DIR IMAGE RECORDING CUT STEP \
  CALLS ROUND MINUTES BASE NAME CALL $(CLASS) $(GRADED)
COMMANDS := tools kernel image qemu watch demo bench profile sharing stack-budget qemu-gdb gdb \
  record replay reverse host model test crash fuzz fuzz-images soak storm fsck grade grade-gdb \
  mutants lab labs handin class gradescope classroom50 pictures book lint lint-format lint-text \
  lint-size lint-style lint-warnings lint-layers lint-budget lint-instructions lint-headers \
  lint-clang lint-shell compile_commands.json doctor clean help

# On WSL each shell has a NAME, which is the machine's.
$(if $(filter environment,$(origin NAME)),$(eval override NAME :=))
# Whatever was typed is taken as it is: make expands no $(shell ...) in it.  This comes before the
# first shell, since from 4.4 on make hands its variables to each.
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command%,$(origin $(v))),$(v)))
$(foreach v,$(OPTIONS),$(if $(filter command% environment%,$(origin $(v))), \
  $(eval override $(v) := $$(value $(v)))))
export MAKE QEMU GDB GDB_ARGS HOSTCC PYTHON KEEP CASES MUTANTS DIR IMAGE CUT STEP CALLS ROUND \
  MINUTES BASE NAME CALL $(CLASS) $(GRADED)
# Elsewhere [A-Z] may leave letters out.
export LC_ALL := C
SHELL := /bin/sh

quote = '$(subst ','\'',$(1))'
WRONG := $(shell GOALS=$(call quote,$(MAKECMDGOALS)) GIVEN=$(call quote,$(GIVEN)) \
  COMMANDS='$(COMMANDS)' OPTIONS='$(OPTIONS)' \
  $(foreach v,$(OPTIONS),$(v)=$(call quote,$(value $(v)))) test/tools/options check || echo no)
$(if $(WRONG),$(error $(WRONG)))

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
# Only make lint takes a warning for an error, in a folder of its own.
B := $(BUILD)$(if $(filter lint lint-%,$(MAKECMDGOALS)),/strict)

# --- tools ---------------------------------------------------------------------------------------

# What test/tools/doctor has to look for, by command.
NEEDS := build \
  $(if $(filter qemu watch qemu-gdb bench profile sharing crash demo pictures record replay \
  reverse run-% record-%,$(MAKECMDGOALS)),qemu) \
  $(if $(filter %gdb reverse,$(MAKECMDGOALS)),gdb) $(filter watch,$(MAKECMDGOALS)) \
  $(if $(filter test crash model grade% bench profile sharing demo fuzz fuzz-images soak \
  storm pictures class,$(MAKECMDGOALS)),test) \
  $(if $(filter test class,$(MAKECMDGOALS)),class) $(filter model stack-budget,$(MAKECMDGOALS)) \
  $(if $(filter test book,$(MAKECMDGOALS)),book) $(if $(filter test,$(MAKECMDGOALS)),browser) \
  $(if $(filter lint%,$(MAKECMDGOALS)),lint) $(if $(LLVM),llvm)

# Asked for when first used: by then the doctor has been.
ifndef CROSS
override CROSS = $(eval override CROSS := $(shell CROSS= test/tools/doctor --cross))$(CROSS)
endif

CC = $(if $(LLVM),clang --target=riscv64-unknown-elf -mno-relax,$(CROSS)gcc)
LD = $(if $(LLVM),ld.lld,$(CROSS)ld)
NM = $(if $(LLVM),llvm-,$(CROSS))nm
OBJCOPY = $(if $(LLVM),llvm-,$(CROSS))objcopy
OBJDUMP = $(if $(LLVM),llvm-,$(CROSS))objdump

# $(call say,WORD,FILE) begins a recipe: with V=1 make shows the command instead.
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2);)

# A recipe writes to $(new), whose name has the number of this make in it, and ends with $(put): no
# file is seen before it is whole, so two makes in one folder do not disturb each other.
ID := $(shell echo $$PPID)
new = $@.$(ID)
put = && mv $(new) $@

# --- flags ---------------------------------------------------------------------------------------

# An error with each compiler is what newer ones refuse by themselves, and in the kernel a frame
# whose size is unknown or too large: guards are made for FRAME_MAX (docs/kernel-stacks.md).
STRICT := $(if $(filter-out $(BUILD),$(B)),-Werror)
REFUSED := $(patsubst %,-Werror=%,implicit-function-declaration implicit-int int-conversion \
  incompatible-pointer-types)
WARNINGS := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wundef -Wvla \
  -Walloca -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough $(REFUSED)
COMMON := -std=gnu11 -O2 -g -gdwarf-4 -I. -ffreestanding -fno-omit-frame-pointer -fno-pic -fno-pie \
  -fno-stack-protector -fno-asynchronous-unwind-tables -fno-common -mcmodel=medany $(WARNINGS)
# No compressed instructions and no shrink-wrapping: the backtracer reads prologues.  No sibling
# calls: a backtrace names every caller.
# gcc's -Wframe-larger-than leaves saved registers out.
FRAME_MAX := $(if $(filter y,$(KASAN)),2032,1024)
KGCC := -march=rv64ima_zicsr_zifencei -mabi=lp64 -Werror=stack-usage=$(FRAME_MAX) \
  -fno-shrink-wrap -fno-tree-loop-distribute-patterns
KCLANG = $(eval KCLANG := -mabi=lp64 -march=rv64ima$(shell clang --target=riscv64 \
  -march=rv64ima_zicsr_zifencei -E -x c /dev/null >/dev/null 2>&1 && \
  echo _zicsr_zifencei) -Wframe-larger-than=$(FRAME_MAX) -Werror=frame-larger-than)$(KCLANG)
KISA = $(if $(LLVM),$(KCLANG) -mllvm -enable-shrink-wrap=false,$(KGCC))
KFLAGS := $(COMMON) -fno-optimize-sibling-calls -Werror=vla -Werror=alloca -I$(B)/include \
  -DFRAME_MAX=$(FRAME_MAX) $(foreach v,VMAP_STACK KSTACK_GROW KASAN LOCKDEP PROVOKE, \
  -D$(v)=$(if $(filter y,$($(v))),1,0))
CHECK_FLAGS := -fsanitize=kernel-address --param asan-stack=1 --param asan-globals=1 \
  --param asan-instrumentation-with-call-threshold=0 -fasan-shadow-offset=$(shell \
  sed -n 's/^.define SHADOW_OFFSET LAYOUT_UL(\(.*\))/\1/p' vm/layout.h)
UFLAGS := $(COMMON) -Wframe-larger-than=1024 -ffunction-sections -fdata-sections \
  -march=rv64gc -mabi=lp64d
HOSTFLAGS := -std=gnu11 -O1 -g -Wall -Wextra $(REFUSED) -I. -DKSTACK_GROW=0 -DPROVOKE=0 -DKASAN=0
SANITIZE = $(eval SANITIZE := $(shell HOSTCC='$(HOSTCC)' test/tools/doctor --sanitize))$(SANITIZE)
DEPS = -MMD -MP -MT $@ -MF $(@:.o=).d
LDFLAGS := -nostdlib -static --build-id=none

# Everything is made again when an option or a tool changes.
MADE_WITH = $(CC) $(STRICT) $(KISA) $(KFLAGS) $(CHECK_FLAGS) $(UFLAGS) $(HOSTCC) $(HOSTFLAGS)

tools:
	@test/tools/doctor $(NEEDS)

$(B)/options: tools
	@test/tools/folder make $(BUILD) $(B)
	@echo '$(MADE_WITH)' | cmp -s - $@ || echo '$(MADE_WITH)' > $@

# --- kernel --------------------------------------------------------------------------------------

SOURCES := $(filter-out %/offsets.c,$(wildcard $(foreach d,boot trap kern/* vm,$(d)/*.c $(d)/*.S)))
ifeq ($(PROVOKE),n)
SOURCES := $(filter-out kern/provoke/%,$(SOURCES))
endif
ifeq ($(KASAN),n)
SOURCES := $(foreach f,$(SOURCES),$(if $(filter %kasan.c vm/kasan%,$(f)),,$(f)))
endif
ifeq ($(LOCKDEP),n)
SOURCES := $(filter-out %/lockdep.c,$(SOURCES))
endif
OBJECTS := $(SOURCES:%=$(B)/%.o)
OFFSETS := $(wildcard boot/offsets.c trap/offsets.c kern/*/offsets.c vm/offsets.c)

kernel: $(B)/kernel

$(B)/%.c.o: %.c $(B)/options
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) $(KISA) $(KFLAGS) $(CHECKS) $(DEPS) -c -o $(new) $< $(put)

# KASAN=y checks all C code but what boots, traps, reports, allocates, and provokes (docs/kasan.md).
UNCHECKED := boot/% trap/% kern/lib/% $(filter-out %/kasan.c,$(wildcard kern/provoke/*.c)) \
  $(patsubst %,vm/%.c,check kasan_shadow kasan_report kmalloc page pagetable ram tlb)
ifeq ($(KASAN),y)
$(foreach s,o ci,$(patsubst %,$(B)/%.$(s),$(filter-out $(UNCHECKED),$(filter %.c,$(SOURCES))))): \
  CHECKS = $(CHECK_FLAGS)
endif

$(B)/%.S.o: %.S $(B)/options $(B)/include/offsets.h
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(STRICT) $(KISA) $(KFLAGS) $(DEPS) -c -o $(new) $< $(put)

# The one file that may name floating-point registers.
$(B)/kern/sched/fpu.S.o: KISA := -march=rv64g -mabi=lp64

# The few numbers that assembly needs from C; see kern/lib/offset.h.
$(B)/%/offsets.s: %/offsets.c $(B)/options
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) $(KISA) $(KFLAGS) $(DEPS) -S -o $(new) $< $(put)

$(B)/include/offsets.h: $(OFFSETS:%.c=$(B)/%.s)
	$(call say,OFFSETS,$@)sed -n 's/^[[:space:]]*#OFFSET \([A-Z0-9_]* -*[0-9]*\)$$/#define \1/p' \
	  $^ > $(new) $(put)

$(B)/kernel.lds: kernel.ld vm/layout.h $(B)/options
	$(call say,CPP,$<)$(CC) -E -P -x c -I. -undef -o $(new) $< $(put)

# Two links: the first to learn the addresses, the second with the table of them at the end of
# .rodata, which moves no function.  The comparison makes sure.
LINK = $(LD) $(LDFLAGS) -z max-page-size=4096 -T $(B)/kernel.lds $(OBJECTS)
ASSEMBLE = $(CC) $(KISA) $(KFLAGS) -g0 -c
SYMBOLS = $(NM) -nS $(1) | awk -f kern/lib/symbols.awk

$(B)/kernel: $(OBJECTS) $(B)/kernel.lds kern/lib/symbols.awk
	$(call say,LD,$@)awk -f kern/lib/symbols.awk /dev/null > $(new).S
	@$(ASSEMBLE) -o $(new).o $(new).S
	@$(LINK) $(new).o -o $(new).first
	@$(call SYMBOLS,$(new).first) > $(new).S
	@$(ASSEMBLE) -o $(new).o $(new).S
	@$(LINK) $(new).o -o $(new)
	@$(call SYMBOLS,$(new)) | cmp - $(new).S
	@rm $(new).S $(new).o $(new).first $(put)

# --- user programs and the disk image ------------------------------------------------------------

PROGRAMS := $(filter-out mkfs fsck,$(patsubst user/%.c,%,$(wildcard user/*.c)))
ULIB := $(patsubst %,$(B)/%.o,$(wildcard user/lib/*.c user/lib/*.S))

$(B)/user/%.c.o: user/%.c $(B)/options
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(STRICT) $(UFLAGS) $(DEPS) -c -o $(new) $< $(put)

$(B)/user/%.S.o: user/%.S $(B)/options
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(STRICT) $(UFLAGS) $(DEPS) -c -o $(new) $< $(put)

# A program is user/NAME.c and whatever lies in user/NAME/.  Here with symbols, for GDB; the image
# gets it without them.
parts = $(patsubst %,$(B)/%.o,$(wildcard user/$(1)/*.c user/$(1)/*.S))

$(PROGRAMS:%=$(B)/user/%.elf): $(B)/user/%.elf: $(B)/user/%.c.o $$(call parts,$$*) $(ULIB) \
    user/user.ld
	$(call say,LD,$@)$(LD) $(LDFLAGS) -z max-page-size=16 --gc-sections -T user/user.ld \
	  -o $(new) $(filter %.o,$^) $(put)

$(PROGRAMS:%=$(B)/bin/%): $(B)/bin/%: $(B)/user/%.elf
	@mkdir -p $(@D)
	@$(OBJCOPY) -S $< $(new) $(put)

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
	@{ echo '#line 1 "$<"'; cat $<; } > $(new).c
	$(call say,CC,$<)$(CC) $(EXTRA_FLAGS) -iquote $(<D) $(DEPS) -c -o $(new) $(new).c $(put)
	@sed 's|$(new)\.c|$<|' $(@:.o=).d > $(new).c && mv $(new).c $(@:.o=).d

$(B)/extra/list: $(B)/options
	@mkdir -p $(@D)
	@echo '$(EXTRA_PROGRAMS)' | cmp -s - $@ || echo '$(EXTRA_PROGRAMS)' > $@

$(B)/user/xv6.o: $(ULIB) user/xv6/user/user.h
	$(call say,LD,$@)$(LD) -r -o $(new) $(filter %.o,$^)
	@$(OBJCOPY) $(addprefix --keep-global-symbol=,$(EXTRA_KEEP)) --weaken $(new) $(put)

$(EXTRA:%=$(B)/extra/%.elf): $(B)/extra/%.elf: $(B)/extra/%.o $(B)/user/xv6.o user/user.ld
	$(call say,LD,$@)$(LD) $(LDFLAGS) -z max-page-size=16 --gc-sections -T user/user.ld \
	  -o $(new) $(filter %.o,$^) $(put)

$(EXTRA:%=$(B)/extra/%): $(B)/extra/%: $(B)/extra/%.elf
	@$(OBJCOPY) -S $< $(new) $(put)

$(B)/mkfs $(B)/fsck: $(B)/%: user/%.c $(B)/options
	$(call say,HOSTCC,$<)$(HOSTCC) $(STRICT) $(HOSTFLAGS) $(DEPS) -o $(new) $< $(put)

# Course material expects a README.
$(B)/README: README.md $(B)/options
	@cp $< $(new) $(put)

FILES := $(patsubst %,$(B)/bin/%,$(filter-out $(EXTRA),$(PROGRAMS))) $(EXTRA:%=$(B)/extra/%) \
  $(EXTRA_FILES) $(B)/README

# Made again, empty of what was written to it, when any of the files changes, or their list.
$(B)/fs.img: $(B)/mkfs $(FILES) $(B)/files
	@test/tools/unused $@
	$(call say,MKFS,$@)$(B)/mkfs $(new) $(FILES) $(put)

# Only of files that there are: a wrong name in EXTRA_FILES= changes nothing.
$(B)/files: tools $(B)/options | $(FILES)
	@echo '$(FILES)' | cmp -s - $@ || echo '$(FILES)' > $@

image: $(B)/fs.img $(B)/fsck

# --- running -------------------------------------------------------------------------------------

# These have the image read, and for each machine a copy of what is written.
bench profile sharing demo test pictures fuzz fuzz-images soak grade mutants: readable
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

qemu-gdb: kernel image $(GDBINIT)
	@$(PYTHON) test/tools/gdb-port $(GDBPORT)
	@echo 'QEMU waits for GDB at port $(GDBPORT).  In another terminal, in this directory, type:'
	@echo '  make gdb '$(call quote,$(MAKEOVERRIDES)); echo 'Then `continue`.  Leave QEMU with ^A x.'
	@exec env BOOT_LOG=$(B)/console.log BOOT_LIMIT=0 test/tools/boot $(MACHINE) $(DISK) \
	  -append 'gdb $(APPEND)' -S -gdb tcp:127.0.0.1:$(GDBPORT)

gdb: kernel image $(GDBINIT)
	@exec env BOOT_LOG=$(B)/gdb.log GDBINIT=$(GDBINIT) test/tools/gdb $(GDBPORT) $(B)/kernel $(GDB) \
	  $(MACHINE) $(DISK) -append 'gdb $(APPEND)' -S -gdb tcp:127.0.0.1:$(GDBPORT)

$(GDBINIT): test/tools/gdbinit $(B)/options tools
	@sed -e 's|@KERNEL@|$(B)/kernel|' -e 's|@PORT@|$(GDBPORT)|' -e 's|@USER@|$(B)/user|' \
	  -e 's|@PYTHON@|$(PYTHON)|' $< > $(new) $(put)

# --- tests ---------------------------------------------------------------------------------------

# test/host/test_NAME.c is linked with the kernel's NAME.c, unless it includes the source itself,
# and with what a line "// Links: ..." of it names.
HOST_TESTS := $(patsubst %.c,$(B)/%,$(wildcard test/host/test_*.c))

tested = $(shell sed -n 's,^// Links: ,,p' $(1)) $(if $(shell grep '^\#include ".*\.c"' $(1)),, \
  $(wildcard $(foreach d,trap kern/* vm,$(d)/$(patsubst test_%.c,%.c,$(notdir $(1))))))

# The test comes last, since its dependencies, of which it has most, replace those of the others.
$(B)/test/host/%: test/host/%.c $$(call tested,test/host/$$*.c) $(B)/options
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)$(HOSTCC) $(STRICT) $(HOSTFLAGS) $(SANITIZE) $(DEPS) -o $(new) \
	  $(call tested,$<) $< $(put)

host: $(HOST_TESTS)
	@for t in $^; do echo "  TEST     $$t"; $$t || exit 1; done

# Twice as many at a time as there are processors, since many tests wait.
WORKERS = $$(($$(nproc 2>/dev/null || echo 2) * 2))

# What runs for long is started by exec, and on a leash: it ends with make, however make ends.
test: kernel image $(HOST_TESTS) $(B)/memory-trace.so $$(CALLGRAPHS)
	@exec test/tools/leash env BUILD=$(B) $(PYTHON) -m pytest -q --dist loadgroup -n $(WORKERS) test

# The script calls make again, since a kernel that does not build has a grade too: none.  Under
# KASAN=y the limits are longer: it takes more instructions, and harts that take turns wait longer
# for each other.
grade grade-gdb: tools
	@exec $(if $(filter grade,$@),test/tools/leash) env BUILD=$(B) \
	  KASAN=$(KASAN) KSTACK_GROW=$(KSTACK_GROW) $(if $(LLVM),LLVM=$(LLVM)) \
	  TEST_TIME_SCALE=$(or $(SCALE),$(if $(filter y,$(KASAN)),4,1)) $(PYTHON) test/grade/grade \
	  $(if $(filter grade,$@),,--gdb) $(if $(JOBS),--jobs $(call quote,$(JOBS))) \
	  $(if $(CASES),--only "$$CASES") \
	  $(foreach v,$(GRADED),$(if $($(v)),--$(shell echo $(v) | tr A-Z a-z) "$$$(v)"))

# Wrong kernels; each must lose what its patch lists.
mutants: kernel image
	@exec test/tools/leash env TEST_TIME_SCALE=$(or $(SCALE),1) $(PYTHON) test/mutants/run \
	  --build $(B) $(if $(JOBS),--jobs $(call quote,$(JOBS))) $(if $(JSON),--json "$$JSON") \
	  $(if $(MUTANTS),"$$MUTANTS")

# --- the rest ------------------------------------------------------------------------------------

doctor:
	@test/tools/doctor

clean:
	@test/tools/unused $(BUILD)/fs.img
	@test/tools/folder clean $(B)

help:
	@test/tools/options help

# Under -B make asks for each source, and for each file that it includes.
.DEFAULT:
	@[ -e $(call quote,$@) ] || \
	  { echo 'make: there is no file' $(call quote,"$@"), and no rule to make it. >&2; exit 2; }

.PHONY: $(COMMANDS) readable

include test/lint/lint.mk test/labs/labs.mk test/tools/tools.mk $(shell test/tools/folder deps $(B))
