// SPDX-License-Identifier: MIT
//
// The console's line discipline.
//
// What is typed is a line that can be edited until Enter (or ^D) hands it over: it goes to the end
// of ring[], for readers.  A read returns at most one line.  The byte END ends a part that ^D
// handed over: alone it is end of file.
//
// I1. From taken to ready lie whole parts, each ended by a newline or END, neither of which is
//     inside one.
// I2. While a reader copies, taking is set and nobody else takes; the bytes leave ring[] only once
//     the copy has succeeded, so a bad pointer loses nothing.
// I3. Bytes are taken from the UART only while ring[] has room for a whole line (console_room).  So
//     a line that was begun can be ended, and nothing is lost for want of room.
// Lock order: console_lock, then the UART's.
#include "kern/dev/console.h"

#include "kern/dev/device.h"
#include "kern/dev/uart.h"
#include "kern/lib/abi.h"
#include "kern/lib/csr.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "kern/sched/waitq.h"
#include "vm/usercopy.h"

#define CTRL(letter) ((letter) - '@')
#define END          CTRL('D')
#define BELL         CTRL('G')
#define BACKSPACE    CTRL('H')
#define ESCAPE       CTRL('[')
#define DELETE       0x7f
#define LINE_SIZE    256   // a line, its newline included
#define RING_SIZE    4096  // a power of two
#define CHUNK        128

static struct spinlock console_lock = SPINLOCK_INIT("console");
static char line[LINE_SIZE];  // [console_lock] being edited
static uint32 size;           // [console_lock] of it
static char ring[RING_SIZE];  // [console_lock]
static uint32 taken, ready;   // [console_lock] bytes ever taken, ever handed over
static bool taking;           // [console_lock]
static struct waitq readers;  // [console_lock]

bool console_room(void) {
  return load_relaxed(&ready) - load_relaxed(&taken) <= RING_SIZE - LINE_SIZE;
}

static void echo(char c) {
  uart_echo(&c, 1);
}

// Take the last character off the line.  One of several bytes goes whole (UTF-8, RFC 3629).
static void erase(void) {
  while (size > 0 && (line[--size] & 0xc0) == 0x80)
    ;
  uart_echo("\b \b", 3);
}

static void erase_word(void) {
  while (size > 0 && line[size - 1] == ' ')
    erase();
  while (size > 0 && line[size - 1] != ' ')
    erase();
}

// Hand the line over, ended by last.
static void line_done(char last) {
  line[size++] = last;
  for (uint32 i = 0; i < size; i++)
    ring[(ready + i) % RING_SIZE] = line[i];
  ready += size;
  size = 0;
  if (last == '\n')
    echo('\n');
  waitq_wake_all(&readers);
}

static void line_add(char c) {
  bool room = size < LINE_SIZE - 1;
  if (room)
    line[size++] = c;
  echo(!room ? BELL : c == '\t' ? ' ' : c);  // one column, for erase
}

// Return whether c belongs to an escape sequence: a key's, or what a terminal says by itself.  A
// control character ends one that is not complete.  ECMA-48, 5.4 and 5.6.
static bool in_escape(int c) {
  static enum { TEXT, BEGUN, PARAMETERS, STRING } state;  // [console_lock]
  static uint32 length, skip;                             // [console_lock]
  bool part = state != TEXT && c >= ' ';
  length++;
  if (c == ESCAPE || !part) {
    state = c == ESCAPE ? BEGUN : TEXT;
    length = 0;
    return c == ESCAPE;
  }
  if (state == BEGUN) {
    state = c == '[' || c == 'O' ? PARAMETERS : strchr("]P_^X", c) ? STRING : TEXT;
    length += c == 'O';
    skip = 0;
  } else if (length == 2 && (c == 'M' || c == '[')) {
    skip = c == 'M' ? 3 : 1;  // a mouse's button and place; F1 to F5 of Linux's console
  } else if (state == PARAMETERS && (skip > 0 ? --skip == 0 : c >= '@')) {
    state = TEXT;
  }
  return true;
}

static void edit(int c) {
  switch (c) {
  case BACKSPACE:
  case DELETE:
    if (size > 0)
      erase();
    break;
  case CTRL('W'):
    erase_word();
    break;
  case CTRL('U'):
    while (size > 0)
      erase();
    break;
  case CTRL('C'):
    size = 0;
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
    if (c >= ' ' || c == '\t')
      line_add(c);
  }
}

// List the processes.  That takes long, with interrupts off: spend a tenth of the time at most.
static void list_processes(void) {
  static uint64 next;  // [h] of the hart that takes interrupts
  uint64 start = csr_read(time);
  if (start >= next) {
    console_listing();
    next = csr_read(time) + 9 * (csr_read(time) - start);
  }
}

void console_input(int c) {
  if (c == CTRL('P')) {
    list_processes();
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
    bool full = !console_room();
    if (err == 0) {
      taken += used;
      err = count;
    }
    if (full)
      uart_accept();
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
