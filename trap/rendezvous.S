// SPDX-License-Identifier: MIT
//
// Where the grader stops the machine after a report.  kernel.ld gives this file the second page of
// the image, so that its address needs no symbol.

  .cfi_sections .debug_frame
  .text

// void report_rendezvous(const struct trap_frame *frame)
// Do nothing but load from this address, for a watchpoint.  Called when the machine line is out: on
// the emergency stack, with the console still claimed and the victim's stack as it was.
  .globl report_rendezvous
report_rendezvous:
  .cfi_startproc
  nop
  lw t0, report_rendezvous
  ret
  .cfi_endproc
