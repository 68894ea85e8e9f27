// SPDX-License-Identifier: MIT
//
// Formatted printing into a sink: a buffer that is written out when it is full, or cut off.

#include "user/user.h"

struct sink {
  char *buf;
  size_t size;   // room in buf
  size_t used;   // bytes in buf
  size_t total;  // bytes printed so far
  int fd;        // where a full buffer goes, or -1: cut off
};

struct spec {
  bool left, zero;
  int width;
  int precision;  // -1: none
  bool wide;      // a 64-bit argument
};

static void flush(struct sink *out) {
  if (out->fd >= 0 && out->used > 0) {
    writeall(out->fd, out->buf, (int)out->used);
    out->used = 0;
  }
}

static void put(struct sink *out, char c) {
  out->total++;
  if (out->used == out->size)
    flush(out);
  if (out->used < out->size)
    out->buf[out->used++] = c;
}

static void fill(struct sink *out, char c, int n) {
  while (n-- > 0)
    put(out, c);
}

static void put_text(struct sink *out, const struct spec *spec, const char *s) {
  int length = 0;
  if (!s)
    s = "(null)";
  while (length != spec->precision && s[length])
    length++;
  if (!spec->left)
    fill(out, ' ', spec->width - length);
  for (int i = 0; i < length; i++)
    put(out, s[i]);
  if (spec->left)
    fill(out, ' ', spec->width - length);
}

// Print the digits of value with prefix ("-", "0x" or "") before them.
static void put_number(struct sink *out, const struct spec *spec, uint64 value, unsigned base,
                       const char *digits, const char *prefix) {
  char text[24];
  int n = 0;
  for (; value > 0 || n == 0; value /= base)
    text[n++] = digits[value % base];
  int zeros = spec->precision > n ? spec->precision - n : 0;
  int pad = spec->width - n - zeros - (int)strlen(prefix);
  bool zero_pad = spec->zero && !spec->left && spec->precision < 0;
  if (!spec->left && !zero_pad)
    fill(out, ' ', pad);
  while (*prefix)
    put(out, *prefix++);
  fill(out, '0', zero_pad && pad > 0 ? pad : zeros);
  while (n > 0)
    put(out, text[--n]);
  if (spec->left)
    fill(out, ' ', pad);
}

static int take_number(const char **f) {
  int n = 0;
  for (; **f >= '0' && **f <= '9'; (*f)++)
    n = n < 10000 ? n * 10 + (**f - '0') : n;
  return n;
}

// Read flags, width, precision and length; *f is left at the conversion letter.
static struct spec take_spec(const char **f, va_list *args) {
  struct spec spec = {.precision = -1};
  for (;; (*f)++) {
    if (**f == '-')
      spec.left = true;
    else if (**f == '0')
      spec.zero = true;
    else
      break;
  }
  if (**f == '*') {
    spec.width = va_arg(*args, int);
    (*f)++;
  } else {
    spec.width = take_number(f);
  }
  if (**f == '.') {
    (*f)++;
    if (**f == '*') {
      spec.precision = va_arg(*args, int);
      (*f)++;
    } else {
      spec.precision = take_number(f);
    }
  }
  for (; **f == 'l' || **f == 'z'; (*f)++)
    spec.wide = true;
  return spec;
}

static void put_signed(struct sink *out, const struct spec *spec, va_list *args) {
  int64 value = spec->wide ? va_arg(*args, int64) : va_arg(*args, int);
  uint64 magnitude = value < 0 ? 0 - (uint64)value : (uint64)value;
  put_number(out, spec, magnitude, 10, "0123456789", value < 0 ? "-" : "");
}

static void put_unsigned(struct sink *out, const struct spec *spec, va_list *args, char letter) {
  uint64 value = spec->wide ? va_arg(*args, uint64) : va_arg(*args, unsigned);
  unsigned base = letter == 'u' ? 10 : letter == 'o' ? 8 : 16;
  put_number(out, spec, value, base, letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef", "");
}

static void put_conversion(struct sink *out, const struct spec *spec, va_list *args, char letter) {
  switch (letter) {
  case 'd':
  case 'i':
    put_signed(out, spec, args);
    break;
  case 'u':
  case 'x':
  case 'X':
  case 'o':
    put_unsigned(out, spec, args, letter);
    break;
  case 'p':
    put_number(out, spec, (uint64)va_arg(*args, void *), 16, "0123456789abcdef", "0x");
    break;
  case 's':
    put_text(out, spec, va_arg(*args, const char *));
    break;
  case 'c':
    put_text(out, &(struct spec){.left = spec->left, .width = spec->width, .precision = 1},
             (char[]){(char)va_arg(*args, int), 0});
    break;
  default:  // "%%", and what we do not know is shown as it stands
    if (letter != '%')
      put(out, '%');
    put(out, letter);
  }
}

static void format_to(struct sink *out, const char *f, va_list *args) {
  for (; *f; f++) {
    if (*f != '%') {
      put(out, *f);
      continue;
    }
    f++;
    struct spec spec = take_spec(&f, args);
    if (*f == 0)
      break;
    put_conversion(out, &spec, args, *f);
  }
}

int vfprintf(int fd, const char *format, va_list args) {
  char buf[128];
  struct sink out = {.buf = buf, .size = sizeof(buf), .fd = fd};
  va_list copy;
  va_copy(copy, args);
  format_to(&out, format, &copy);
  va_end(copy);
  flush(&out);
  return (int)out.total;
}

int vsnprintf(char *dst, size_t size, const char *format, va_list args) {
  struct sink out = {.buf = dst, .size = size > 0 ? size - 1 : 0, .fd = -1};
  va_list copy;
  va_copy(copy, args);
  format_to(&out, format, &copy);
  va_end(copy);
  if (size > 0)
    dst[out.used] = 0;
  return (int)out.total;
}

int printf(const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vfprintf(1, format, args);
  va_end(args);
  return n;
}

int fprintf(int fd, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vfprintf(fd, format, args);
  va_end(args);
  return n;
}

int snprintf(char *dst, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(dst, size, format, args);
  va_end(args);
  return n;
}
