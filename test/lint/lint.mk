# SPDX-License-Identifier: MIT
#
# make lint, a part of the Makefile.

HEADERS := $(wildcard boot/*.h trap/*.h kern/*/*.h vm/*.h user/*.h user/*/*.h user/xv6/*/*.h)
CLANG = clang -fsyntax-only $(STRICT) --target=riscv64-unknown-elf $(COMMON)
SCRIPTS = $(shell grep -IlsE '^.!/bin/(ba)?sh' test/*/* .ci/*)

# gcc says what calls what, clang does not.
lint: $(filter-out $(if $(LLVM),lint-budget),$(filter lint-%,$(COMMANDS)))

lint-format: tools
	$(call say,LINT,format)test/lint/format

lint-text: tools
	$(call say,LINT,text)$(PYTHON) test/lint/text

# The build itself, each warning an error.
lint-warnings: $(OBJECTS) $(PROGRAMS:%=$(B)/user/%.elf) $(B)/mkfs $(B)/fsck

lint-size: tools
	$(call say,LINT,size)$(PYTHON) test/lint/size

lint-style: $(OBJECTS)
	$(call say,LINT,style)$(PYTHON) test/lint/style $(NM) $(B)

lint-layers: $(OBJECTS)
	$(call say,LINT,layers)$(PYTHON) test/lint/layers $(NM) $(B)

lint-budget: $(OBJECTS) $$(CALLGRAPHS)
	$(call say,LINT,budget)$(BUDGET) --check $(OBJDUMP) $(B) $(SOURCES)

lint-instructions: $(OBJECTS)
	$(call say,LINT,instructions)$(PYTHON) test/lint/instructions $(OBJDUMP) $(OBJECTS)

lint-headers: $(HEADERS:%=$(B)/lint/%.alone)
lint-clang: $(patsubst %,$(B)/lint/%.clang,$(filter %.c,$(SOURCES)) $(wildcard user/*.c user/*/*.c))

# Every header stands alone.
$(B)/lint/%.h.alone: %.h $(B)/options
	@mkdir -p $(@D)
	$(call say,HEADER,$<)echo '#include "$<"' | \
	  $(CC) $(STRICT) $(KISA) $(KFLAGS) $(DEPS) -x c -fsyntax-only - && touch $@

$(B)/lint/user/%.clang: user/% $(B)/options
	@mkdir -p $(@D)
	$(call say,CLANG,$<)$(CLANG) -march=rv64gc -mabi=lp64d $(DEPS) $< && touch $@

$(B)/lint/user/mkfs.c.clang $(B)/lint/user/fsck.c.clang: $(B)/lint/%.clang: % $(B)/options
	@mkdir -p $(@D)
	$(call say,CLANG,$<)clang -fsyntax-only $(STRICT) $(HOSTFLAGS) $(DEPS) $< && touch $@

$(B)/lint/%.clang: % $(B)/options
	@mkdir -p $(@D)
	$(call say,CLANG,$<)$(CLANG) $(KCLANG) $(KFLAGS) $(DEPS) $< && touch $@

# For clangd, in editors.
compile_commands.json: tools
	@$(PYTHON) test/tools/compile-commands '$(CLANG) $(KCLANG) $(KFLAGS)' \
	  '$(CLANG) -march=rv64gc -mabi=lp64d' 'clang -fsyntax-only $(HOSTFLAGS)' > $(new) $(put)

lint-shell: tools
	$(call say,LINT,shell)shellcheck $(SCRIPTS)
