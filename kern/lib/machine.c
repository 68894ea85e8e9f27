// SPDX-License-Identifier: MIT
//
// The machine, and its boot arguments: words between blanks, NAME or NAME=value, up to the word --.
#include "kern/lib/machine.h"

#include "kern/lib/panic.h"
#include "kern/lib/string.h"

struct machine machine;

static const char *skip_blanks(const char *s) {
  while (*s == ' ')
    s++;
  return s;
}

const char *next_word(const char **rest, size_t *length) {
  const char *word = skip_blanks(*rest);
  for (*length = 0; word[*length] && word[*length] != ' '; ++*length)
    ;
  *rest = skip_blanks(word + *length);
  return *length ? word : NULL;
}

// Return the next word before the word --.  At that word return NULL, with *rest behind it.
static const char *next_argument(const char **rest, size_t *length) {
  const char *word = next_word(rest, length);
  return word && !(*length == 2 && strncmp(word, "--", 2) == 0) ? word : NULL;
}

// Return what follows NAME, as a word or before '=', or NULL.  The last one wins, so that a word
// appended to the boot arguments overrides earlier ones.
static const char *bootarg_find(const char *name) {
  size_t n = strlen(name), length;
  const char *found = NULL, *rest = machine.bootargs, *word;
  while ((word = next_argument(&rest, &length)))
    if (strncmp(word, name, n) == 0 && (length == n || word[n] == '='))
      found = word + n;
  return found;
}

const char *bootarg_string(const char *name, char *buf, size_t size) {
  const char *s = bootarg_find(name);
  if (!s || *s != '=')
    return NULL;
  size_t n = 0;
  for (s++; s[n] && s[n] != ' '; n++) {
    if (n + 1 >= size)
      return NULL;
    buf[n] = s[n];
  }
  buf[n] = 0;
  return buf;
}

bool parse_number(const char *s, uint64 *value) {
  static const char digits[] = "0123456789abcdef";
  uint64 v = 0, base = s[0] == '0' && s[1] == 'x' ? 16 : 10;
  s += base == 16 ? 2 : 0;
  if (*s == 0)
    return false;
  for (; *s; s++) {
    const char *at = strchr(digits, *s);
    uint64 d = at ? (uint64)(at - digits) : base;
    if (d >= base || v > (~(uint64)0 - d) / base)
      return false;
    v = v * base + d;
  }
  *value = v;
  return true;
}

uint64 bootarg_number(const char *name, uint64 fallback, uint64 min, uint64 max) {
  char buf[24];
  uint64 value;
  if (!bootarg_find(name))
    return fallback;
  const char *text = bootarg_string(name, buf, sizeof(buf));
  if (!text || !parse_number(text, &value) || value < min || value > max)
    panic("%s=%s: must be a number from %lu to %lu", name, text ? text : "", min, max);
  return value;
}

void bootarg_check_flags(void) {
  static const char *const flags[] = {"gdb", "kasan_continue", "overcommit", "panic_on_fault"};
  for (uint32 i = 0; i < ARRAY_SIZE(flags); i++)
    if (bootarg_find(flags[i]) && !bootarg_flag(flags[i]))
      panic("%s: takes no value", flags[i]);
}

bool bootarg_flag(const char *name) {
  const char *s = bootarg_find(name);
  return s && *s != '=';
}

const char *bootarg_rest(void) {
  size_t length;
  const char *rest = machine.bootargs;
  while (next_argument(&rest, &length))
    ;
  return rest;
}
