// SPDX-License-Identifier: MIT
//
// The console's line discipline.
//
// A line can be edited until Enter (or ^D) enters it: it goes to the end of lines[], for readers. A
// read returns at most one line.  The byte END ends a part that ^D entered; alone it means end of
// file.
//
// I1. From taken to entered lie whole lines.  Each ends with a newline or END, and has neither
//     inside.
// I2. While a reader copies, taking is set and no other reader takes.  The bytes leave lines[] only
//     once the copy has succeeded, so a bad pointer loses nothing.  Taking counts as a sleep lock.
// I3. The UART hands bytes over only while lines[] has room for a whole line (console_room).  So a
//     line that was begun can be ended, and nothing is lost for lack of room.
// I4. A line that was read stays in lines[] until other lines take its place: this is the history.
// Lock order: console_lock, then the UART's.
#include "kern/dev/console.h"

#include "kern/dev/device.h"
#include "kern/dev/uart.h"
#include "kern/lib/abi.h"
#include "kern/lib/csr.h"
#include "kern/lib/hart.h"
#include "kern/lib/spinlock.h"
#include "kern/lib/string.h"
#include "kern/sched/held.h"
#include "kern/sched/thread.h"
#include "kern/sched/waitq.h"
#include "vm/usercopy.h"

#define CTRL(letter) ((letter) - '@')
#define END          CTRL('D')
#define BELL         CTRL('G')
#define BACKSPACE    CTRL('H')
#define ESCAPE       CTRL('[')
#define DELETE       0x7f
#define KEY(n)       (0x100 + (n))  // sends CSI n ~, or CSI and the letter n
#define LINE_SIZE    256            // a line, its newline included
#define LINES_SIZE   4096           // a power of two
#define CHUNK        128

// [c] console_lock
static struct spinlock console_lock = SPINLOCK_INIT("console");
static char line[LINE_SIZE];    // [c] being edited
static char draft[LINE_SIZE];   // [c] the new line, while the history is shown
static uint32 size, cursor;     // [c] bytes of line, and before the cursor
static uint32 recalled;         // [c] where in lines[] the line shown begins; entered: it is new
static char lines[LINES_SIZE];  // [c]
static uint32 taken, entered;   // [c] bytes ever taken, ever entered
static bool taking;             // [c]
static struct waitq readers;    // [c]

bool console_room(void) {
  return load_relaxed(&entered) - load_relaxed(&taken) <= LINES_SIZE - LINE_SIZE;
}

static void echo(char c, uint32 times) {
  for (; times > 0; times--)
    uart_echo(c == '\t' ? " " : &c, 1);  // one column
}

static void show(uint32 from, uint32 to) {
  for (; from < to; from++)
    echo(line[from], 1);
}

// Return whether byte i continues a character.  UTF-8, RFC 3629.
static bool inside(uint32 i) {
  return (line[i] & 0xc0) == 0x80;
}

static uint32 columns(uint32 from, uint32 to) {
  uint32 n = 0;
  for (; from < to; from++)
    n += !inside(from);
  return n;
}

// Places to go to: one character to the left or right, the beginning of a word.
static uint32 left(void) {
  uint32 i = cursor;
  while (i > 0 && inside(--i))
    ;
  return i;
}

static uint32 right(void) {
  uint32 i = cursor;
  while (i < size && ++i < size && inside(i))
    ;
  return i;
}

static uint32 word(void) {
  uint32 i = cursor;
  while (i > 0 && line[i - 1] == ' ')
    i--;
  while (i > 0 && line[i - 1] != ' ')
    i--;
  return i;
}

// Move the cursor.
static void go(uint32 to) {
  show(cursor, to);
  echo(BACKSPACE, columns(to, cursor));
  cursor = to;
}

// Take the bytes between two places out of the line.
static void erase(uint32 from, uint32 to) {
  uint32 width = columns(from, to);
  go(from);
  for (uint32 i = to; i < size; i++)
    line[from + i - to] = line[i];
  size -= to - from;
  show(from, size);
  echo(' ', width);
  echo(BACKSPACE, columns(from, size) + width);
}

static void insert(char c) {
  if (size == LINE_SIZE - 1) {
    echo(BELL, 1);
    return;
  }
  for (uint32 i = size++; i > cursor; i--)
    line[i] = line[i - 1];
  line[cursor++] = c;
  bool more = inside(cursor - 1) && cursor < size;  // a part of the character is shown already
  echo(BACKSPACE, more);
  show(more ? left() : cursor - 1, size);
  echo(BACKSPACE, columns(cursor, size));
}

// Enter the line, ended by last.
static void line_enter(char last) {
  go(size);
  line[size++] = last;
  for (uint32 i = 0; i < size; i++)
    lines[(entered + i) % LINES_SIZE] = line[i];
  entered += size;
  recalled = entered;
  size = cursor = 0;
  if (last == '\n')
    echo('\n', 1);
  waitq_wake_all(&readers);
}

static bool ends_line(uint32 i) {
  char c = lines[i % LINES_SIZE];
  return c == '\n' || c == END || c == 0;  // 0: nothing was ever there
}

// Show the next line of the history in that direction, 1 or -1, but not one beyond limit.
static void recall(uint32 step, uint32 limit) {
  uint32 i = recalled;
  do {
    if (i == limit)
      return;
    i += step;
  } while (i != entered && (ends_line(i) || !ends_line(i - 1)));
  if (recalled == entered) {
    line[size] = 0;
    memcpy(draft, line, LINE_SIZE);
  }
  erase(0, size);
  recalled = i;
  for (const char *s = draft; i == entered && *s; s++)
    insert(*s);
  for (; i != entered && !ends_line(i); i++)
    insert(lines[i % LINES_SIZE]);
}

// Take escape sequences out of the input: those of keys, and those that a terminal sends by itself.
// A control character ends an incomplete one.  Returns what c completes, a character or KEY(), or
// -1.  ECMA-48, 5.4 and 5.6.
static int decode(int c) {
  static enum { TEXT, BEGUN, PARAMETERS, STRING } state;  // [c]
  static int length, skip, number;                        // [c]
  if (c < ' ' || state == TEXT) {
    state = c == ESCAPE ? BEGUN : TEXT;
    return c;
  }
  length++;
  if (state == BEGUN) {
    if (c < '0')
      return -1;  // more of it comes: ECMA-35, 13.2.1
    state = c == '[' || c == 'O' ? PARAMETERS : strchr("]P_^X", c) ? STRING : TEXT;
    length = c == 'O';
    skip = number = 0;
  } else if (length == 1 && (c == 'M' || c == '[')) {
    skip = c == 'M' ? 3 : 1;  // a mouse's button and place; F1 to F5 of Linux's console
  } else if (state == PARAMETERS && skip > 0) {
    state = --skip > 0 ? PARAMETERS : TEXT;
  } else if (state == PARAMETERS && c >= '@') {
    state = TEXT;
    return KEY(c == '~' ? number : c);
  } else {
    number = c >= '0' && c <= '9' ? number * 10 % 1000 + c - '0' : 0;
  }
  return -1;
}

static void edit(int c) {
  switch (c) {
  case BACKSPACE:
  case DELETE:
    erase(left(), cursor);
    break;
  case KEY(3):  // Delete
    erase(cursor, right());
    break;
  case CTRL('W'):
    erase(word(), cursor);
    break;
  case CTRL('U'):
    erase(0, size);
    break;
  case CTRL('C'):
    size = cursor = 0;
    recalled = entered;
    uart_echo("^C\n", 3);
    break;
  case KEY('A'):
    recall(-1, entered + 1 - LINES_SIZE);
    break;
  case KEY('B'):
    recall(1, entered);
    break;
  case KEY('C'):
    go(right());
    break;
  case KEY('D'):
    go(left());
    break;
  case KEY('H'):  // Home
  case KEY(1):
    go(0);
    break;
  case KEY('F'):  // End
  case KEY(4):
    go(size);
    break;
  case '\r':
  case '\n':
    line_enter('\n');
    break;
  case CTRL('D'):
    line_enter(END);
    break;
  default:
    if ((c >= ' ' && c < KEY(0)) || c == '\t')
      insert(c);
  }
}

// List the processes.  That takes long, with interrupts off, so spend at most a tenth of the time
// on it.
static void list_processes(void) {
  static uint64 next;  // only the hart that takes interrupts uses it
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
  irq_t irq = spin_lock(&console_lock);
  edit(decode(c));
  spin_unlock(&console_lock, irq);
}

// Copy the first line to buf, at most n bytes, and return their number.  Set *used to the bytes
// that leave lines[].  An END is not copied but counts, even where it follows a full buffer: else
// the next read would see the end of the file.  Holds: console_lock.
static uint32 peek_line(char *buf, uint32 n, uint32 *used) {
  assert(spin_holding(&console_lock));
  uint32 i = 0;
  char c = 0;
  while (c != '\n' && (c = lines[(taken + i) % LINES_SIZE]) != END && i < n)
    buf[i++] = c;
  *used = i + (c == END);
  return i;
}

// Holds: console_lock.
static void console_end_turn(void) {
  assert(spin_holding(&console_lock));
  taking = false;
  held_pop(HELD_TURN, NULL);
  thread_let_go(thread_current());
  waitq_wake_all(&readers);
}

void console_give_turn(void) {
  irq_t irq = spin_lock(&console_lock);
  console_end_turn();
  spin_unlock(&console_lock, irq);
}

static int64 console_read(uva_t dst, uint64 n, uint64 offset) {
  (void)offset;
  char buf[LINE_SIZE];
  if (n == 0)
    return 0;
  uint32 used, count = 0;
  int err = 0;
  irq_t irq = spin_lock(&console_lock);
  while ((taking || entered == taken) && err == 0)
    err = waitq_sleep(&readers);
  if (err == 0) {
    count = peek_line(buf, n < LINE_SIZE ? n : LINE_SIZE, &used);
    taking = true;
    thread_current()->sleeplocks++;
    held_push(HELD_TURN, NULL);
    spin_unlock(&console_lock, irq);
    err = copy_to_user(dst, buf, count);
    irq = spin_lock(&console_lock);
    console_end_turn();
    bool full = !console_room();
    if (err == 0)
      taken += used;
    if (full)
      uart_accept();
  }
  spin_unlock(&console_lock, irq);
  return err < 0 ? err : (int64)count;
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
  waitq_init(&readers, &console_lock);
  uart_init();
  device_register(DEV_CONSOLE, &console);
}
