// SPDX-License-Identifier: MIT
//
// The platform-level interrupt controller.  RISC-V PLIC specification 1.0.
//
// I1. All sources go to one hart, the boot hart, which is ready first.  With several harts each
//     interrupt would wake every idle one, and only one could claim it.
// I2. handlers[] is complete before the source has a priority, so a claimed source has a handler.
#include "kern/dev/irq.h"

#include "kern/dev/mmio.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hart.h"
#include "kern/lib/machine.h"
#include "vm/pagetable.h"

#define SOURCES 1024

#define PLIC_PRIORITY(source)        (4UL * (source))
#define PLIC_ENABLE(context, source) (0x2000 + 0x80UL * (context) + (source) / 32 * 4)
#define PLIC_THRESHOLD(context)      (0x200000 + 0x1000UL * (context))
#define PLIC_CLAIM(context)          (0x200004 + 0x1000UL * (context))

static volatile void *plic;              // [I]
static void (*handlers[SOURCES])(void);  // [I] after boot, by source
static struct hart *server;              // [I] the hart that takes external interrupts
static uint64 server_claim;              // [I] its claim register

void irq_init(void) {
  if (machine.plic.size == 0)
    panic("the device tree has no PLIC; on QEMU, use -machine virt without aia=");
  if (machine.plic_count > 1)
    panic("the device tree has %u PLICs, not one; on QEMU, leave out -numa", machine.plic_count);
  plic = device_map(machine.plic.base, machine.plic.size);
  for (uint32 source = 1; source < SOURCES && source <= machine.plic_sources; source++)
    mmio_write(plic, PLIC_PRIORITY(source), 0);
}

void irq_init_hart(void) {
  struct hart *h = this_hart();
  uint32 context = MACHINE_NO_CONTEXT;
  for (uint32 i = 0; i < machine.hart_count; i++)
    if (machine.harts[i].id == h->id)
      context = machine.harts[i].context;
  if (context == MACHINE_NO_CONTEXT)
    return;
  if (!server) {
    server = h;
    server_claim = PLIC_CLAIM(context);
  }
  uint32 wanted = server == h ? ~0U : 0;
  for (uint32 source = 0; source < SOURCES && source <= machine.plic_sources; source += 32)
    mmio_write(plic, PLIC_ENABLE(context, source), wanted);
  mmio_write(plic, PLIC_THRESHOLD(context), 0);
}

void irq_register(uint32 source, void (*handler)(void)) {
  assert(source > 0 && source < SOURCES && source <= machine.plic_sources);
  assert(!handlers[source]);
  handlers[source] = handler;
  mmio_fence();
  mmio_write(plic, PLIC_PRIORITY(source), 1);
}

void irq_external(void) {
  assert(this_hart() == server);
  for (uint32 source; (source = mmio_read(plic, server_claim)) != 0;) {
    assert(source < SOURCES && handlers[source]);
    handlers[source]();
    mmio_fence();  // the handler's last access to its device comes before the completion
    mmio_write(plic, server_claim, source);
  }
}

#if PROVOKE
void (*irq_software_test)(void);
#endif

void irq_software(void) {
  assert(!irq_enabled());
  csr_clear(sip, SIE_SSIE);
  panic_poll();
  void (*test)(void) = PROVOKE ? load_acquire(&irq_software_test) : NULL;
  if (test)
    test();
}
