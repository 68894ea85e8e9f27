// SPDX-License-Identifier: MIT
//
// The formatter behind every printing function: one conversion at a time to a byte sink.
#include "kern/lib/print.h"

#include "kern/lib/kasan.h"
#include "kern/lib/string.h"

struct spec {
  bool left, zero, wide;
  int width;
};

static const char *parse_spec(const char *f, struct spec *spec) {
  *spec = (struct spec){0};
  for (; *f == '-' || *f == '0'; f++)
    *(*f == '-' ? &spec->left : &spec->zero) = true;
  for (; *f >= '0' && *f <= '9'; f++)
    spec->width = spec->width * 10 + (*f - '0');
  for (; *f == 'l'; f++)
    spec->wide = true;
  return f;
}

static void put_padded(struct format_out *out, const struct spec *spec, const char *s, int n) {
  int pad = spec->width > n ? spec->width - n : 0;
  for (; !spec->left && pad; pad--)
    out->put(out, ' ');
  while (n--)
    out->put(out, *s++);
  for (; pad; pad--)
    out->put(out, ' ');
}

// prefix goes before the padding zeros: a sign, or 0x.
static void put_number(struct format_out *out, const struct spec *spec, uint64 value,
                       char conversion, const char *prefix) {
  const char *digits = conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  uint32 base = conversion == 'd' || conversion == 'u' ? 10 : 16;
  char buf[80];
  char *end = buf + sizeof(buf), *p = end;
  int prefix_length = (int)strlen(prefix);
  do
    *--p = digits[value % base];
  while (value /= base);
  while (spec->zero && end - p < spec->width - prefix_length && end - p < 64)
    *--p = '0';
  while (prefix_length)
    *--p = prefix[--prefix_length];
  put_padded(out, spec, p, (int)(end - p));
}

static void put_conversion(struct format_out *out, char conversion, struct spec *spec,
                           va_list *args) {
  int64 value;
  const char *s;
  switch (conversion) {
  case 'd':
    value = spec->wide ? va_arg(*args, int64) : va_arg(*args, int);
    put_number(out, spec, value < 0 ? -(uint64)value : (uint64)value, 'd', value < 0 ? "-" : "");
    break;
  case 'u':
  case 'x':
  case 'X':
    put_number(out, spec, spec->wide ? va_arg(*args, uint64) : va_arg(*args, uint32), conversion,
               "");
    break;
  case 'p':
    put_number(out, &(struct spec){.zero = true, .width = 18}, va_arg(*args, uint64), 'x', "0x");
    break;
  case 's':
    s = va_arg(*args, const char *);
    s = s ? s : "(null)";
    put_padded(out, spec, s, (int)strlen(s));
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
      continue;
    }
    struct spec spec;
    fmt = parse_spec(fmt + 1, &spec);
    if (!*fmt)
      break;
    put_conversion(out, *fmt, &spec, &copy);
  }
  va_end(copy);
}

struct buffer_out {
  struct format_out out;
  char *buf;
  size_t size, length;
};

static void put_buffer(struct format_out *out, char c) {
  struct buffer_out *b = CONTAINER_OF(out, struct buffer_out, out);
  if (b->length++ + 1 < b->size)
    b->buf[b->length - 1] = c;
}

int ksnprintf(char *buf, size_t size, const char *fmt, ...) {
  KASAN_WRITES(buf, size);
  struct buffer_out b = {{put_buffer}, buf, size, 0};
  va_list args;
  va_start(args, fmt);
  format(&b.out, fmt, args);
  va_end(args);
  buf[b.length < size ? b.length : size - 1] = 0;
  return (int)b.length;
}
