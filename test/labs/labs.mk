# SPDX-License-Identifier: MIT
#
# Labs and classes, a part of the Makefile.

# A lab is a kernel without its solution: docs/labs/README.md.
lab: tools
	@$(PYTHON) test/labs/lab write "$$LAB" "$$DIR"

labs: tools
	@exec test/tools/leash $(PYTHON) test/labs/lab check $(LAB)

handin:
	@$(PYTHON) test/labs/lab handin

# All submissions of a class: docs/labs/class.md.
class: tools
	@exec test/tools/leash env BUILD=$(B) TEST_TIME_SCALE=$(or $(SCALE),1) $(PYTHON) \
	  test/class/class $(if $(JOBS),--jobs $(call quote,$(JOBS))) $(if $(LAB),--lab "$$LAB") \
	  $(foreach v,$(CLASS),$(if $($(v)),--$(shell echo $(v) | tr A-Z_ a-z-) "$$$(v)"))

# What the places where courses live take: docs/labs/instructor.md.
gradescope:
	@$(PYTHON) test/labs/pack gradescope "$$LAB" "$${DIR:-$(BUILD)}"

classroom50:
	@$(PYTHON) test/labs/pack classroom50 "$$LAB" "$$DIR"
