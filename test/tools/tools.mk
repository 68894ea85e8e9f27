# SPDX-License-Identifier: MIT
#
# Tools that measure, show, and look for what goes wrong, a part of the Makefile.

# On one hart, with room for ten thousand processes.
bench: override CPUS := 1
bench: MEM := 1G
bench: kernel image $(B)/memory-trace.so
	@exec test/tools/leash $(PYTHON) test/tools/bench $(OBJDUMP) $(B) $(MACHINE) $(DISK) -snapshot \
	  -display none -serial stdio -icount shift=0 -append 'nproc=10100 $(APPEND) -- /bench $(ARGS)'

# How another commit is built, to compare with: BASE=commit.
BUILT_WITH = $(foreach v,CROSS LLVM VMAP_STACK HAVE_ARCH_VMAP_STACK KSTACK_GROW KASAN LOCKDEP \
  PROVOKE,$(v)='$($(v))')

# Where the instructions go: docs/profile.md.
profile: kernel image
	@exec test/tools/leash env $(BUILT_WITH) $(PYTHON) test/tools/profile \
	  $(if $(CALL),--call="$$CALL") $(if $(JSON),--json="$$JSON") \
	  $(if $(BASE),--base="$$BASE") $(B) "$$NAME" $(ARGS)

# Which memory two harts share: docs/sharing.md.  QEMU itself has what the plugin calls.
$(B)/memory-trace.so: test/tools/memory-trace.c $(B)/options
	$(call say,HOSTCC,$<)$(HOSTCC) $(STRICT) $(HOSTFLAGS) $(DEPS) -fPIC -shared \
	  $(if $(filter Darwin,$(shell uname)),-undefined dynamic_lookup) -o $(new) $< $(put)

sharing: kernel image $(B)/memory-trace.so
	@exec test/tools/leash $(PYTHON) test/tools/sharing $(if $(JSON),--json="$$JSON") $(B)

# As make qemu, with a page that shows the stacks meanwhile: docs/watch.md.
watch: kernel image
	@exec test/tools/leash -i env BOOT_LOG=$(B)/watch.log $(PYTHON) test/watch/watch \
	  --port $(WATCHPORT) --kernel $(B)/kernel $(MACHINE) $(DISK) \
	  -append '$(APPEND)'"$$([ -t 0 ] || echo '$(if $(filter --,$(APPEND)),, -- sh)')"

# The script builds the kernel with VMAP_STACK=n, in $(B)/vmap-n.
demo: kernel image
	@exec test/tools/leash $(PYTHON) test/tools/demo $(B)

# Those of docs/pictures, from constants and a run: docs/changing.md.
pictures: kernel image
	@exec test/tools/leash $(PYTHON) test/tools/pictures $(if $(OUT),--out "$$OUT") '$(CC)' $(B)

# The pages as a site.  docs/conf.py says how.
book: $(B)/options
	@rm -rf $(B)/book
	$(call say,BOOK,$(B)/book/index.html)exec test/tools/leash $(PYTHON) -m sphinx -b html -E -q -W \
	  --keep-going -d $(B)/doctrees docs $(B)/book

# A stack's life on harts that cache all they may: docs/fences.md.
model: tools
	@exec test/tools/leash $(PYTHON) test/model/check

# What a guest has written stays, so the image is not made anew here.
fsck: $(B)/fsck
	@image=$(call quote,$(or $(IMAGE),$(B)/fs.img)); \
	  [ -e "$$image" ] || { echo "make: there is no $$image to check" >&2; exit 8; }; \
	  test/tools/unused -o "$$image" || exit 8; $(B)/fsck "$$image"

# Every moment at which the power can fail: docs/power-cuts.md.
crash: kernel image
	@exec test/tools/leash env BUILD=$(B) TEST_TIME_SCALE=$(or $(SCALE),1) $(PYTHON) \
	  test/tools/crash --seed="$$SEED" --cut="$$CUT" $(ARGS)

# Hostile programs: docs/fuzzing.md.  The scripts make a disk of their own.
fuzz: kernel image
	@exec test/tools/leash $(PYTHON) test/tools/fuzz --cpus $(CPUS) \
	  $(foreach v,SEED CALLS ROUND,$(if $($(v)),--$(shell echo $(v) | tr A-Z a-z) "$$$(v)")) $(B)

# ROUND= here is the number of one image.
fuzz-images: kernel image
	@exec test/tools/leash $(PYTHON) test/tools/fuzz-images $(if $(SEED),--seed "$$SEED") \
	  $(if $(ROUND),--calls 1 --first "$$ROUND",$(if $(CALLS),--calls "$$CALLS")) $(B)

# Overflows everywhere: docs/storm.md.  On one hart and on three, unless CPUS= says how many.
storm: kernel image
	@exec test/tools/leash env BUILD=$(B) TEST_TIME_SCALE=$(or $(SCALE),1) $(PYTHON) \
	  test/tools/storm $(if $(filter CPUS,$(GIVEN)),--cpus $(CPUS)) --alone="$$STEP" \
	  $(if $(SEED),--seed "$$SEED") $(if $(JOBS),--jobs $(call quote,$(JOBS))) $(ARGS) $(B)

soak: override CPUS := 4
soak: kernel image
	@exec test/tools/leash $(PYTHON) test/tools/fuzz --cpus $(CPUS) --soak \
	  --minutes "$${MINUTES:-30}" $(if $(SEED),--seed "$$SEED") $(B)

# What gcc says of who calls whom, and of each frame; and the type of each function.  It names the
# first after the output, which nobody needs.
CALLGRAPHS := $(patsubst %,$(B)/%.ci,$(filter %.c,$(SOURCES)))
$(CALLGRAPHS): $(B)/%.ci: % $(B)/options
	@mkdir -p $(@D)
	$(call say,CALLS,$<)$(CC) $(STRICT) $(KISA) $(KFLAGS) $(CHECKS) $(DEPS) -S \
	  -fcallgraph-info=su -aux-info $(new).types -o $(new).s $<
	@cat $(new).types >> $(new).ci && rm $(new).types $(new).s && mv $(new).ci $@

# How deep the kernel stack can get: docs/stack-budget.md.
BUDGET = $(PYTHON) test/tools/stack-budget $(if $(filter y,$(KASAN)),--kasan)

stack-budget: $(OBJECTS) $(CALLGRAPHS)
	@exec env $(BUILT_WITH) $(BUDGET) $(if $(ARGS),--way="$(ARGS)") $(if $(JSON),--json="$$JSON") \
	  $(if $(BASE),--base="$$BASE") $(OBJDUMP) $(B) $(SOURCES)

# A run that can be shown again, and debugged backwards (docs/gdb.md).  QEMU records one hart.
RECORDED = $(call quote,$(or $(RECORDING),$(B)/recording))
RECORD = exec test/tools/leash $(PYTHON) test/tools/replay record $(RECORDED) $(B) $(MACHINE) \
  -append

record record-%: override CPUS := 1

record: kernel image readable
	@$(RECORD) '$(APPEND) $(if $(NAME),-- /$(NAME) $(ARGS))'"$$([ -t 0 ] || \
	  echo '$(if $(NAME)$(filter --,$(APPEND)),, -- sh)')"

record-%: kernel image readable
	@$(RECORD) '$(APPEND) -- /$* $(ARGS)'

replay: tools
	@exec test/tools/leash $(PYTHON) test/tools/replay show $(RECORDED) $(QEMU)

reverse: tools
	@exec test/tools/leash -i $(PYTHON) test/tools/replay debug $(RECORDED) $(QEMU)
