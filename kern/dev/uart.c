// SPDX-License-Identifier: MIT
//
// The serial port, an ns16550a.  Registers: National Semiconductor PC16550D, section 8.
//
// User output goes through a ring that the transmit interrupt empties.  The kernel's own messages
// go to the port at once, polled, from any context.  A message first sends the lines in the ring,
// so that it comes after what was written before it.
//
// I1. Bytes leave the ring only while this hart has the console (print_claim), so never into a line
//     that another hart prints.
// I2. While there are bytes to send, the transmit interrupt is on.  When the claim fails, the
//     message turns the interrupt off and on at its end (uart_end_message), which raises it again.
// I3. A message stands on lines of its own.  The line that it broke, such as a prompt with a half
//     typed command, is still in the ring and is sent again.
// I4. The receive interrupt is on, and RTS up, while there is room for input and for its echo. Else
//     bytes wait in the FIFO, and then at the other end, if it obeys RTS (QEMU looks at the FIFO).
//     An end that does not obey must send slowly.
#include "kern/dev/uart.h"

#include "kern/dev/console.h"
#include "kern/dev/irq.h"
#include "kern/dev/mmio.h"
#include "kern/lib/atomic.h"
#include "kern/lib/hang.h"
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
#define MODEM_RTS       0x02
#define STATUS_RECEIVED 0x01
#define STATUS_ROOM     0x20  // transmit FIFO empty
#define STATUS_SENT     0x40  // and the last bit is on the line

#define RING_SIZE 2048  // a power of two
#define FIFO_SIZE 16
#define PATIENCE  10000000  // polls of a port that does not move

// [I] fixed after boot  [a] atomic  [u] uart_lock
static volatile char *port;  // [I] null: no port, the firmware prints
static struct spinlock uart_lock = SPINLOCK_INIT("uart");
static char uart_ring[RING_SIZE];    // [u]
static uint32 ring_put, ring_taken;  // [u] bytes ever put, ever taken
static uint32 line_put, line_taken;  // [u] those up to the last newline
static uint32 broken;                // [a] a message broke that line: send it again
static struct waitq room;            // [u] threads that wait for room, or for an empty ring

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
    store_relaxed(&hang_excuses, hang_excuses + 1);
}

KASAN_EXEMPT static void uart_putc(char c) {
  wait_status(STATUS_ROOM);
  port_write(UART_DATA, (uint8)c);
}

KASAN_EXEMPT static char ring_take(void) {
  char c = uart_ring[ring_taken++ % RING_SIZE];
  if (c == '\n')
    line_taken = ring_taken;
  return c;
}

// Go back to the beginning of the line that a message broke.  Holds: uart_lock.
KASAN_EXEMPT static void ring_rewind(void) {
  assert(spin_holding(&uart_lock));
  if (atomic_swap(&broken, 0) && ring_put - line_taken <= RING_SIZE)
    ring_taken = line_taken;
}

// A message or report begins: send the whole lines before it, and leave the line that is begun. The
// hart that holds the lock may have stopped, or be the one that faulted; then the ring waits.
KASAN_EXEMPT static void uart_begin_message(void) {
  irq_t irq = 0;
  bool locked = false;
  for (uint32 i = 0; i < PATIENCE && !locked && !spin_holding(&uart_lock); i++)
    locked = spin_trylock(&uart_lock, &irq);
  if (locked && line_taken != line_put)
    ring_rewind();
  while (locked && line_taken != line_put)
    uart_putc(ring_take());
  if (ring_taken != line_taken && !atomic_swap(&broken, 1)) {
    uart_putc('\r');
    uart_putc('\n');
  }
  if (locked)
    spin_unlock(&uart_lock, irq);
}

// A message or report has ended.  No lock: at worst the handler finds nothing to do.
static void uart_end_message(void) {
  mmio_fence();  // a claim from here on finds the console free
  port_write(UART_INTERRUPT_ENABLE, ENABLE_RECEIVE);
  port_write(UART_INTERRUPT_ENABLE, ENABLE_RECEIVE | ENABLE_TRANSMIT);
}

// Return whether there is room for a byte of input and its echo.
static bool can_receive(void) {
  return console_room() && load_relaxed(&ring_put) - load_relaxed(&ring_taken) <= RING_SIZE / 2;
}

static void uart_receive(void) {
  while (can_receive() && (port_read(UART_LINE_STATUS) & STATUS_RECEIVED))
    console_input(port_read(UART_DATA));
}

// Send from the ring what the port takes now; hold input back or let it in.  Holds: uart_lock.
static void uart_start(void) {
  assert(spin_holding(&uart_lock));
  bool take = can_receive(), more = ring_taken != ring_put || load_relaxed(&broken);
  port_write(UART_MODEM_CONTROL, take ? MODEM_READY : MODEM_READY & ~MODEM_RTS);
  port_write(UART_INTERRUPT_ENABLE, (take ? ENABLE_RECEIVE : 0) | (more ? ENABLE_TRANSMIT : 0));
  if (!more || !print_claim())
    return;
  ring_rewind();
  if (port_read(UART_LINE_STATUS) & STATUS_ROOM)
    for (uint32 i = 0; i < FIFO_SIZE && ring_taken != ring_put; i++)
      port_write(UART_DATA, (uint8)ring_take());
  print_release();
}

static void uart_interrupt(void) {
  port_read(UART_INTERRUPT_ID);  // ends the transmit interrupt
  uart_receive();
  irq_t irq = spin_lock(&uart_lock);
  uart_start();
  if (ring_put - ring_taken <= RING_SIZE / 2)
    waitq_wake_all(&room);
  spin_unlock(&uart_lock, irq);
}

static void ring_add(char c) {
  uart_ring[ring_put++ % RING_SIZE] = c;
  if (c == '\n')
    line_put = ring_put;
}

// Put n bytes into the ring, a newline as CR LF.  While it is full, wait, or leave the rest out.
static int ring_put_bytes(const char *s, uint64 n, bool wait) {
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
      err = waitq_sleep(&room);
    } else {
      break;
    }
  }
  uart_start();
  spin_unlock(&uart_lock, irq);
  return err;
}

int uart_write(const char *s, uint64 n) {
  if (machine.uart_irq != 0)
    return ring_put_bytes(s, n, true);
  for (; n > 0; n--)
    kprintf("%c", *s++);
  return 0;
}

void uart_echo(const char *s, uint32 n) {
  ring_put_bytes(s, n, false);
}

void uart_accept(void) {
  ring_put_bytes("", 0, false);
}

void uart_flush(void) {
  if (!port)
    return;
  irq_t irq = spin_lock(&uart_lock);
  while (ring_taken != ring_put)
    waitq_sleep_through(&room);
  spin_unlock(&uart_lock, irq);
  wait_status(STATUS_SENT);
}

void uart_init(void) {
  waitq_init(&room, &uart_lock);
  if (machine.uart.size == 0)
    return;
  port = device_map(machine.uart.base, machine.uart.size);
  port_write(UART_LINE_CONTROL, LINE_8N1);
  uart_receive();  // FIFO_ENABLE forgets it, unless the firmware has enabled it already
  port_write(UART_FIFO_CONTROL, FIFO_ENABLE);
  print_set_sink(uart_putc, uart_begin_message, uart_end_message);
  uart_accept();
  if (machine.uart_irq != 0)
    irq_register(machine.uart_irq, uart_interrupt);
}
