// SPDX-License-Identifier: MIT
//
// The console's line discipline.
//
// What is typed goes into ring[].  The line at its end can be edited until Enter (or ^D) hands it
// over to the readers.  A read returns at most one line.  The byte END ends a part that ^D handed
// over: alone it is end of file. I1. From taken to ready lie whole parts, each ended by a newline
// or END, neither of which is inside
//     one; from ready to typed lies the line being edited.
// I2. While a reader copies, taking is set and nobody else takes; the bytes leave ring[] only once
//     the copy has succeeded, so a bad pointer loses nothing.
// Lock order: console_lock, then the UART's.
#include "kern/dev/console.h"

#include "kern/dev/device.h"
#include "kern/dev/uart.h"
#include "kern/lib/abi.h"
#include "kern/lib/spinlock.h"
#include "kern/sched/waitq.h"
#include "vm/usercopy.h"

#define CTRL(letter) ((letter) - '@')
#define END          CTRL('D')
#define BELL         CTRL('G')
#define BACKSPACE    CTRL('H')
#define ESCAPE       CTRL('[')
#define DELETE       0x7f
#define LINE_SIZE    256   // a line, its newline included
#define RING_SIZE    1024  // a power of two
#define CHUNK        128

static struct spinlock console_lock = SPINLOCK_INIT("console");
static char ring[RING_SIZE];        // [console_lock]
static uint32 taken, ready, typed;  // [console_lock] bytes ever taken, handed over, typed
static bool taking;                 // [console_lock]
static struct waitq readers;        // [console_lock]

static void echo(char c) {
  uart_echo(&c, 1);
}

// Take n characters off the line's end.  Those of several bytes go whole (UTF-8, RFC 3629).
static void erase(uint32 n) {
  for (; n > 0 && typed != ready; n--) {
    while ((ring[--typed % RING_SIZE] & 0xc0) == 0x80 && typed != ready)
      ;
    uart_echo("\b \b", 3);
  }
}

// Hand the line over, ended by last; ring the bell if nobody has read for very long.
static void line_done(char last) {
  if (typed - taken == RING_SIZE) {
    echo(BELL);
    return;
  }
  ring[typed++ % RING_SIZE] = last;
  ready = typed;
  if (last == '\n')
    echo('\n');
  waitq_wake_all(&readers);
}

static void line_add(char c) {
  bool printable = (uint8)c >= ' ' || c == '\t';
  if (!printable)
    return;
  bool room = typed - ready < LINE_SIZE - 1 && typed - taken < RING_SIZE - 1;
  if (room)
    ring[typed++ % RING_SIZE] = c;
  echo(!room ? BELL : c == '\t' ? ' ' : c);  // one column, for erase
}

// Return whether c belongs to an escape sequence, such as an arrow key's.  ECMA-48, 5.4.
static bool in_escape(int c) {
  static enum { NO, BEGUN, INSIDE } escape;  // [console_lock]
  if (c == ESCAPE) {
    escape = BEGUN;
    return true;
  }
  bool part = escape != NO && c >= ' ';
  bool inside = escape == BEGUN ? c == '[' || c == 'O' : c < '@';
  escape = part && inside ? INSIDE : NO;
  return part;
}

static void edit(int c) {
  switch (c) {
  case BACKSPACE:
  case DELETE:
    erase(1);
    break;
  case CTRL('U'):
    erase(LINE_SIZE);
    break;
  case CTRL('C'):
    typed = ready;
    uart_echo("^C\n", 3);
    break;
  case '\r':
  case '\n':
    line_done('\n');
    break;
  case CTRL('D'):
    line_done(END);
    break;
  default:
    line_add(c);
  }
}

void console_input(int c) {
  if (c == CTRL('P')) {
    console_listing();
    return;
  }
  irq_t s = spin_lock(&console_lock);
  if (!in_escape(c))
    edit(c);
  spin_unlock(&console_lock, s);
}

// Copy the first part to buf, at most n bytes.  *used gets how many bytes of the ring that is: an
// END is not copied, but counts, also where it follows a full buffer, or the next read would see
// the end.  Holds: console_lock.
static uint32 peek_line(char *buf, uint32 n, uint32 *used) {
  uint32 i = 0;
  char c = 0;
  while (c != '\n' && (c = ring[(taken + i) % RING_SIZE]) != END && i < n)
    buf[i++] = c;
  *used = i + (c == END);
  return i;
}

static int64 console_read(uva_t dst, uint64 n, uint64 offset) {
  (void)offset;
  char buf[LINE_SIZE];
  if (n == 0)
    return 0;
  int64 err = 0;
  irq_t s = spin_lock(&console_lock);
  while ((taking || ready == taken) && err == 0)
    err = waitq_sleep(&readers, &console_lock);
  if (err == 0) {
    uint32 used, count = peek_line(buf, n < LINE_SIZE ? n : LINE_SIZE, &used);
    taking = true;
    spin_unlock(&console_lock, s);
    err = copy_to_user(dst, buf, count);
    s = spin_lock(&console_lock);
    taking = false;
    if (err == 0) {
      taken += used;
      err = count;
    }
    waitq_wake_all(&readers);
  }
  spin_unlock(&console_lock, s);
  return err;
}

static int64 console_write(uva_t src, uint64 n, uint64 offset) {
  (void)offset;
  char buf[CHUNK];
  int err = 0;
  uint64 done = 0;
  while (done < n && err == 0) {
    uint64 k = n - done < CHUNK ? n - done : CHUNK;
    err = copy_from_user(buf, src + done, k);
    if (err == 0)
      err = uart_write(buf, k);
    if (err == 0)
      done += k;
  }
  return done > 0 ? (int64)done : err;
}

void console_init(void) {
  static const struct device console = {console_read, console_write};
  waitq_init(&readers);
  uart_init();
  device_register(DEV_CONSOLE, &console);
}
