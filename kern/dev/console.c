// SPDX-License-Identifier: MIT
//
// The console's line discipline.
//
// What is typed is edited in line[]; Enter (or ^D) moves it, whole, to ready[], which readers take
// from.  A read returns at most one line.  In ready[] the byte END ends a part that ^D handed over:
// alone it is end of file.
// I1. ready[] holds whole parts, each ended by a newline or END, neither of which is inside one.
// I2. While a reader copies, taking is set and nobody else takes; the bytes leave ready[] only once
//     the copy has succeeded, so a bad pointer loses nothing.
// Lock order: console_lock, then the UART's.
#include "kern/dev/console.h"

#include "kern/dev/device.h"
#include "kern/dev/uart.h"
#include "kern/lib/abi.h"
#include "kern/lib/errno.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "kern/sched/waitq.h"
#include "vm/usercopy.h"

#define CTRL(letter) ((letter) - '@')
#define END          CTRL('D')
#define BELL         CTRL('G')
#define BACKSPACE    CTRL('H')
#define DELETE       0x7f
#define LINE_SIZE    256   // a line, its newline included
#define READY_SIZE   1024  // a power of two
#define CHUNK        128

static struct spinlock console_lock = SPINLOCK_INIT("console");
static char line[LINE_SIZE];           // [console_lock]
static uint32 line_length;             // [console_lock]
static char ready[READY_SIZE];         // [console_lock]
static uint32 ready_put, ready_taken;  // [console_lock] bytes ever put, ever taken
static bool taking;                    // [console_lock]
static struct waitq readers;           // [console_lock]
static void (*listing)(void);          // [I]

void console_set_listing(void (*list)(void)) {
  listing = list;
}

static void echo(char c) {
  uart_echo(&c, 1);
}

static void erase(uint32 n) {
  for (; n > 0 && line_length > 0; n--) {
    line_length--;
    uart_echo("\b \b", 3);
  }
}

// Hand the line over, ended by last; ring the bell if nobody has read for very long.
static void line_done(char last) {
  if (READY_SIZE - (ready_put - ready_taken) < line_length + 1) {
    echo(BELL);
    return;
  }
  for (uint32 i = 0; i < line_length; i++)
    ready[ready_put++ % READY_SIZE] = line[i];
  ready[ready_put++ % READY_SIZE] = last;
  line_length = 0;
  if (last == '\n')
    uart_echo("\r\n", 2);
  waitq_wake_all(&readers);
}

static void line_add(char c) {
  bool printable = (uint8)c >= ' ' || c == '\t';
  if (!printable)
    return;
  if (line_length == LINE_SIZE - 1) {
    echo(BELL);
    return;
  }
  line[line_length++] = c;
  echo(c);
}

static void edit(int c) {
  switch (c) {
  case BACKSPACE:
  case DELETE:
    erase(1);
    break;
  case CTRL('U'):
    erase(line_length);
    break;
  case CTRL('C'):
    line_length = 0;
    uart_echo("^C\r\n", 4);
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
    if (listing)
      listing();
    return;
  }
  irq_t s = spin_lock(&console_lock);
  edit(c);
  spin_unlock(&console_lock, s);
}

// Copy the first line of ready[] to buf, at most n bytes.  *taken gets how many bytes of ready[]
// that is: an END counts, but is not copied.  Holds: console_lock.
static uint32 peek_line(char *buf, uint32 n, uint32 *taken) {
  uint32 i = 0, count = ready_put - ready_taken;
  for (; i < n && i < count; i++) {
    buf[i] = ready[(ready_taken + i) % READY_SIZE];
    if (buf[i] == END) {
      *taken = i + 1;
      return i;
    }
    if (buf[i] == '\n') {
      *taken = i + 1;
      return i + 1;
    }
  }
  // A part that exactly fills the buffer takes its END along, or the next read would see the end.
  bool end = i < count && ready[(ready_taken + i) % READY_SIZE] == END;
  *taken = i + end;
  return i;
}

static int64 console_read(uva_t dst, uint64 n, uint64 offset) {
  (void)offset;
  char buf[LINE_SIZE];
  if (n == 0)
    return 0;
  int64 err = 0;
  irq_t s = spin_lock(&console_lock);
  while ((taking || ready_put == ready_taken) && err == 0)
    err = waitq_sleep(&readers, &console_lock);
  if (err == 0) {
    uint32 taken, count = peek_line(buf, n < LINE_SIZE ? n : LINE_SIZE, &taken);
    taking = true;
    spin_unlock(&console_lock, s);
    err = copy_to_user(dst, buf, count);
    s = spin_lock(&console_lock);
    taking = false;
    if (err == 0) {
      ready_taken += taken;
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

void console_flush(void) {
  uart_flush();
}

void console_init(void) {
  static const struct device console = {"console", console_read, console_write};
  waitq_init(&readers);
  uart_init();
  device_register(DEV_CONSOLE, &console);
}
