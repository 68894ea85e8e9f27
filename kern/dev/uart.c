// SPDX-License-Identifier: MIT
//
// The serial port, an ns16550a.  Registers: National Semiconductor PC16550D, section 8.
//
// User output goes through a ring that the transmit interrupt empties.  What the kernel prints goes
// to the port at once, polled, from any context: it takes no lock, so nothing orders it with the
// ring but print_claim.
// I1. Bytes leave the ring only while this hart has the console (print_claim), so never into a line
//     that another hart prints.
// I2. While the ring holds bytes the transmit interrupt is on.  When the claim fails, the end of
//     the message turns the interrupt off and on (uart_resume), which raises it again.
#include "kern/dev/uart.h"

#include "kern/dev/console.h"
#include "kern/dev/irq.h"
#include "kern/lib/kasan.h"
#include "kern/lib/machine.h"
#include "kern/lib/print.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/waitq.h"
#include "vm/pagetable.h"

enum uart_register {
  UART_DATA = 0,  // receive buffer, transmit holding
  UART_INTERRUPT_ENABLE = 1,
  UART_INTERRUPT_ID = 2,  // when read
  UART_FIFO_CONTROL = 2,  // when written
  UART_LINE_CONTROL = 3,
  UART_MODEM_CONTROL = 4,
  UART_LINE_STATUS = 5,
};

#define ENABLE_RECEIVE  0x01
#define ENABLE_TRANSMIT 0x02
#define FIFO_ENABLE     0x01
#define LINE_8N1        0x03
#define MODEM_READY     0x0b  // DTR, RTS, and OUT2, which lets interrupts out on PC hardware
#define STATUS_RECEIVED 0x01
#define STATUS_ROOM     0x20  // transmit FIFO empty
#define STATUS_SENT     0x40  // and the last bit is on the line

#define RING_SIZE 2048  // a power of two
#define FIFO_SIZE 16
#define PATIENCE  10000000  // polls of a port that does not move

static volatile char *port;  // [I] null: no port, the firmware prints
static bool interrupts;      // [I] the ring is in use
static struct spinlock uart_lock = SPINLOCK_INIT("uart");
static char ring[RING_SIZE];         // [uart_lock]
static uint32 ring_put, ring_taken;  // [uart_lock] bytes ever put, ever taken
static struct waitq room;            // [uart_lock] writers, and who waits for the ring to empty

KASAN_EXEMPT static uint32 port_read(enum uart_register reg) {
  volatile char *p = port + ((uint64)reg << machine.uart_shift);
  return machine.uart_width == 4 ? *(volatile uint32 *)p : *(volatile uint8 *)p;
}

KASAN_EXEMPT static void port_write(enum uart_register reg, uint32 value) {
  volatile char *p = port + ((uint64)reg << machine.uart_shift);
  if (machine.uart_width == 4)
    *(volatile uint32 *)p = value;
  else
    *(volatile uint8 *)p = value;
}

KASAN_EXEMPT static void wait_status(uint32 bit) {
  for (uint32 i = 0; i < PATIENCE && !(port_read(UART_LINE_STATUS) & bit); i++)
    ;
}

KASAN_EXEMPT static void uart_putc(char c) {
  wait_status(STATUS_ROOM);
  port_write(UART_DATA, (uint8)c);
}

// A message or report has ended, and bytes were held back.  Any context, no lock: at worst the
// handler finds nothing to do.
static void uart_resume(void) {
  port_write(UART_INTERRUPT_ENABLE, ENABLE_RECEIVE);
  port_write(UART_INTERRUPT_ENABLE, ENABLE_RECEIVE | ENABLE_TRANSMIT);
}

// Send from the ring what the port takes now.  Holds: uart_lock.
static void uart_start(void) {
  if (ring_taken == ring_put) {
    port_write(UART_INTERRUPT_ENABLE, ENABLE_RECEIVE);
    return;
  }
  port_write(UART_INTERRUPT_ENABLE, ENABLE_RECEIVE | ENABLE_TRANSMIT);
  if (!print_claim())
    return;
  if (port_read(UART_LINE_STATUS) & STATUS_ROOM)
    for (uint32 i = 0; i < FIFO_SIZE && ring_taken != ring_put; i++)
      port_write(UART_DATA, (uint8)ring[ring_taken++ % RING_SIZE]);
  print_release();
}

static void uart_interrupt(void *arg) {
  (void)arg;
  port_read(UART_INTERRUPT_ID);  // takes note of the transmit interrupt, which ends it
  while (port_read(UART_LINE_STATUS) & STATUS_RECEIVED)
    console_input(port_read(UART_DATA));
  irq_t s = spin_lock(&uart_lock);
  uart_start();
  if (ring_put - ring_taken <= RING_SIZE / 2)
    waitq_wake_all(&room);
  spin_unlock(&uart_lock, s);
}

static void ring_add(char c) {
  ring[ring_put++ % RING_SIZE] = c;
}

// Put n bytes into the ring, a newline as CR LF.  While it is full: wait, or leave the rest out.
static int send(const char *s, uint64 n, bool wait) {
  int err = 0;
  irq_t irq = spin_lock(&uart_lock);
  while (n > 0 && err == 0) {
    if (ring_put - ring_taken <= RING_SIZE - 2) {
      if (*s == '\n')
        ring_add('\r');
      ring_add(*s++);
      n--;
    } else if (wait) {
      uart_start();
      err = waitq_sleep(&room, &uart_lock);
    } else {
      break;
    }
  }
  uart_start();
  spin_unlock(&uart_lock, irq);
  return err;
}

int uart_write(const char *s, uint64 n) {
  if (interrupts)
    return send(s, n, true);
  for (; n > 0; n--)
    kprintf("%c", *s++);
  return 0;
}

void uart_echo(const char *s, uint32 n) {
  send(s, n, false);
}

void uart_flush(void) {
  if (!port)
    return;
  irq_t irq = spin_lock(&uart_lock);
  while (ring_taken != ring_put)
    waitq_sleep_through(&room, &uart_lock);
  spin_unlock(&uart_lock, irq);
  wait_status(STATUS_SENT);
}

void uart_init(void) {
  waitq_init(&room);
  if (machine.uart.size == 0)
    return;
  port = device_map(machine.uart.base, machine.uart.size);
  port_write(UART_LINE_CONTROL, LINE_8N1);
  port_write(UART_FIFO_CONTROL, FIFO_ENABLE);
  port_write(UART_MODEM_CONTROL, MODEM_READY);
  port_write(UART_INTERRUPT_ENABLE, ENABLE_RECEIVE);
  print_set_sink(uart_putc, uart_resume);
  interrupts = machine.uart_irq != 0;
  if (interrupts)
    irq_register(machine.uart_irq, uart_interrupt, NULL);
}
