// SPDX-License-Identifier: MIT
//
// The formatter behind every printing function: one conversion at a time to a byte sink.
#include "kern/lib/format.h"
#include "kern/lib/print.h"
#include "kern/lib/string.h"

struct spec {
  bool left, zero;
  int width;
  int precision;  // -1: none
  int longs;      // how many l
};

static void put_padded(struct format_out *out, const struct spec *spec, const char *s, int n) {
  int pad = spec->width > n ? spec->width - n : 0;
  out->length += pad + n;
  for (; !spec->left && pad; pad--)
    out->put(out, ' ');
  while (n--)
    out->put(out, *s++);
  for (; pad; pad--)
    out->put(out, ' ');
}

// prefix goes before the padding zeros: a sign, or 0x.
static void put_number(struct format_out *out, const struct spec *spec, uint64 value, uint32 base,
                       bool upper, const char *prefix) {
  const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  char buf[80];
  char *end = buf + sizeof(buf), *p = end;
  do
    *--p = digits[value % base];
  while (value /= base);
  int prefix_length = (int)strlen(prefix);
  int want = spec->zero && !spec->left ? spec->width - prefix_length : spec->precision;
  while (end - p < want && end - p < 64)
    *--p = '0';
  while (prefix_length)
    *--p = prefix[--prefix_length];
  put_padded(out, spec, p, (int)(end - p));
}

static void put_signed(struct format_out *out, const struct spec *spec, int64 value) {
  uint64 magnitude = value < 0 ? -(uint64)value : (uint64)value;
  put_number(out, spec, magnitude, 10, false, value < 0 ? "-" : "");
}

static const char *parse_spec(const char *f, struct spec *spec, va_list *args) {
  *spec = (struct spec){.precision = -1};
  for (;; f++) {
    if (*f == '-')
      spec->left = true;
    else if (*f == '0')
      spec->zero = true;
    else
      break;
  }
  if (*f == '*') {
    spec->width = va_arg(*args, int);
    f++;
  }
  for (; *f >= '0' && *f <= '9'; f++)
    spec->width = spec->width * 10 + (*f - '0');
  if (*f == '.') {
    spec->precision = 0;
    if (*++f == '*') {
      spec->precision = va_arg(*args, int);
      f++;
    }
    for (; *f >= '0' && *f <= '9'; f++)
      spec->precision = spec->precision * 10 + (*f - '0');
  }
  for (; *f == 'l' || *f == 'z'; f++)
    spec->longs++;
  return f;
}

static void put_string(struct format_out *out, const struct spec *spec, const char *s) {
  if (!s)
    s = "(null)";
  size_t max = spec->precision < 0 ? 4096 : (size_t)spec->precision;
  put_padded(out, spec, s, (int)strnlen(s, max));
}

static void put_conversion(struct format_out *out, char conversion, struct spec *spec,
                           va_list *args) {
  switch (conversion) {
  case 'd':
  case 'i':
    put_signed(out, spec, spec->longs ? va_arg(*args, int64) : va_arg(*args, int));
    break;
  case 'u':
    put_number(out, spec, spec->longs ? va_arg(*args, uint64) : va_arg(*args, uint32), 10, false,
               "");
    break;
  case 'x':
  case 'X':
    put_number(out, spec, spec->longs ? va_arg(*args, uint64) : va_arg(*args, uint32), 16,
               conversion == 'X', "");
    break;
  case 'p':
    spec->precision = 16;
    put_number(out, spec, va_arg(*args, uint64), 16, false, "0x");
    break;
  case 's':
    put_string(out, spec, va_arg(*args, const char *));
    break;
  case 'c':
    put_padded(out, spec, &(char){(char)va_arg(*args, int)}, 1);
    break;
  default:
    put_padded(out, spec, &conversion, 1);
  }
}

void format(struct format_out *out, const char *fmt, va_list args) {
  va_list copy;
  va_copy(copy, args);
  for (; *fmt; fmt++) {
    if (*fmt != '%') {
      out->put(out, *fmt);
      out->length++;
      continue;
    }
    struct spec spec;
    fmt = parse_spec(fmt + 1, &spec, &copy);
    if (!*fmt)
      break;
    put_conversion(out, *fmt, &spec, &copy);
  }
  va_end(copy);
}

struct buffer_out {
  struct format_out out;
  char *next, *last;
};

static void put_buffer(struct format_out *out, char c) {
  struct buffer_out *b = CONTAINER_OF(out, struct buffer_out, out);
  if (b->next < b->last)
    *b->next++ = c;
}

int kvsnprintf(char *buf, size_t size, const char *fmt, va_list args) {
  struct buffer_out b = {{put_buffer, 0}, buf, size ? buf + size - 1 : buf};
  format(&b.out, fmt, args);
  if (size)
    *b.next = 0;
  return b.out.length;
}

int ksnprintf(char *buf, size_t size, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  int n = kvsnprintf(buf, size, fmt, args);
  va_end(args);
  return n;
}
